"""The fabric from end to end: from every node, every half of every peer answers whole packets of the wished MTU."""

from collections.abc import Iterator
from dataclasses import dataclass

from sparkctl.core.action import Action
from sparkctl.core.step import Blocked, Finding, Layer, Ok, Pending, step_id
from sparkctl.facts.fabric import FabricFact, half_probe
from sparkctl.facts.probe import Facts, Probe, Want
from sparkctl.steps.fabric import no_interface, unreached
from sparkctl.steps.netplan import Half, NetplanWish, addresses, fabric_of, halves, in_force
from sparkctl.steps.place import OnNode
from sparkctl.topology import Cluster, Node

HALVES = ("no half", "one half", "both halves")


@dataclass(frozen=True)
class LinksStep(OnNode):
    """What one node reaches over its halves; it changes nothing.

    `written` says that a netplan step sees to their addresses. Otherwise a second half without one is not in use.
    """

    wish: NetplanWish
    written: bool = True
    name: str = "links"
    layer: Layer = Layer.HOST

    @property
    def needs(self) -> tuple[str, ...]:
        return tuple(step_id("netplan", node.name) for node in self._nodes)

    @property
    def wants(self) -> tuple[Want, ...]:
        own = (Want(self.node, self._probe(number)) for number in (0, 1))
        return (*(Want(node.name, fabric_of(node)) for node in self._nodes), *own)

    def check(self, facts: Facts) -> Finding:
        found = {node.name: self._halves(node, facts) for node in self._nodes}
        for node, theirs in found.items():
            fabric = self._fabric(node, facts)
            if wrong := [half for half in theirs if not in_force(half, self.wish.mtu, fabric)]:
                return self._awaited(node, wrong[0], fabric)
        finding = next(self._lost(found, facts), None)
        return finding or Ok(f"{HALVES[len(found[self.node])]}, whole packets of {self.wish.mtu} bytes")

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        return ()

    def _awaited(self, node: str, half: Half, fabric: FabricFact) -> Blocked | Pending:
        """What is to come, or will not come by itself."""
        if self.written:
            return Pending(step_id("netplan", node))
        if node != self.node:
            return Pending(step_id(self.name, node))
        if not fabric.interface(half.interface):
            return no_interface(node, half.interface, fabric)
        return Blocked(
            f"{half.interface} on {node} does not carry {half.address} with an MTU of {self.wish.mtu} bytes",
            "give it both, or say what it has: fabric.mtu, or setup.netplan with mtu, second_subnet and interfaces; "
            "or let sparkctl write it: setup.netplan.write: true",
        )

    def _lost(self, found: dict[str, tuple[Half, ...]], facts: Facts) -> Iterator[Blocked]:
        mine = found[self.node]
        for number, half in enumerate(mine):
            peers = [(peer, theirs[number].address) for peer, theirs in found.items() if len(theirs) > number]
            others = [peer for peer in peers if peer[0] != self.node]
            yield from unreached(
                self.node, half.interface, others, facts.get(self.node, self._probe(number)), self.wish.mtu
            )
        if more := [peer for peer, theirs in found.items() if len(theirs) > len(mine)]:
            yield Blocked(
                f"{self.node} has one half of its port only, {', '.join(more)} both",
                "compare ibdev2netdev on both; name the interfaces in setup.netplan.interfaces of the profile",
            )

    def _halves(self, node: Node, facts: Facts) -> tuple[Half, ...]:
        fabric = self._fabric(node.name, facts)
        found = halves(node, self.wish, fabric)
        return (*found[:1], *(half for half in found[1:] if self.written or _has_address(half, fabric)))

    def _fabric(self, node: str, facts: Facts) -> FabricFact:
        return facts.get(node, fabric_of(self.cluster.node(node)))

    @property
    def _nodes(self) -> tuple[Node, ...]:
        return tuple(node for node in self.cluster.nodes if node.fabric_ip)

    def _probe(self, number: int) -> Probe[FabricFact]:
        ours = addresses(self.on, self.wish)[number][0]
        peers = [addresses(node, self.wish)[number][0] for node in self._nodes if node.name != self.node]
        return half_probe(ours, peers, self.wish.mtu)


def steps(cluster: Cluster, wish: NetplanWish, *, written: bool) -> tuple[LinksStep, ...]:
    """One for every node with a fabric address; none for a cluster of one node."""
    on_fabric = [node for node in cluster.nodes if node.fabric_ip]
    return tuple(LinksStep(cluster, node, wish, written) for node in on_fabric) if cluster.workers else ()


def _has_address(half: Half, fabric: FabricFact) -> bool:
    """Any of IPv4."""
    found = fabric.interface(half.interface)
    return found is not None and any("." in address for address in found.addresses)
