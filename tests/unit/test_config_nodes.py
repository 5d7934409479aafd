from pathlib import Path

import pytest
from config_world import TWO_SPARKS, World

from sparkctl.errors import Problem
from sparkctl.topology import Node, Role

HEAD = {"CONTROL_PLANE_API_IP": "192.168.1.5", "FABRIC_CTRL_IP": "10.0.0.1"}
DIFFERENT = "a different one for each node"
WHERE = "unified-config.env"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_two_sparks(world: World) -> None:
    head, worker = world.shared(**TWO_SPARKS).load().cluster.nodes
    nic = "enp1s0f1np1"
    assert head == Node("spark-1", Role.HEAD, "192.168.1.5", "nvidia", 22, "192.168.100.10", nic)
    assert worker == Node("spark-2", Role.WORKER, "192.168.1.6", "nvidia", 22, "192.168.100.11", nic)


def test_lists_name_many_workers(world: World) -> None:
    world.shared(**HEAD, WORKER_IPS='"10.0.0.2, 10.0.0.3 10.0.0.4"', WORKER_SSH_TARGETS="b,root@c,d:2222")
    nodes = world.load().cluster.workers
    assert [(n.name, n.fabric_ip, n.user, n.address, n.port) for n in nodes] == [
        ("spark-2", "10.0.0.2", "nvidia", "b", 22),
        ("spark-3", "10.0.0.3", "root", "c", 22),
        ("spark-4", "10.0.0.4", "nvidia", "d", 2222),
    ]


def test_lists_give_names(world: World) -> None:
    world.shared(**HEAD, WORKER_IPS="10.0.0.2,10.0.0.3", WORKER_SSH_TARGETS="b,c", WORKER_NODE_NAMES="left,right")
    assert [node.name for node in world.load().cluster.nodes] == ["spark-1", "left", "right"]


@pytest.mark.parametrize(
    ("values", "head", "worker"),
    [
        ({}, "nvidia", "nvidia"),
        ({"HEAD_SSH_USER": "dan"}, "dan", "dan"),
        ({"WORKER_USER": "eve"}, "nvidia", "eve"),
        ({"WORKER_USER": "eve", "WORKER_NODE_SSH_USER": "ann"}, "nvidia", "ann"),
        ({"HEAD_SSH_USER": "dan", "HEAD_SSH_TARGET": "bob@spark-1.local"}, "bob", "dan"),
    ],
)
def test_logins(world: World, values: dict[str, str], head: str, worker: str) -> None:
    cluster = world.shared(**TWO_SPARKS, **values).load().cluster
    assert (cluster.head.user, cluster.workers[0].user) == (head, worker)


def test_one_node_finds_itself_where_its_clients_do(world: World) -> None:
    config = world.load("single", CONTROL_PLANE_API_IP="192.168.1.5", HEAD_SSH_TARGET="spark-1.local")
    assert config.cluster.workers == ()
    assert config.cluster.head.address == "spark-1.local"
    assert config.cluster.head.data_ip == "192.168.1.5"
    assert config.cluster.head.fabric_interface == ""


def test_the_model_cache_is_below_the_home_of_the_login(world: World) -> None:
    settings = world.shared(**TWO_SPARKS).load().settings
    assert settings.hf_cache_at("/home/dan") == "/home/dan/.cache/huggingface"
    assert world.load(HF_CACHE="/data/hf/").settings.hf_cache_at("/home/dan") == "/data/hf"


def test_the_key_file_must_be_there(world: World) -> None:
    (world.folder / "id").write_text("key")
    world.shared(**TWO_SPARKS)
    assert world.load(SSH_KEY_FILE="id").cluster.head.identity_file == str(world.folder / "id")
    assert world.problems(SSH_KEY_FILE="/no/key") == (
        Problem("flag", "SSH_KEY_FILE", "no such file: /no/key", "a private key on this machine"),
    )


