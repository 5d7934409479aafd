"""Host keys of a real sshd: what is trusted, what is asked, what is refused."""

import shutil
import subprocess
from pathlib import Path

import pytest
from sshd import Sshd, make_key, works

from sparkctl.errors import HostKeyError
from sparkctl.transport.ssh import SshSession


def test_an_unknown_host_key_is_refused_with_its_fingerprint(sshd: Sshd, tmp_path: Path) -> None:
    with pytest.raises(HostKeyError) as caught:
        SshSession(sshd.node(), known_hosts=tmp_path / "none")
    assert sshd.fingerprint() in caught.value.what
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
    assert asked == [(sshd.name, sshd.fingerprint())]
    assert path.exists() is answer


def test_a_changed_key_is_refused_whatever_the_flags(own_sshd: Sshd, tmp_path: Path) -> None:
    old = own_sshd.fingerprint()
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
