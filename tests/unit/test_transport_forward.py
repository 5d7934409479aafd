"""Forwarded ports over a real sshd."""

import socket
import threading
from collections.abc import Iterator
from socketserver import BaseRequestHandler, ThreadingTCPServer

import pytest
from loopback import serving
from sshd import Sshd, eventually, free_port

from sparkctl.transport.ssh import SshSession


class Echo(BaseRequestHandler):
    def handle(self) -> None:
        while data := self.request.recv(65536):
            self.request.sendall(data)
        self.request.sendall(b"<end>")


@pytest.fixture
def echo() -> Iterator[int]:
    with serving(ThreadingTCPServer(("127.0.0.1", 0), Echo)) as port:
        yield port


def talk(port: int, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as sock:
        sender = threading.Thread(target=lambda: (sock.sendall(data), sock.shutdown(socket.SHUT_WR)))
        sender.start()
        got = b""
        while more := sock.recv(65536):
            got += more
        sender.join()
    return got


def test_bytes_go_there_and_back_and_a_half_closed_end_is_passed_on(session: SshSession, echo: int) -> None:
    with session.forward("127.0.0.1", echo) as port:
        assert talk(port, b"hello") == b"hello<end>"
        assert talk(port, b"x" * 1_000_000) == b"x" * 1_000_000 + b"<end>"


def test_connections_may_overlap(session: SshSession, echo: int) -> None:
    with session.forward("127.0.0.1", echo) as port:
        results: list[bytes] = []
        threads = [threading.Thread(target=lambda n=n: results.append(talk(port, b"%d" % n))) for n in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(results) == [b"%d<end>" % n for n in range(5)]


def test_leaving_ends_open_connections_and_all_threads(session: SshSession, echo: int) -> None:
    before = set(threading.enumerate())
    with session.forward("127.0.0.1", echo) as port:
        sock = socket.create_connection(("127.0.0.1", port), timeout=60)
        sock.sendall(b"x")
        assert sock.recv(1) == b"x"
    assert sock.recv(1) == b""
    sock.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    assert eventually(lambda: set(threading.enumerate()) <= before)


def test_a_port_that_nobody_listens_on_closes_the_connection(
    session: SshSession, capfd: pytest.CaptureFixture[str]
) -> None:
    with session.forward("127.0.0.1", free_port()) as port:
        assert talk_closed(port)
    assert session.run(["echo", "alive"]).stdout == "alive\n"
    assert capfd.readouterr() == ("", "")


def test_a_lost_connection_closes_the_forwarded_one(own_sshd: Sshd, echo: int) -> None:
    session = own_sshd.open()
    with session.forward("127.0.0.1", echo) as port:
        sock = socket.create_connection(("127.0.0.1", port), timeout=60)
        sock.sendall(b"x")
        assert sock.recv(1) == b"x"
        own_sshd.drop_connections()
        assert sock.recv(1) == b""
        sock.close()
        assert talk_closed(port)
    session.close()


def talk_closed(port: int) -> bool:
    try:
        return talk(port, b"") == b""
    except OSError:
        return True