@pytest.mark.parametrize(
    ("values", "name", "found", "accepted"),
    [
        (
            {"WORKER_NODE_SSH_TARGET": "192.168.1.5"},
            "WORKER_NODE_SSH_TARGET",
            "2 nodes have the SSH target 192.168.1.5",
            DIFFERENT,
        ),
        (
            {"WORKER_NODE_IP": "192.168.100.10"},
            "WORKER_NODE_IP",
            "2 nodes have the fabric address 192.168.100.10",
            DIFFERENT,
        ),
        ({"WORKER_NODE_NAME": "Spark-1"}, "WORKER_NODE_NAME", "2 nodes have the name spark-1", DIFFERENT),
        ({"FABRIC_CTRL_IP": ""}, "FABRIC_CTRL_IP", "not set", "an IPv4 address that the workers reach"),
        (
            {"FABRIC_CTRL_CIDR": "192.168.100.10/31"},
            "FABRIC_CTRL_CIDR",
            "",
            "",
        ),
        (
            {"FABRIC_CTRL_CIDR": "/25", "WORKER_NODE_IP": "192.168.100.211"},
            "FABRIC_CTRL_CIDR",
            "192.168.100.0/25 does not hold 192.168.100.211",
            "one subnet with all fabric addresses",
        ),
        (
            {"WORKER_NODE_NETWORK": "10.10.10.0/30"},
            "WORKER_NODE_NETWORK",
            "10.10.10.0/30 does not hold 192.168.100.10, 192.168.100.11",
            "one subnet with all fabric addresses",
        ),
        (
            {"WORKER_IPS": "192.168.100.12"},
            "WORKER_NODE_IP",
            "'192.168.100.11'",
            "192.168.100.12, the first of WORKER_IPS (unified-config.env:5), or one of both unset",
        ),
        (
            {"WORKER_IPS": "192.168.100.11 192.168.100.12"},
            "WORKER_SSH_TARGETS",
            "1 for 2 workers",
            "for each worker [user@]host[:port]: a host name, an alias or an address",
        ),
        ({"WORKER_NODE_NAMES": "a,b"}, "WORKER_NODE_NAMES", "2 for 1 workers", "one name for each worker"),
    ],
)
def test_nodes_that_do_not_fit_together(
    world: World, values: dict[str, str], name: str, found: str, accepted: str
) -> None:
    world.shared(**{**TWO_SPARKS, **values})
    if not found:
        assert world.load().cluster.workers
        return
    problem = world.problems()[0]
    assert (problem.name, problem.found, problem.accepted) == (name, found, accepted)
    assert problem.where.startswith(WHERE) or name not in values


def test_the_same_address_twice_in_a_list(world: World) -> None:
    world.shared(**HEAD, WORKER_IPS="10.0.0.2,10.0.0.2", WORKER_SSH_TARGETS="b,c")
    assert world.problems() == (
        Problem(f"{WHERE}:3", "WORKER_IPS", "2 nodes have the fabric address 10.0.0.2", DIFFERENT),
    )


def test_a_higher_layer_settles_a_contradiction(world: World) -> None:
    world.shared(**TWO_SPARKS).local(WORKER_IPS="192.168.100.12,192.168.100.13", WORKER_SSH_TARGETS="b,c")
    assert [n.fabric_ip for n in world.load().cluster.workers] == ["192.168.100.12", "192.168.100.13"]
    world.shared(**TWO_SPARKS, WORKER_IPS="192.168.100.11").local(WORKER_NODE_IP="192.168.100.14")
    assert [n.fabric_ip for n in world.load().cluster.workers] == ["192.168.100.14"]
    world.shared(**HEAD, WORKER_IPS="10.0.0.2,10.0.0.3", WORKER_SSH_TARGETS="b,c").local(WORKER_NODE_IP="10.0.0.4")
    assert world.problems()[0].name == "WORKER_NODE_IP"


def test_sixteen_nodes_on_one_host_differ_by_port(world: World) -> None:
    ips = ",".join(f"10.0.0.{i}" for i in range(2, 17))
    targets = ",".join(f"127.0.0.1:{2200 + i}" for i in range(2, 17))
    world.shared(**HEAD, WORKER_IPS=ips, WORKER_SSH_TARGETS=targets)
    assert len(world.load().cluster.nodes) == 16
