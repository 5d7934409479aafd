"""What `sparkctl init` learns from the nodes themselves: the address that it reached, and their fabric."""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

from sparkctl.facts.fabric import FabricFact, fabric_probe
from sparkctl.facts.lines import pairs
from sparkctl.facts.probe import Answer, Probe

_FABRIC_NAME = re.compile(r"enp1s0f[01]np[01]|enP2p1s0f[01]np[01]")
"""Interfaces of a Spark's ConnectX-7, for where no RoCE device tells."""


@dataclass(frozen=True)
class Fabric:
    """One interface that all nodes share, and the address of each on it, in rank order."""

    interface: str
    addresses: tuple[str, ...]


def _reached(answer: Answer) -> str:
    address = pairs(answer.stdout).get("reached", "")
    return address if _is_ipv4(address) else ""


REACHED: Probe[str] = Probe("reached", 'set -- $SSH_CONNECTION; echo "reached=$3"', _reached)
"""The node's own address of this very connection; empty where it is no IPv4 address."""
LINKS: Probe[FabricFact] = fabric_probe("lo", (), None)
"""All interfaces and RoCE devices of a node."""


def shared_fabric(facts: Sequence[FabricFact]) -> Fabric | None:
    """The fabric that all nodes are on: a fast interface of one name, up, with addresses that share a /24.

    The halves of a port come in the order of their names in upper case: `enp1s0f1np1` before `enP2p1s0f1np1`.
    """
    names = set.intersection(*(_fast(fact) for fact in facts)) if len(facts) > 1 else set()
    for name in sorted(names, key=str.upper):
        found = tuple(_address(fact, name) for fact in facts)
        if len({ipaddress.ip_network(f"{address}/24", strict=False) for address in found}) == 1:
            return Fabric(name, found)
    return None


def _fast(fact: FabricFact) -> set[str]:
    """Names of the interfaces that carry an address and belong to a RoCE device, or are named like one."""
    roce = {device.interface for device in fact.rdma if device.up}
    fast = (i for i in fact.interfaces if i.up and (i.name in roce or _FABRIC_NAME.fullmatch(i.name)))
    return {interface.name for interface in fast if _address(fact, interface.name)}


def _address(fact: FabricFact, name: str) -> str:
    interface = fact.interface(name)
    return next((a for a in interface.addresses if _is_ipv4(a)), "") if interface else ""


def _is_ipv4(text: str) -> bool:
    return bool(re.fullmatch(r"\d{1,3}(\.\d{1,3}){3}", text)) and all(int(part) < 256 for part in text.split("."))
