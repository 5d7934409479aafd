"""A paramiko channel in the shape of a socket, for `http.client`, urllib3 and the Docker SDK.

Two things differ from a bare channel. Bytes that were read ahead with the HTTP header are not lost when the SDK goes
on to read the socket itself. And a channel is closed by a thread of its own: a response that nobody finished is
closed by the garbage collector, which may run inside paramiko, under the very lock that closing needs.
"""

import io
import os
import queue
import threading
from contextlib import suppress
from typing import Any

import paramiko

from sparkctl.transport.wrapper import MARK


class Undertaker:
    """Closes channels from a thread of its own; `bury` may be called from anywhere, a finaliser included."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[paramiko.Channel | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="channel-closer", daemon=True)
        self._thread.start()

    def bury(self, channel: paramiko.Channel) -> None:
        """Close it soon."""
        self._queue.put(channel)

    def finish(self) -> None:
        """Close what is left, then end the thread."""
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (channel := self._queue.get()) is not None:
            with suppress(OSError, EOFError, paramiko.SSHException):
                channel.close()


class ChannelSocket:
    """What `http.client` asks of a socket. The channel is closed with the last of the socket and the file made of it.

    Output before MARK, as a `.bashrc` may print it, is dropped.
    """

    def __init__(self, channel: paramiko.Channel, undertaker: Undertaker) -> None:
        self._channel = channel
        self._undertaker = undertaker
        self._noise: bytes | None = b""
        self._closed = False
        self._files = 0

    def __del__(self) -> None:
        self._undertaker.bury(self._channel)

    @property
    def usable(self) -> bool:
        """Whether the other end still listens."""
        return not (self._channel.closed or self._channel.eof_received)

    def makefile(self, mode: str = "rb", buffering: int = -1) -> "ChannelReader":
        """A buffered reader; `mode` can only be `rb`."""
        self._files += 1
        return ChannelReader(_Raw(self))

    def sendall(self, data: bytes) -> None:
        """Send everything."""
        self._channel.sendall(data)

    def recv(self, size: int) -> bytes:
        """At most `size` bytes; none at the end. Raises TimeoutError."""
        while self._noise is not None:
            data = self._channel.recv(size)
            _, mark, rest = (self._noise + data).partition(MARK)
            self._noise = None if mark or not data else self._noise + data
            if rest or not data:
                return rest
        return self._channel.recv(size)

    def fileno(self) -> int:
        """A descriptor that is readable when the channel is."""
        return self._channel.fileno()

    def settimeout(self, seconds: float | None) -> None:
        """How long `recv` and `sendall` may wait."""
        self._channel.settimeout(seconds)

    def gettimeout(self) -> float | None:
        """How long `recv` and `sendall` may wait."""
        return self._channel.gettimeout()

    def shutdown(self, how: int) -> None:
        """End both directions, whatever `how` says: the SDK uses it to break off a stream."""
        self._undertaker.bury(self._channel)

    def close(self) -> None:
        """Close, as soon as no file made of this socket is open."""
        self._closed = True
        self._end()

    def file_closed(self) -> None:
        """A file made of this socket was closed."""
        self._files -= 1
        self._end()

    def _end(self) -> None:
        if self._closed and self._files <= 0:
            self._undertaker.bury(self._channel)


class ChannelReader(io.BufferedReader):
    """The file that `http.client` reads from. `channel` is where the Docker SDK finds the socket in it."""

    raw: "_Raw"

    @property
    def channel(self) -> "ReadAhead":
        """The socket, with what this file has read ahead."""
        return ReadAhead(self)

    def holds_data(self) -> bool:
        """Whether a read would be answered from the buffer."""
        self.raw.hold = True
        try:
            return bool(self.peek(1))
        finally:
            self.raw.hold = False


class ReadAhead:
    """A socket whose first bytes are in the buffer of a file."""

    def __init__(self, reader: ChannelReader) -> None:
        self._reader = reader
        self._sock = reader.raw.sock
        self._ready = -1

    def __del__(self) -> None:
        if self._ready >= 0:
            os.close(self._ready)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def recv(self, size: int) -> bytes:
        """At most `size` bytes; none at the end. Raises TimeoutError."""
        return self._reader.read1(size)

    def fileno(self) -> int:
        """A descriptor that is readable when `recv` would not wait."""
        if not self._reader.holds_data():
            return self._sock.fileno()
        if self._ready < 0:
            self._ready = os.open(os.devnull, os.O_RDONLY)
        return self._ready


class _Raw(io.RawIOBase):
    """The unbuffered file. While `hold` is set, it has nothing to read."""

    def __init__(self, sock: ChannelSocket) -> None:
        self.sock = sock
        self.hold = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self.hold:
            return None
        data = self.sock.recv(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            super().close()
            self.sock.file_closed()
