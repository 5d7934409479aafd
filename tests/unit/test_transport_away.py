"""Machines that cannot be reached, and several that are opened at once."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from sshd import Sshd, free_port

from sparkctl.errors import HostKeyError, LoginError, UnreachableError
from sparkctl.topology import Cluster, Node, Role
from sparkctl.transport.ssh import SshSession, open_all


def test_a_refused_port_is_worded() -> None:
    port = free_port()
    with pytest.raises(UnreachableError, match="refuses connections") as caught:
        SshSession(Node("spark-9", Role.WORKER, "127.0.0.1", "x", port))
    assert caught.value.where == "spark-9" and str(port) in caught.value.what
    assert caught.value.fix


def test_an_unknown_name_is_worded() -> None:
    with pytest.raises(UnreachableError, match="the name was not found"):
        SshSession(Node("spark-9", Role.WORKER, "no-such-host.invalid", "x"))


def test_a_port_that_never_answers_is_timed_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        node = Node("spark-9", Role.WORKER, "127.0.0.1", "x", silent.getsockname()[1])
        with pytest.raises(UnreachableError, match="did not answer within 1 s"):
            SshSession(node, connect_timeout=1)


def test_something_that_is_no_ssh_server_is_worded(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        node = Node("spark-9", Role.WORKER, "127.0.0.1", "x", server.getsockname()[1])
        child = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "import socket,sys; c=socket.socket(fileno=int(sys.argv[1])).accept()[0];"
                "c.sendall(b'HTTP/1.0 400 no\\r\\n' * 200)",
                str(server.fileno()),
            ],
            pass_fds=[server.fileno()],
        )
        with pytest.raises(UnreachableError, match="not as an SSH server"):
            SshSession(node, connect_timeout=60)
        child.wait(60)


def test_all_nodes_are_opened_in_rank_order(sshd: Sshd) -> None:
    cluster = Cluster("lab", sshd.node(), (sshd.node(name="spark-2"), sshd.node(name="spark-3")))
    sessions = open_all(cluster, known_hosts=sshd.known_hosts)
    assert list(sessions) == ["spark-1", "spark-2", "spark-3"]
    assert [s.run(["true"]).rc for s in sessions.values()] == [0, 0, 0]
    for session in sessions.values():
        session.close()


def test_every_unreachable_node_is_named(sshd: Sshd) -> None:
    away = [sshd.node(name=f"spark-{n}", port=free_port()) for n in (2, 3)]
    with pytest.raises(UnreachableError) as caught:
        open_all(Cluster("lab", sshd.node(), tuple(away)), known_hosts=sshd.known_hosts)
    assert "spark-2" in caught.value.what and "spark-3" in caught.value.what
    assert caught.value.where == "spark-2, spark-3"
    assert type(caught.value) is UnreachableError


def test_failures_of_one_kind_keep_their_kind(sshd: Sshd, tmp_path: Path) -> None:
    cluster = Cluster("lab", sshd.node(), (sshd.node(name="spark-2"),))
    with pytest.raises(HostKeyError, match="2 nodes"):
        open_all(cluster, known_hosts=tmp_path / "none")


def test_opening_all_with_new_keys_writes_each_once(sshd: Sshd, own_sshd: Sshd, tmp_path: Path) -> None:
    cluster = Cluster("lab", sshd.node(), (own_sshd.node(name="spark-2"),))
    sessions = open_all(cluster, known_hosts=tmp_path / "known", accept_new=True)
    for session in sessions.values():
        session.close()
    assert len((tmp_path / "known").read_text().splitlines()) == 2


def test_failing_logins_leave_no_noise(sshd: Sshd, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(LoginError):
        sshd.open(user="nobody-here")
    with pytest.raises(HostKeyError):
        SshSession(sshd.node(), known_hosts=tmp_path / "none")
    assert capfd.readouterr() == ("", "")
