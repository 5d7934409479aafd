"""Opening a connection to a real sshd: host keys, user keys, the SSH configuration, and every way to fail."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sshd import Sshd, free_port, make_key

from sparkctl.errors import HostKeyError, LoginError, UnreachableError
from sparkctl.topology import Cluster, Node, Role
from sparkctl.transport.ssh import SshSession, open_all


def fingerprint(server: Sshd, kind: str = "ed25519") -> str:
    out = subprocess.run(
        ["ssh-keygen", "-lf", server.folder / f"host_{kind}.pub"], capture_output=True, text=True, check=True
    )
    return out.stdout.split()[1]


def works(session: SshSession) -> bool:
    try:
        return session.run(["echo", "x"]).stdout == "x\n"
    finally:
        session.close()


# Host keys


def test_an_unknown_host_key_is_refused_with_its_fingerprint(sshd: Sshd, tmp_path: Path) -> None:
    with pytest.raises(HostKeyError) as caught:
        SshSession(sshd.node(), known_hosts=tmp_path / "none")
    assert fingerprint(sshd) in caught.value.what
    assert "--accept-new-host-keys" in caught.value.fix
    assert caught.value.exit_code == 4
    assert not (tmp_path / "none").exists()


def test_accept_new_writes_the_key_and_the_next_connection_knows_it(sshd: Sshd, tmp_path: Path) -> None:
    path = tmp_path / "new" / "known_hosts"
    assert works(SshSession(sshd.node(), known_hosts=path, accept_new=True))
    assert path.read_text() == sshd.known_hosts.read_text()
    assert works(SshSession(sshd.node(), known_hosts=path))
    assert path.read_text().count("\n") == 1


def test_a_line_without_its_newline_is_not_run_into(sshd: Sshd, tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    path.write_text("# no newline")
    assert works(SshSession(sshd.node(), known_hosts=path, accept_new=True))
    assert path.read_text() == "# no newline\n" + sshd.known_hosts.read_text()


@pytest.mark.parametrize("answer", [True, False])
def test_a_person_is_asked_and_decides(sshd: Sshd, tmp_path: Path, answer: bool) -> None:
    asked: list[tuple[str, str]] = []

    def ask(host: str, shown: str) -> bool:
        asked.append((host, shown))
        return answer

    path = tmp_path / "known_hosts"
    if answer:
        assert works(SshSession(sshd.node(), known_hosts=path, ask=ask))
    else:
        with pytest.raises(HostKeyError):
            SshSession(sshd.node(), known_hosts=path, ask=ask)
    assert asked == [(sshd.name, fingerprint(sshd))]
    assert path.exists() is answer


def test_a_changed_key_is_refused_whatever_the_flags(own_sshd: Sshd, tmp_path: Path) -> None:
    old = fingerprint(own_sshd)
    other = make_key(tmp_path / "other").with_suffix(".pub").read_text().split()[1]
    known = own_sshd.known_hosts
    before = f"# first\n{own_sshd.name} ssh-ed25519 {other}\n"
    known.write_text(before)
    with pytest.raises(HostKeyError) as caught:
        SshSession(own_sshd.node(), known_hosts=known, accept_new=True, ask=lambda host, shown: True)
    assert f"{known}:2" in caught.value.what
    assert old in caught.value.what and caught.value.what.count("SHA256:") == 2
    assert known.read_text() == before
    command = caught.value.fix.split("try again: ")[1].split(";")[0]
    subprocess.run(["bash", "-c", command], check=True, capture_output=True)
    assert works(SshSession(own_sshd.node(), known_hosts=known, accept_new=True))


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_the_server_is_asked_for_the_kind_of_key_that_is_known(tmp_path: Path, kind: str) -> None:
    server = Sshd(tmp_path / "server", kinds=("ed25519", "ecdsa", "rsa"))
    line = next(text for text in server.known_hosts.read_text().splitlines() if kind in text.split()[1])
    server.known_hosts.write_text(line + "\n")
    try:
        assert works(server.open())
    finally:
        server.stop()


def test_a_hashed_known_hosts_works(own_sshd: Sshd) -> None:
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", own_sshd.known_hosts], check=True, capture_output=True)
    assert "127.0.0.1" not in own_sshd.known_hosts.read_text()
    assert works(own_sshd.open())


def test_a_revoked_key_is_refused(own_sshd: Sshd) -> None:
    own_sshd.known_hosts.write_text("@revoked " + own_sshd.known_hosts.read_text())
    with pytest.raises(HostKeyError, match="revoked"):
        SshSession(own_sshd.node(), known_hosts=own_sshd.known_hosts, accept_new=True)


def test_the_users_known_hosts_is_the_default(sshd: Sshd, laptop: Path) -> None:
    with pytest.raises(HostKeyError):
        SshSession(sshd.node())
    shutil.copy(sshd.known_hosts, laptop / ".ssh/known_hosts")
    assert works(SshSession(sshd.node()))


def test_lines_that_mean_nothing_are_passed_over(own_sshd: Sshd) -> None:
    good = own_sshd.known_hosts.read_text()
    own_sshd.known_hosts.write_bytes(
        b"\n#x\n|1|bad|bad ssh-ed25519 AAAA\nh\n\xff\xfe x y\n@cert-authority * ssh-ed25519 AAAA\n"
        + f"{own_sshd.name} ssh-ed25519 !!!\n{good}".encode()
    )
    assert works(own_sshd.open())


# Keys of the user


def test_a_wrong_key_is_named(sshd: Sshd, tmp_path: Path) -> None:
    wrong = make_key(tmp_path / "wrong")
    with pytest.raises(LoginError) as caught:
        sshd.open(identity_file=str(wrong))
    assert str(wrong) in caught.value.what and sshd.user in caught.value.what
    assert "ssh-copy-id" in caught.value.fix
    assert caught.value.exit_code == 4


def test_a_key_that_is_not_there_is_named(sshd: Sshd, tmp_path: Path) -> None:
    with pytest.raises(LoginError, match=r"missing.*No such file"):
        sshd.open(identity_file=str(tmp_path / "missing"))


def test_a_file_that_is_no_key_is_named(sshd: Sshd, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    with pytest.raises(LoginError, match=r"text \(not offered"):
        sshd.open(identity_file=str(tmp_path / "text"))


def test_a_wrong_user_is_named(sshd: Sshd) -> None:
    with pytest.raises(LoginError, match="refuses user nobody-here"):
        sshd.open(user="nobody-here")


def test_without_any_key_it_says_so(sshd: Sshd, laptop: Path) -> None:
    with pytest.raises(LoginError, match="keys: none"):
        sshd.open(identity_file="")


def test_the_identity_file_is_the_only_key_offered(sshd: Sshd, laptop: Path, agent: Path) -> None:
    subprocess.run(["ssh-add", "-q", sshd.user_key], check=True)
    wrong = make_key(laptop / "wrong")
    with pytest.raises(LoginError) as caught:
        sshd.open(identity_file=str(wrong))
    assert "agent" not in caught.value.what


def test_a_default_key_is_found(sshd: Sshd, laptop: Path) -> None:
    shutil.copy(sshd.user_key, laptop / ".ssh/id_ed25519")
    assert works(sshd.open(identity_file=""))


@pytest.fixture
def agent(laptop: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    path = laptop / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL)
    while not path.exists():
        assert process.poll() is None
    monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
    yield path
    process.terminate()
    process.wait(5)


def test_a_key_of_the_agent_works(sshd: Sshd, agent: Path) -> None:
    subprocess.run(["ssh-add", "-q", sshd.user_key], check=True)
    assert works(sshd.open(identity_file=""))


def locked_key(server: Sshd, folder: Path) -> Path:
    key = make_key(folder / "locked", passphrase="open sesame")
    with (server.folder / "authorized").open("a") as file:
        file.write(key.with_suffix(".pub").read_text())
    return key


def test_a_key_with_a_passphrase_works_through_the_agent(own_sshd: Sshd, agent: Path) -> None:
    key = locked_key(own_sshd, agent.parent)
    with pytest.raises(LoginError, match="passphrase; ssh-add"):
        own_sshd.open(identity_file=str(key))
    helper = agent.parent / "askpass"
    helper.write_text("#!/bin/sh\necho open sesame\n")
    helper.chmod(0o700)
    subprocess.run(
        ["ssh-add", "-q", key],
        check=True,
        env=os.environ | {"SSH_ASKPASS": str(helper), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":0"},
        stdin=subprocess.DEVNULL,
    )
    assert works(own_sshd.open(identity_file=str(key)))


def test_a_person_may_unlock_a_key(own_sshd: Sshd, laptop: Path) -> None:
    key = locked_key(own_sshd, laptop)
    node = own_sshd.node(identity_file=str(key))
    assert works(SshSession(node, known_hosts=own_sshd.known_hosts, unlock=lambda path: "open sesame"))
    with pytest.raises(LoginError, match="does not open it"):
        SshSession(node, known_hosts=own_sshd.known_hosts, unlock=lambda path: "wrong")


# The SSH configuration


def test_an_alias_brings_host_user_port_and_key(sshd: Sshd, laptop: Path) -> None:
    (laptop / ".ssh/config").write_text(
        f"Host desk\n HostName 127.0.0.1\n User {sshd.user}\n Port {sshd.port}\n IdentityFile {sshd.user_key}\n"
    )
    assert works(sshd.open(address="desk", user="", port=22, identity_file=""))


def test_identities_only_keeps_the_agent_quiet(sshd: Sshd, laptop: Path, agent: Path) -> None:
    wrong = make_key(laptop / "wrong")
    subprocess.run(["ssh-add", "-q", wrong], check=True)
    (laptop / ".ssh/config").write_text(f"Host *\n IdentitiesOnly yes\n IdentityFile {sshd.user_key}\n")
    assert works(sshd.open(identity_file=""))
    (laptop / ".ssh/config").write_text("Host *\n IdentitiesOnly yes\n IdentityFile ~/.ssh/nothing\n")
    with pytest.raises(LoginError) as caught:
        sshd.open(identity_file="")
    assert "agent" not in caught.value.what


def test_a_jump_host_is_gone_through(sshd: Sshd, own_sshd: Sshd, laptop: Path) -> None:
    jump = f"{own_sshd.user}@127.0.0.1:{own_sshd.port}"
    (laptop / ".ssh/config").write_text(
        f"Host far\n HostName localhost\n ProxyJump {jump}\nHost *\n IdentityFile {own_sshd.user_key}\n"
    )
    known = laptop / "known"
    known.write_text(own_sshd.known_hosts.read_text() + sshd.known_hosts.read_text().replace("127.0.0.1", "localhost"))
    session = SshSession(sshd.node(address="far"), known_hosts=known)
    source = session.run(["sh", "-c", "echo $SSH_CONNECTION"]).stdout.split()
    assert source[3] == str(sshd.port)
    (own_log,) = [line for line in (own_sshd.folder / "log").read_text().splitlines() if "Accepted" in line]
    assert own_sshd.user in own_log
    session.close()
    known.write_text(sshd.known_hosts.read_text().replace("127.0.0.1", "localhost"))
    with pytest.raises(HostKeyError, match=str(own_sshd.port)):
        SshSession(sshd.node(address="far"), known_hosts=known)


def test_a_proxy_command_is_used(sshd: Sshd, laptop: Path) -> None:
    relay = laptop / "relay.py"
    relay.write_text(
        "import os, socket, sys, threading\n"
        "s = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
        "def up():\n"
        "    while data := os.read(0, 65536): s.sendall(data)\n"
        "threading.Thread(target=up, daemon=True).start()\n"
        "while data := s.recv(65536): os.write(1, data)\n"
    )
    (laptop / ".ssh/config").write_text(
        f"Host far\n HostName 127.0.0.1\n ProxyCommand {sys.executable} {relay} %h %p\n"
    )
    assert works(sshd.open(address="far"))


# Out of reach


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
            SshSession(node, connect_timeout=3)
        child.wait(5)


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
