"""The fabric of a node: the right address on the right interface, a fast link, and peers that answer over it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sparkctl.core.action import Action
from sparkctl.core.step import Blocked, Finding, Layer, Ok, step_id
from sparkctl.facts.fabric import FabricFact, Interface, fabric_probe
from sparkctl.facts.probe import Facts, Probe, Want
from sparkctl.steps.place import OnNode
from sparkctl.topology import Cluster, Node

FULL_MEGABITS = 200_000
"""What the ConnectX-7 of a Spark links at, in Mb/s (facts.md, B)."""

POWER_ADVICE = (
    "a ConnectX-7 that links below its speed recovers only without power: shut both Sparks down, unplug their power "
    "supplies for a minute, and check that one cable joins the same port of each"
)

SETUP_ADVICE = "let sparkctl write its netplan: sparkctl setup; what it would do: sparkctl setup --dry-run -v"


@dataclass(frozen=True)
class FabricStep(OnNode):
    """The fabric from one node. Changes nothing: an address that is missing is the business of `sparkctl setup`.

    `mtu` in bytes and None for any, `min_gbit` the least link speed in Gb/s.
    """

    mtu: int | None = None
    min_gbit: float = 0.0
    name: str = "fabric"
    layer: Layer = Layer.HOST

    @property
    def needs(self) -> tuple[str, ...]:
        return (step_id("host", self.node), step_id("packages", self.node))

    @property
    def wants(self) -> tuple[Want, ...]:
        return (Want(self.node, self._probe),)

    def check(self, facts: Facts) -> Finding:
        fact = facts.get(self.node, self._probe)
        finding = next(self._own(fact), None) or next(self._beyond(fact), None)
        return finding or Ok(self._note(fact))

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        return ()

    @property
    def _peers(self) -> tuple[Node, ...]:
        return tuple(node for node in self.cluster.nodes if node.name != self.node and node.fabric_ip)

    @property
    def _probe(self) -> Probe[FabricFact]:
        return fabric_probe(self.on.fabric_interface, [peer.fabric_ip for peer in self._peers], self.mtu)

    def _own(self, fact: FabricFact) -> Iterator[Blocked]:
        """What is wrong on this side of the cable."""
        wished, address = self.on.fabric_interface, self.on.fabric_ip
        found, carrier = fact.interface(wished), fact.carrier(address)
        if found is None:
            yield no_interface(self.node, wished, fact)
        elif not found.up:
            yield no_link(self.node, wished)
        elif address not in found.addresses:
            where = f"; {carrier.name} carries it" if carrier else ""
            yield Blocked(f"{wished} on {self.node} does not carry {address}{where}", SETUP_ADVICE)
        elif self.mtu and found.mtu != self.mtu:
            yield Blocked(f"{wished} on {self.node} has MTU {found.mtu}, not {self.mtu}", SETUP_ADVICE)

    def _beyond(self, fact: FabricFact) -> Iterator[Blocked]:
        """What is wrong with the link, or at its other end."""
        if fact.megabits is not None and fact.megabits < self.min_gbit * 1000:
            speed = f"{fact.megabits / 1000:g} Gb/s"
            yield Blocked(
                f"{self.on.fabric_interface} on {self.node} links at {speed}, below {self.min_gbit:g}", POWER_ADVICE
            )
        if not fact.can_ping:
            yield Blocked(f"{self.node} has no ping", "sudo apt-get install iputils-ping")
        peers = [(peer.name, peer.fabric_ip) for peer in self._peers]
        yield from unreached(self.node, self.on.fabric_interface, peers, fact, self.mtu)

    def _note(self, fact: FabricFact) -> str:
        speed = "unknown speed" if fact.megabits is None else f"{fact.megabits / 1000:g} Gb/s"
        if fact.megabits is not None and fact.megabits < FULL_MEGABITS:
            speed += f", below the {FULL_MEGABITS // 1000} of a healthy link"
        devices = fact.rdma_devices(self.on.fabric_interface)
        return f"{self.on.fabric_ip} on {self.on.fabric_interface}, {speed}, {_roce(devices)}"


def steps(cluster: Cluster, *, mtu: int | None, min_gbit: float) -> tuple[FabricStep, ...]:
    """One for every node with a fabric address; none for a cluster of one node."""
    on_fabric = [node for node in cluster.nodes if node.fabric_ip and node.fabric_interface]
    return tuple(FabricStep(cluster, node, mtu, min_gbit) for node in on_fabric) if cluster.workers else ()


def no_interface(node: str, wished: str, fact: FabricFact) -> Blocked:
    """An interface is named that the node lacks."""
    names = ", ".join(sorted(_candidates(fact))) or "none"
    return Blocked(
        f"{node} has no interface {wished}; those of its fast ports that are up: {names}",
        "set the interface of the fabric in unified-config.local.env, or look at: ibdev2netdev",
    )


def no_link(node: str, interface: str) -> Blocked:
    """Nothing is at the other end."""
    advice = f"check the cable: the same QSFP port on every Spark; then: ip link show {interface}"
    return Blocked(f"{interface} on {node} has no link", advice)


def unreached(
    node: str, interface: str, peers: Sequence[tuple[str, str]], fact: FabricFact, mtu: int | None
) -> Iterator[Blocked]:
    """The peers, each by name and address, that do not answer, or not to whole packets of `mtu` bytes."""
    if lost := [peer for peer in peers if peer[1] not in fact.reached]:
        yield Blocked(
            f"{_list(lost)} does not answer {node} over {interface}",
            "check that the node is up, the cable, and that both addresses are in one subnet",
        )
    if mtu and (cut := [peer for peer in peers if peer[1] not in fact.whole]):
        yield Blocked(
            f"packets of {mtu} bytes from {node} do not reach {_list(cut)} whole",
            f"set MTU {mtu} on both ends, and on the switch between them",
        )


def _candidates(fact: FabricFact) -> set[str]:
    up: set[Interface] = {interface for interface in fact.interfaces if interface.up}
    return {interface.name for interface in up} & {device.interface for device in fact.rdma}


def _list(peers: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{name} ({address})" for name, address in peers)


def _roce(devices: tuple[str, ...]) -> str:
    return f"RoCE {' '.join(devices)}" if devices else "no RoCE device: NCCL would use sockets"
