"""What the nodes say about their fabric and their address, and what is made of it."""

import json

import pytest
from config_world import FABRIC

from sparkctl.config.discovery import LINKS, REACHED, Fabric, shared_fabric
from sparkctl.facts.fabric import FabricFact
from sparkctl.facts.probe import Answer


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
