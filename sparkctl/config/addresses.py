"""Finds addresses and names that cannot be together in one cluster."""

import ipaddress
from collections import Counter
from collections.abc import Iterator, Sequence

from sparkctl.config.settings import Settings
from sparkctl.topology import Node

Clash = tuple[str, str, str]
"""Name of the variable, what was found, what is accepted."""
_DIFFERENT = "a different one for each node"


def clashes(settings: Settings, nodes: Sequence[Node]) -> Iterator[Clash]:
    """Nodes that share an SSH target, a fabric address or a name, and fabric addresses outside of the subnet."""
    by_fabric = [node.fabric_ip for node in nodes if node.fabric_ip]
    faces = (
        ("WORKER_SSH_TARGETS", "WORKER_NODE_SSH_TARGET", "SSH target", [_target(node) for node in nodes]),
        ("WORKER_IPS", "WORKER_NODE_IP", "fabric address", by_fabric),
        ("WORKER_NODE_NAMES", "WORKER_NODE_NAME", "name", [node.name.lower() for node in nodes]),
    )
    for many, one, face, values in faces:
        name = many if getattr(settings, many.lower()) else one
        for value, times in Counter(values).items():
            if times > 1 and not value.startswith("unset"):
                yield name, f"{times} nodes have the {face} {value}", _DIFFERENT
    if len(nodes) > 1:
        yield from _strays(settings, by_fabric)


def _target(node: Node) -> str:
    return f"{node.address}:{node.port}" if node.port != 22 else node.address


def _strays(s: Settings, addresses: Sequence[str]) -> Iterator[Clash]:
    worker_ip = s.worker_ips[0] if s.worker_ips else s.worker_node_ip
    for name, base in (
        ("WORKER_NODE_NETWORK", worker_ip),
        ("FABRIC_CTRL_CIDR", s.fabric_ctrl_ip),
        ("WORKER_NODE_CIDR", worker_ip),
    ):
        cidr: str = getattr(s, name.lower())
        if not cidr or (cidr.startswith("/") and not base):
            continue
        network = ipaddress.IPv4Interface(f"{base}{cidr}" if cidr.startswith("/") else cidr).network
        outside = [address for address in addresses if ipaddress.IPv4Address(address) not in network]
        if outside:
            yield name, f"{network} does not hold {', '.join(outside)}", "one subnet with all fabric addresses"
