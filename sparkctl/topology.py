"""Nodes and the cluster they form: who they are, and on which address each is reached.

A node has two faces: `address` is where the laptop speaks SSH to it, `fabric_ip` where nodes speak to each other.
The laptop never needs to reach a fabric address.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

LOOPBACK = "127.0.0.1"
INNER = 10_000
"""How far above the port of clients listens what stands behind it; below it where there is no room above."""


def inner_port(port: int) -> int:
    """The port of an engine whose clients speak to something before it."""
    return port + INNER if port + INNER <= 65535 else port - INNER


class Role(StrEnum):
    """What a node is in the cluster; rank 0 is the head."""

    HEAD = "head"
    WORKER = "worker"


@dataclass(frozen=True)
class Node:
    """One Spark.

    `address` is what the laptop speaks SSH to: a host name, an IP address or an alias of the SSH configuration.
    `fabric_ip` is a bare address, `fabric_interface` the name of the NIC that carries it; `api_ip` is a worker's
    address on the network of the clients, for a model that runs on that worker alone.
    """

    name: str
    role: Role
    address: str
    user: str
    port: int = 22
    fabric_ip: str = ""
    fabric_interface: str = ""
    identity_file: str = ""
    api_ip: str = ""

    @property
    def home(self) -> str:
        """The home folder that the host checks hold the node to."""
        return "/root" if self.user == "root" else f"/home/{self.user}"

    @property
    def data_ip(self) -> str:
        """The address peers use: the fabric where there is one, else the management address."""
        return self.fabric_ip or self.address


@dataclass(frozen=True)
class Cluster:
    """One head and any number of workers, in rank order.

    `api_ip` is the head's address on the network where the clients of the served model are.
    """

    name: str
    head: Node
    workers: tuple[Node, ...] = field(default=())
    api_ip: str = ""

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Every node; the position is its rank."""
        return (self.head, *self.workers)

    def node(self, name: str) -> Node:
        """The node of that name. Raises KeyError."""
        return {node.name: node for node in self.nodes}[name]

    def part(self, nodes: Sequence[Node]) -> "Cluster":
        """The same cluster as far as those nodes go; the first of them is its head.

        A worker without an address for clients answers them on the fabric.
        """
        head, *workers = nodes
        api_ip = self.api_ip if head == self.head else head.api_ip or head.data_ip
        return replace(self, head=head, workers=tuple(workers), api_ip=api_ip)

    def state_dir(self, node: Node) -> str:
        """The folder of this cluster on a node: secrets, keys, records of what sparkctl made there."""
        return f"{node.home}/.sparkctl/{self.name}"
