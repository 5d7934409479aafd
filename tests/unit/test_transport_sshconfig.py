"""Logins that the SSH configuration names, read before any connection is opened."""

import subprocess
import sys
from pathlib import Path

import pytest
from config_world import TWO_SPARKS, World
from sshd import Sshd

from sparkctl.errors import ConfigError, UnreachableError
from sparkctl.transport import sshconfig
from sparkctl.transport.sshconfig import user_on

CONFIG = 'Host al\n  Port 2222\n  User nvidia\nHost 192.168.1.*\n  user=spark\nMatch host bob\n  User "bob"\n'


@pytest.fixture
def config(laptop: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own file; there is no file of the system."""
    monkeypatch.setattr(sshconfig, "SYSTEM_FILE", laptop / "ssh_config")
    path = laptop / ".ssh/config"
    path.write_text(CONFIG)
    return path


@pytest.mark.parametrize(
    ("address", "user"), [("al", "nvidia"), ("192.168.1.6", "spark"), ("bob", "bob"), ("eve", ""), ("al.local", "")]
)
def test_the_user_of_a_host(config: Path, address: str, user: str) -> None:
    assert user_on(address) == user


def test_the_system_s_file_comes_last(config: Path, laptop: Path) -> None:
    (laptop / "ssh_config").write_text("Host *\n  User all\n")
    assert (user_on("al"), user_on("eve")) == ("nvidia", "all")
    config.unlink()
    assert user_on("al") == "all"


def test_a_variable_and_a_target_win_over_it_and_it_over_the_login_name(config: Path, tmp_path: Path) -> None:
    world = World(tmp_path, {"USER": "alice"}, user_on).shared(**{**TWO_SPARKS, "HEAD_SSH_TARGET": "al"})
    logins = {
        "HEAD_SSH_PORT=22": ["nvidia", "spark"],
        "HEAD_SSH_USER=dan": ["dan", "dan"],
        "WORKER_NODE_SSH_USER=dan": ["nvidia", "dan"],
    }
    for line, users in logins.items():
        assert [node.user for node in world.local(f"{line}\n").load().cluster.nodes] == users
    world.local()
    head, _ = world.load(HEAD_SSH_TARGET="bob@al").cluster.nodes
    assert (head.user, head.home) == ("bob", "/home/bob")
    head, worker = world.load(HEAD_SSH_TARGET="eve").cluster.nodes
    assert (head.user, worker.user) == ("alice", "spark")


def test_a_file_that_cannot_be_read_is_a_problem(config: Path) -> None:
    config.write_text("User x\ngarbage\n")
    with pytest.raises(ConfigError) as caught:
        user_on("al")
    (problem,) = caught.value.problems
    assert (problem.where, problem.found) == (str(config), "Unparsable line garbage")
    config.unlink()
    config.mkdir()
    with pytest.raises(ConfigError):
        user_on("al")


def test_a_file_that_cannot_be_read_opens_no_connection(sshd: Sshd, config: Path) -> None:
    config.write_text("garbage\n")
    with pytest.raises(UnreachableError, match="Unparsable line garbage"):
        sshd.open()


def test_paramiko_is_loaded_where_a_file_names_a_user_alone(config: Path) -> None:
    code = (
        "import sys; from sparkctl.transport.sshconfig import user_on; user_on('al'); print('paramiko' in sys.modules)"
    )
    for text, loaded in {"Host al\n  Port 22\n  UserKnownHostsFile x\n": "False\n", CONFIG: "True\n"}.items():
        config.write_text(text)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout == loaded
