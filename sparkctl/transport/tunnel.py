"""A listening port on the laptop's loopback whose connections come out at the node."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from socketserver import BaseRequestHandler, ThreadingTCPServer

import paramiko

from sparkctl.errors import UnreachableError

CHUNK = 65536
DIAL_SECONDS = 10.0


@contextmanager
def forwarded(transport: Callable[[], paramiko.Transport], host: str, port: int) -> Iterator[int]:
    """Yield a free local port; every connection to it travels over the transport to `host:port`.

    A connection that the node refuses is closed at once. On leaving, open connections are ended, and their threads
    follow: nobody waits for one that dials through to a node which does not answer.
    """
    with _Listener(transport, (host, port)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            server.end_connections()
            thread.join()


class _Listener(ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, transport: Callable[[], paramiko.Transport], target: tuple[str, int]) -> None:
        self.transport, self.target = transport, target
        self._open: set[paramiko.Channel] = set()
        self._ended = False
        self._guard = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Connection)

    def dial(self, origin: tuple[str, int]) -> paramiko.Channel:
        """A channel to the target. Raises UnreachableError and what paramiko raises."""
        channel = self.transport().open_channel("direct-tcpip", self.target, origin, timeout=DIAL_SECONDS)
        with self._guard:
            if self._ended:
                channel.close()
            self._open.add(channel)
        return channel

    def hang_up(self, channel: paramiko.Channel) -> None:
        """The connection is over."""
        with self._guard:
            self._open.discard(channel)
        channel.close()

    def end_connections(self) -> None:
        """End what is open; the handlers see the end of their streams and return."""
        with self._guard:
            self._ended = True
            channels = list(self._open)
        for channel in channels:
            channel.close()


class _Connection(BaseRequestHandler):
    server: _Listener
    request: socket.socket

    def handle(self) -> None:
        try:
            channel = self.server.dial(self.client_address)
        except (UnreachableError, paramiko.SSHException, OSError, EOFError):
            return
        there = threading.Thread(target=_copy, args=(self.request, channel), daemon=True)
        there.start()
        # The node's end is the end: a client that only listens may have closed its sending half long before.
        _copy(channel, self.request)
        self.server.hang_up(channel)
        with suppress(OSError):
            self.request.shutdown(socket.SHUT_RDWR)
        there.join()


Stream = socket.socket | paramiko.Channel


def _copy(source: Stream, sink: Stream) -> None:
    """Carry bytes until the end of the source, then tell the sink."""
    with suppress(OSError, EOFError, paramiko.SSHException):
        while data := source.recv(CHUNK):
            sink.sendall(data)
    with suppress(OSError, EOFError, paramiko.SSHException):
        sink.shutdown(socket.SHUT_WR)
