"""sudo over a real sshd, as a user made for the test and removed after it."""

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sshd import Sshd, eventually, gone, processes, sleeper

from sparkctl.errors import CommandFailed
from sparkctl.transport.ssh import SshSession

pytestmark = pytest.mark.skipif(
    os.getuid() != 0 or not shutil.which("sudo"), reason="needs root, to make a user, and sudo"
)


@pytest.fixture(scope="module")
def user() -> Iterator[str]:
    name = f"sparkt-{secrets.token_hex(4)}"
    subprocess.run(["useradd", "--no-create-home", "--shell", "/bin/bash", "--password", "*", name], check=True)
    yield name
    Path(f"/etc/sudoers.d/{name}").unlink(missing_ok=True)
    assert eventually(lambda: subprocess.run(["userdel", name], capture_output=True).returncode == 0)


@pytest.fixture(scope="module")
def server(user: str) -> Iterator[Sshd]:
    # Not under pytest's folder, which the user must not enter.
    with tempfile.TemporaryDirectory(prefix="sparkt-") as folder:
        Path(folder).chmod(0o755)
        server = Sshd(Path(folder) / "server", user=user)
        yield server
        server.stop()


@pytest.fixture
def session(server: Sshd) -> Iterator[SshSession]:
    session = server.open()
    yield session
    session.close()


@pytest.fixture
def allowed(user: str) -> Iterator[None]:
    path = Path(f"/etc/sudoers.d/{user}")
    path.write_text(f"{user} ALL=(ALL) NOPASSWD: ALL\n")
    yield
    path.unlink()


def test_a_password_that_is_asked_for_is_an_error_with_its_fix(session: SshSession, user: str) -> None:
    for check in (True, False):
        with pytest.raises(CommandFailed) as caught:
            session.run(["true"], sudo=True, check=check)
        assert "NOPASSWD" in caught.value.fix and user in caught.value.fix
        assert "password is required" in caught.value.output


def test_sudo_runs_as_root_and_without_it_as_the_user(session: SshSession, user: str, allowed: None) -> None:
    assert session.run(["id", "-un"], sudo=True).stdout == "root\n"
    assert session.script("id -un; cat", stdin=b"data", sudo=True).stdout == "root\ndata"
    assert session.run(["id", "-un"]).stdout == f"{user}\n"
    assert session.run(["sh", "-c", "exit 9"], sudo=True, check=False).rc == 9


def test_a_file_written_with_sudo_is_of_root(session: SshSession, allowed: None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        session.write(f"{folder}/a/f", b"x", mode=0o600, sudo=True)
        info = (Path(folder) / "a/f").stat()
        assert (info.st_uid, info.st_mode & 0o777) == (0, 0o600)
        with pytest.raises(CommandFailed, match=f"write {folder}/a/g"):
            session.write(f"{folder}/a/g", b"x")


def test_a_process_of_root_ends_with_the_connection(server: Sshd, allowed: None) -> None:
    seconds = sleeper()
    session = server.open()
    with pytest.raises(CommandFailed, match="did not end"):
        session.script(f"sleep {seconds} & trap '' TERM; echo; sleep {seconds}", sudo=True, timeout=1)
    assert gone(f"sleep {seconds}")
    session.close()
    assert not processes(f"sleep {seconds}")


def test_an_engine_that_the_user_may_not_speak_to(session: SshSession, user: str) -> None:
    if not Path("/var/run/docker.sock").exists():
        pytest.skip("no Docker engine here")
    with pytest.raises(CommandFailed) as caught:
        _ = session.docker
    assert f"usermod -aG docker {user}" in caught.value.fix
