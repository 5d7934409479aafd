"""init: what it asks machines over a real SSH, what it refuses, what it writes and what it leaves."""

import json
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from config_world import LOCAL, World, own_folder
from sshd import Sshd

from sparkctl.cli import init
from sparkctl.cli.app import invoke
from sparkctl.config.discovery import Fabric
from sparkctl.errors import ConfigError, SparkctlError, UnreachableError
from sparkctl.transport.sshconfig import user_on

world = pytest.fixture(own_folder)


@pytest.fixture
def two(sshd: Sshd, own_sshd: Sshd, laptop: Path) -> Iterator[list[str]]:
    """The targets of two machines that let the laptop in."""
    shutil.copy(sshd.user_key, laptop / ".ssh/id_ed25519")
    public = sshd.user_key.with_suffix(".pub").read_bytes()
    (own_sshd.folder / "authorized").write_bytes(public)
    yield [f"{server.user}@127.0.0.1:{server.port}" for server in (sshd, own_sshd)]


def test_init_asks_the_machines(
    world: World, two: list[str], laptop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head, worker = two
    assert invoke(["init", "--head", head, "--worker", worker, "--accept-new-host-keys", "--json"]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (document["api_ip"], document["profile"]) == ("127.0.0.1", "stacked")
    path = world.folder / LOCAL
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [f"{n.user}@{n.address}:{n.port}" for n in world.load().cluster.nodes] == two
    assert len((laptop / ".ssh/known_hosts").read_text().splitlines()) == 2


def test_init_never_overwrites_unasked(world: World, two: list[str]) -> None:
    world.local("# mine\nexport HF_TOKEN=hf_mine\nHEAD_SSH_USER=old\n")
    argv = ["init", "--head", two[0], "--accept-new-host-keys"]
    with pytest.raises(SparkctlError, match="this needs a confirmation"):
        invoke(argv)
    assert "HEAD_SSH_USER=old\n" in (world.folder / LOCAL).read_text()
    assert invoke([*argv, "--yes"]) == 0
    text = (world.folder / LOCAL).read_text()
    assert "CONTROL_PLANE_API_IP=127.0.0.1\n" in text
    assert text.startswith("# mine\nexport HF_TOKEN=hf_mine\nHEAD_SSH_USER=\n")
    assert "old" not in text
    assert world.load().settings.hf_token.get_secret_value() == "hf_mine"


def test_init_writes_nothing_where_a_machine_does_not_answer(world: World, two: list[str]) -> None:
    argv = ["init", "--head", two[0], "--worker", "root@127.0.0.1:1", "--accept-new-host-keys"]
    with pytest.raises(UnreachableError):
        invoke(argv)
    assert list(world.folder.iterdir()) == []


def test_init_without_a_terminal_says_what_to_do(world: World) -> None:
    with pytest.raises(SparkctlError) as caught:
        invoke(["init"])
    assert caught.value.fix == "sparkctl init --head TARGET --worker TARGET"


def test_init_without_a_head_names_it(world: World) -> None:
    with pytest.raises(ConfigError) as caught:
        invoke(["init", "--worker", "10.1.1.2"])
    (problem,) = caught.value.problems
    assert (problem.name, problem.found) == ("--head", "not set")


@pytest.mark.parametrize("environment", [True, False])
def test_init_uses_the_keys_that_are_configured(
    world: World, sshd: Sshd, laptop: Path, monkeypatch: pytest.MonkeyPatch, environment: bool
) -> None:
    target = f"{sshd.user}@127.0.0.1:{sshd.port}"
    values = {"SSH_KEY_FILE": str(sshd.user_key), "SSH_KNOWN_HOSTS_FILE": "hosts"}
    shutil.copy(sshd.known_hosts, world.folder / "hosts")
    if environment:
        for name, value in values.items():
            monkeypatch.setenv(name, value)
    else:
        world.local(**values)
    assert invoke(["init", "--yes", "--head", target]) == 0
    assert not (laptop / ".ssh/known_hosts").exists()


def test_init_takes_the_login_of_the_ssh_configuration(world: World, laptop: Path) -> None:
    (laptop / ".ssh/config").write_text("Host 10.1.1.*\n User spark\n")
    assert invoke(["init", "--no-check", "--head", "10.1.1.1", "--worker", "eve@10.1.1.2"]) == 0
    world.user_on = user_on
    assert [node.user for node in world.load().cluster.nodes] == ["spark", "eve"]


def test_init_says_what_the_environment_hides(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HEAD_SSH_PORT", "2222")
    assert invoke(["init", "--no-check", "--head", "10.1.1.1"]) == 0
    assert f"note: the environment wins over {LOCAL}, and sets HEAD_SSH_PORT\n" in capsys.readouterr().out


def test_many_workers_without_a_fabric_name_what_is_missing(world: World) -> None:
    with pytest.raises(ConfigError) as caught:
        invoke(["init", "--no-check", "--head", "10.1.1.1", "--worker", "b", "--worker", "c"])
    (problem,) = caught.value.problems
    assert (problem.name, problem.found) == ("WORKER_IPS", "0 for 2 workers")
    assert problem.where.startswith(f"{LOCAL}:")
    with (world.folder / LOCAL).open("a") as file:
        file.write("HF_TOKEN=hf_mine\n")
    path = world.folder / LOCAL
    path.write_text(path.read_text().replace("WORKER_IPS=", "WORKER_IPS=192.168.100.11,192.168.100.12"))
    assert invoke(["init", "--yes", "--no-check", "--head", "10.1.1.1", "--worker", "b", "--worker", "c"]) == 0


def test_a_worker_without_an_address_is_not_left_out_in_silence(world: World) -> None:
    world.shared(FABRIC_CTRL_IP="10.0.0.1")
    with pytest.raises(ConfigError) as caught:
        invoke(["init", "--no-check", "--head", "10.1.1.1", "--worker", "b"])
    (problem,) = caught.value.problems
    assert (problem.name, problem.found) == ("WORKER_NODE_IP", "not set")


def test_a_file_that_cannot_be_read_is_not_replaced(world: World) -> None:
    (world.folder / LOCAL).write_bytes(b"HF_TOKEN=\xff\n")
    with pytest.raises(ConfigError):
        invoke(["init", "--yes", "--no-check", "--head", "10.1.1.1"])
    assert (world.folder / LOCAL).read_bytes() == b"HF_TOKEN=\xff\n"


def test_init_refuses_targets_that_cannot_be(world: World) -> None:
    with pytest.raises(ConfigError) as caught:
        invoke(["init", "--head", "-oProxyCommand=x", "--worker", "a b"])
    assert [problem.name for problem in caught.value.problems] == ["--head", "--worker"]


def test_init_refuses_one_machine_twice(world: World) -> None:
    world.local("HEAD_SSH_USER=old\n")
    with pytest.raises(ConfigError) as caught:
        invoke(["init", "--yes", "--head", "10.1.1.1", "--worker", "dan@10.1.1.1:22"])
    assert [problem.name for problem in caught.value.problems] == ["--worker"]
    with pytest.raises(SparkctlError, match="two nodes are one machine"):
        init.refuse_one_machine_twice(Fabric("enp1s0f0np0", ("10.0.0.1", "10.0.0.1")))
    assert (world.folder / LOCAL).read_text() == "HEAD_SSH_USER=old\n"


def test_init_without_a_check(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["init", "--no-check", "--head", "10.1.1.1", "--worker", "10.1.1.2"]) == 0
    _, fabric, after = capsys.readouterr().out.splitlines()
    assert fabric.startswith("fabric not looked for: ")
    assert after == "next: sparkctl plan --profile stacked"
    with pytest.raises(SparkctlError, match=r"the address behind spark-1\.local is unknown"):
        invoke(["init", "--no-check", "--yes", "--head", "spark-1.local"])
