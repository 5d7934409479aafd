"""unified-config.local.env as init writes it: what sparkctl reads from it, and what stays of an old one."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest
from config_world import FABRIC, LOCAL, World, own_folder

from sparkctl.config import local
from sparkctl.config.discovery import Fabric
from sparkctl.config.local import Login
from sparkctl.config.nodes import nobody
from sparkctl.topology import Node

THREE = Fabric("enp1s0f1np1", ("10.0.0.1", "10.0.0.2", "10.0.0.3"))
HEAD = Login("192.168.1.5", "")
world = pytest.fixture(own_folder)


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


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    with pytest.raises(OSError, match="target"):
        local.write(tmp_path / "target", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
