import contextlib
import json
import os
import pty
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import typer
from config_world import World
from sshd import Sshd

from sparkctl.cli import init, init_logins
from sparkctl.cli.app import invoke
from sparkctl.config import local
from sparkctl.config.discovery import LINKS, REACHED, Fabric, shared_fabric
from sparkctl.config.load import NAMES
from sparkctl.config.local import Login
from sparkctl.config.nodes import nobody
from sparkctl.errors import ConfigError, SparkctlError, UnreachableError
from sparkctl.facts.fabric import FabricFact
from sparkctl.facts.probe import Answer
from sparkctl.topology import Node
from sparkctl.transport.sshconfig import user_on

LOCAL = "unified-config.local.env"
FABRIC = Fabric("enp1s0f1np1", ("10.0.0.1", "10.0.0.2"))
THREE = Fabric("enp1s0f1np1", ("10.0.0.1", "10.0.0.2", "10.0.0.3"))
HEAD = Login("192.168.1.5", "")


@pytest.fixture
def world(tmp_path: Path, laptop: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in NAMES & os.environ.keys():
        monkeypatch.delenv(name)
    return World(folder, {"USER": "nvidia", "HOME": str(laptop)})


def written(
    world: World,
    *logins: Login,
    fabric: Fabric | None = None,
    old: str = "",
    so_far: Mapping[str, str] = MappingProxyType({}),
) -> list[Node]:
    """The nodes that sparkctl reads from what init writes for these logins, head first."""
    values = local.assignments("192.168.1.5", logins, fabric, so_far)
    local.write(world.folder / LOCAL, local.text(old, values))
    nodes = world.load().cluster.nodes
    tried = local.cluster(logins, world.environ, nobody, "").nodes
    assert [(n.address, n.port, n.user) for n in nodes] == [(n.address, n.port, n.user) for n in tried]
    return [*nodes]


@pytest.fixture
def two(sshd: Sshd, own_sshd: Sshd, laptop: Path) -> Iterator[list[str]]:
    """The targets of two machines that let the laptop in."""
    shutil.copy(sshd.user_key, laptop / ".ssh/id_ed25519")
    public = sshd.user_key.with_suffix(".pub").read_bytes()
    (own_sshd.folder / "authorized").write_bytes(public)
    yield [f"{server.user}@127.0.0.1:{server.port}" for server in (sshd, own_sshd)]


def links(*interfaces: tuple[str, str], roce: str = "") -> FabricFact:
    """What a node with these interfaces (name, address) says; `roce` is the interface of an active RoCE device."""
    rows = [
        {"ifname": name, "operstate": "UP", "mtu": 1500, "addr_info": [{"local": ip}] if ip else []}
        for name, ip in interfaces
    ]
    rdma = f"rdma=rocep1s0f1 port 1 ==> {roce} (Up)\n" if roce else ""
    return LINKS.parse(Answer(f"addresses={json.dumps(rows)}\n{rdma}"))


@pytest.mark.parametrize(
    ("facts", "fabric"),
    [
        ([links(("enp1s0f1np1", "10.0.0.1")), links(("enp1s0f1np1", "10.0.0.2"))], FABRIC),
        ([links(("fab0", "10.0.0.1"), roce="fab0"), links(("fab0", "10.0.0.2"), roce="fab0")],
         Fabric("fab0", ("10.0.0.1", "10.0.0.2"))),
        ([links(("enP2p1s0f1np1", "10.0.1.1"), ("enp1s0f1np1", "10.0.0.1")),
          links(("enP2p1s0f1np1", "10.0.1.2"), ("enp1s0f1np1", "10.0.0.2"))], FABRIC),
        ([links(("enp1s0f1np1", "10.0.0.1")), links(("enp1s0f1np1", "10.0.9.2"))], None),
        ([links(("enp1s0f1np1", "10.0.0.1")), links(("enp1s0f0np0", "10.0.0.2"))], None),
        ([links(("enp1s0f1np1", "10.0.0.1")), links(("enp1s0f1np1", ""))], None),
        ([links(("enP7s7", "10.0.0.1")), links(("enP7s7", "10.0.0.2"))], None),
        ([links(("enp1s0f1np1", "fe80::1")), links(("enp1s0f1np1", "fe80::2"))], None),
        ([links(("enp1s0f1np1", "10.0.0.1"))], None),
        ([LINKS.parse(Answer("garbage", 1)), LINKS.parse(Answer("", 127))], None),
    ],
)  # fmt: skip
def test_the_fabric_is_an_interface_that_all_nodes_share(facts: list[FabricFact], fabric: Fabric | None) -> None:
    assert shared_fabric(facts) == fabric


@pytest.mark.parametrize(
    ("text", "address"), [("reached=10.1.2.3\n", "10.1.2.3"), ("reached=fe80::1\n", ""), ("reached=\n", ""), ("", "")]
)
def test_the_address_that_ssh_reached(text: str, address: str) -> None:
    assert REACHED.parse(Answer(text)) == address


@pytest.mark.parametrize("fabric", [FABRIC, None])
def test_what_is_written_loads(world: World, fabric: Fabric | None) -> None:
    one, two = written(world, Login("spark-1.local", "dan"), Login("eve@spark-2.local:2222", ""), fabric=fabric)
    assert (one.address, one.user) == ("spark-1.local", "dan")
    assert (two.address, two.user, two.port) == ("spark-2.local", "eve", 2222)
    assert (one.fabric_ip, two.fabric_ip) == (fabric or Fabric("", ("192.168.100.10", "192.168.100.11"))).addresses


def test_one_and_three_nodes_are_written(world: World) -> None:
    assert len(written(world, HEAD)) == 1
    nodes = written(world, HEAD, Login("b", "nvidia"), Login("c", "nvidia"), fabric=THREE)
    assert [node.fabric_ip for node in nodes] == list(THREE.addresses)
    assert "WORKER_NODE_SSH_USER=nvidia\n" in (world.folder / LOCAL).read_text()


def test_every_worker_keeps_its_own_login(world: World) -> None:
    nodes = written(world, Login("a", "dan"), Login("b", "alice"), Login("c:2222", "bob"), fabric=THREE)
    assert [node.user for node in nodes] == ["dan", "alice", "bob"]


def test_what_an_old_file_says_of_other_nodes_is_gone(world: World) -> None:
    old = (
        "HEAD_SSH_PORT=2222\nWORKER_USER=eve\nWORKER_IPS=10.0.0.2,10.0.0.3\nWORKER_SSH_TARGETS=x,y\n"
        "WORKER_NODE_NAMES=left,right\nWORKER_NODE_NETWORK=10.0.0.0/24\nHEAD_NODE_NAME=boss\nFABRIC_CTRL_IP=10.0.0.1\n"
    )
    lists = {"WORKER_IPS": "10.0.0.2,10.0.0.3", "WORKER_NODE_NAMES": "left,right"}
    nodes = written(
        world, HEAD, Login("b", ""), fabric=Fabric("fab0", ("10.9.0.1", "10.9.0.2")), old=old, so_far=lists
    )
    assert [(n.name, n.fabric_ip) for n in nodes] == [("boss", "10.9.0.1"), ("spark-2", "10.9.0.2")]
    nodes = written(world, HEAD, Login("b", ""), Login("c", ""), fabric=THREE, old=old, so_far=lists)
    assert [node.name for node in nodes] == ["boss", "left", "right"]
    nodes = written(world, HEAD, Login("b", ""), Login("c", ""), old=old, so_far=lists)
    assert [node.fabric_ip for node in nodes[1:]] == ["10.0.0.2", "10.0.0.3"]
    assert len(written(world, HEAD, old=old, so_far=lists)) == 1


def test_a_worker_joins_a_head_that_was_alone(world: World) -> None:
    assert len(written(world, HEAD)) == 1
    assert len(written(world, HEAD, Login("b", ""), old=(world.folder / LOCAL).read_text())) == 2


def test_all_else_of_an_old_file_stays_where_it_is(world: World) -> None:
    old = "# mine\r\n\nexport HEAD_SSH_USER=old # his\n  # token:\nHF_TOKEN='a\x0cb'\n\nHEAD_SSH_USER=twice\n#X=1"
    text = local.text(old, {"HEAD_SSH_USER": "dan", "WORKER_USER": ""})
    assert text == "# mine\n\nHEAD_SSH_USER=dan\n  # token:\nHF_TOKEN='a\x0cb'\n\n#X=1\nWORKER_USER=\n"
    assert local.text(text, {"HEAD_SSH_USER": "dan", "WORKER_USER": ""}) == text


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


def test_the_questions() -> None:
    answers = iter(["", "spark-1.local", "dan", "eve@spark-2.local", ""])
    asked: list[str] = []

    def prompt(text: str, **options: Any) -> str:
        asked.append(text)
        return str(next(answers))

    assert init_logins.converse(prompt, nobody) == [Login("spark-1.local", "dan"), Login("eve@spark-2.local", "")]
    assert asked[2] == "Login on spark-1.local"
    for text in ("a b", "dan@spark-1.local:22"):
        with pytest.raises(typer.BadParameter):
            init_logins.checked(text, {("spark-1.local", 22)})
    assert init_logins.checked(" root@a:22 ", ()) == "root@a:22"
    with pytest.raises(typer.BadParameter):
        init_logins.checked_login("clear; sparkctl plan")
    assert init_logins.checked_login("dan ") == "dan"


def test_the_questions_on_a_terminal(world: World) -> None:
    """The user mistypes the head, then gives one worker; nothing is tried over SSH."""
    answers = [b"a b", b"10.1.1.1", b"dan", b"10.1.1.2", b"", b""]
    leader, follower = pty.openpty()
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "TERM": "dumb"}
    command = [sys.executable, "-m", "sparkctl", "init", "--no-check"]
    with subprocess.Popen(command, stdin=follower, stdout=follower, stderr=follower, env=environ) as process:
        os.close(follower)
        os.write(leader, b"\n".join(answers) + b"\n")
        said = b""
        with contextlib.suppress(OSError):  # how Linux says that the other end has closed
            while chunk := os.read(leader, 4096):
                said += chunk
    os.close(leader)
    assert process.returncode == 0, said.decode()
    assert b"Error: not of the form [user@]host[:port]" in said
    head, worker = world.load().cluster.nodes
    assert (head.user, head.address, worker.user, worker.address) == ("dan", "10.1.1.1", "dan", "10.1.1.2")


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    with pytest.raises(OSError, match="target"):
        local.write(tmp_path / "target", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
