import socket
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from cli_fakes import Cli, small_world
from sshd import Sshd, eventually

from sparkctl.transport.pulse import Pulse
from sparkctl.transport.ssh import SshSession


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server on a busy machine answers late, and has not frozen."""
    monkeypatch.setattr("sparkctl.transport.door.CHANNEL_SECONDS", 60.0)
    monkeypatch.setattr("sparkctl.transport.ssh.Pulse", partial(Pulse, seconds=60.0))


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """One real sshd for all tests that leave it as it is."""
    server = Sshd(tmp_path_factory.mktemp("sshd") / "server")
    yield server
    server.stop()


@pytest.fixture
def own_sshd(tmp_path: Path) -> Iterator[Sshd]:
    """An sshd of the test's own, to be broken."""
    server = Sshd(tmp_path / "server")
    yield server
    server.stop()


@pytest.fixture
def session(sshd: Sshd) -> Iterator[SshSession]:
    """An open session to the shared sshd."""
    with_node = sshd.open()
    yield with_node
    with_node.close()


@pytest.fixture
def laptop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder with .ssh, and no agent."""
    home = tmp_path / "laptop"
    (home / ".ssh").mkdir(parents=True, mode=0o700)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return home


@pytest.fixture
def agent(laptop: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A running ssh-agent without keys."""
    path = laptop / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL)
    with socket.socket(socket.AF_UNIX) as end:
        assert eventually(lambda: end.connect_ex(str(path)) == 0 or process.poll() is not None)
    assert process.poll() is None
    monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
    yield path
    process.terminate()
    process.wait(60)


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Cli:
    """A command line with a small world of fake nodes behind it, on which nothing is deployed."""
    return Cli(monkeypatch, capsys, tmp_path).use(*small_world())
