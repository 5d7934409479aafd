"""Both halves of a node's fast port, each with an address in a subnet of its own, by a netplan file of ours."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from sparkctl import halves as arithmetic
from sparkctl.core.action import Action
from sparkctl.core.step import Absent, Blocked, Drifted, Finding, Layer, Ok, Pending, Step, step_id
from sparkctl.facts.fabric import FabricFact, fabric_probe
from sparkctl.facts.netplan import FILE, NetplanFact, netplan_probe
from sparkctl.facts.probe import Facts, Probe, Want
from sparkctl.facts.state import state_path
from sparkctl.rendering import render
from sparkctl.steps.fabric import no_interface, no_link
from sparkctl.steps.netplan_actions import ChangeNetplan
from sparkctl.steps.place import OnNode
from sparkctl.topology import Cluster, Node


@dataclass(frozen=True)
class NetplanWish:
    """How the halves are addressed: `prefix` is that of the first subnet in bits, `mtu` in bytes.

    `second` is the subnet of the second half; empty for the next one of the same size (facts.md, B: third octet
    plus one). `interfaces` are the names of both, empty for the node's fabric interface and its twin. A node has
    `seconds` to answer after a change.
    """

    prefix: int = 24
    second: str = ""
    mtu: int = 9000
    interfaces: tuple[str, ...] = ()
    seconds: float = 30.0


@dataclass(frozen=True)
class Half:
    """One of the two PCIe halves of a port, and the address that it should carry."""

    interface: str
    address: str
    prefix: int


def addresses(node: Node, wish: NetplanWish) -> tuple[tuple[str, int], ...]:
    """Address and prefix of each half of a node."""
    return arithmetic.addresses(node.fabric_ip, wish.prefix, wish.second)


def halves(node: Node, wish: NetplanWish, fact: FabricFact) -> tuple[Half, ...]:
    """The halves of a node, as configured or as its RoCE devices tell: one where the interface has no twin."""
    first = wish.interfaces[0] if wish.interfaces else node.fabric_interface
    second = wish.interfaces[1] if len(wish.interfaces) > 1 else fact.twin(first)
    named = zip((first, second), addresses(node, wish), strict=True)
    return tuple(Half(name, address, prefix) for name, (address, prefix) in named if name)


def in_force(half: Half, mtu: int, fact: FabricFact) -> bool:
    """Whether the interface carries address and MTU."""
    found = fact.interface(half.interface)
    return found is not None and half.address in found.addresses and found.mtu == mtu


@dataclass(frozen=True)
class NetplanStep(OnNode):
    """The netplan of one node. The workers come after the head: what cuts it off is not done to them, too.

    It opens the node's connection anew, so `after` must hold the ids of all that may work there in another lane.
    """

    wish: NetplanWish
    after: tuple[str, ...] = ()
    name: str = "netplan"
    layer: Layer = Layer.HOST

    @property
    def needs(self) -> tuple[str, ...]:
        head = self.cluster.head.name
        return self.after if self.node == head else (*self.after, step_id(self.name, head))

    @property
    def wants(self) -> tuple[Want, ...]:
        return (Want(self.node, fabric_of(self.on)), Want(self.node, self._probe))

    def check(self, facts: Facts) -> Finding:
        fabric, fact = facts.get(self.node, fabric_of(self.on)), facts.get(self.node, self._probe)
        if fact.provisional:
            return Blocked(
                f"{self.node} has a netplan that nobody has kept yet, and goes back to what it had before",
                f"wait until it has: {self.wish.seconds:g} s, as setup.netplan.confirm_s says",
            )
        wished = halves(self.on, self.wish, fabric)
        if missing := next((half.interface for half in wished if not fabric.interface(half.interface)), ""):
            return no_interface(self.node, missing, fabric)
        there = all(in_force(half, self.wish.mtu, fabric) for half in wished)
        file, text = self._foreign(wished, fact), self._text(wished)
        if there and (file or self._written(fact, text)):
            return Ok(_note(wished, file))
        return self._refused(wished, fabric, fact, file) or self._change(wished, fact, text)

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        fabric, fact = facts.get(self.node, fabric_of(self.on)), facts.get(self.node, self._probe)
        return (self._action("", halves(self.on, self.wish, fabric)),) if fact.recorded else ()

    def _refused(
        self, wished: tuple[Half, ...], fabric: FabricFact, fact: NetplanFact, file: str
    ) -> Blocked | Pending | None:
        """What is to come first, and what must not be changed by us."""
        if not fact.tool:
            return Pending(step_id("packages", self.node))
        if not fact.systemd:
            return Blocked(
                f"{self.node} has no systemd, which takes back a netplan that cuts it off",
                "give both interfaces their addresses by that system's own means, and set setup.netplan.write: false",
            )
        if file:
            return Blocked(
                f"{file} configures {', '.join(half.interface for half in wished)} on {self.node} otherwise",
                f"look at it, and move it away: sudo mv {file} /root/ ; or keep it: setup.netplan.write: false",
            )
        if down := [half.interface for half in wished if not _is_up(fabric, half)]:
            return no_link(self.node, ", ".join(down))
        entrance = fabric.carrier(fact.came)
        if entrance and any(h.interface == entrance.name and h.address != fact.came for h in wished):
            return Blocked(
                f"{entrance.name} is how {self.node} is reached ({fact.came}); its address must stay",
                "name the interface on the QSFP cable: FABRIC_CTRL_INTERFACE, WORKER_NODE_INTERFACE",
            )
        return None

    def _change(self, wished: tuple[Half, ...], fact: NetplanFact, text: str) -> Finding:
        action = self._action(text, wished)
        if not fact.sha256:
            return Absent((action,))
        said = "does not say what is wished" if not self._written(fact, text) else "is not in force"
        return Drifted((f"{FILE} on {self.node} {said}",), (action,), disrupts=True)

    def _action(self, text: str, wished: tuple[Half, ...]) -> ChangeNetplan:
        links = tuple((half.interface, half.address) for half in wished)
        return ChangeNetplan(self.node, text, links, self._record, self.wish.seconds)

    def _written(self, fact: NetplanFact, text: str) -> bool:
        return fact.mode == "600" and fact.sha256 == hashlib.sha256(text.encode()).hexdigest()

    def _foreign(self, wished: tuple[Half, ...], fact: NetplanFact) -> str:
        """The file of somebody else that names one of the interfaces, unless ours is there beside it."""
        named = (fact.others.get(half.interface, "") for half in wished)
        return "" if fact.sha256 else next(filter(None, named), "")

    def _text(self, wished: tuple[Half, ...]) -> str:
        return render("netplan.yaml.j2", cluster=self.cluster.name, halves=wished, mtu=self.wish.mtu)

    @property
    def _record(self) -> str:
        return state_path(self.cluster, self.on, "netplan.json")

    @property
    def _probe(self) -> Probe[NetplanFact]:
        return netplan_probe(self._record)


def fabric_of(node: Node) -> Probe[FabricFact]:
    """What a node says of its interfaces, without asking its peers."""
    return fabric_probe(node.fabric_interface, (), None)


def steps(cluster: Cluster, wish: NetplanWish, before: Iterable[Step] = ()) -> tuple[NetplanStep, ...]:
    """One for every node with a fabric address, after all steps `before` on it; none for a cluster of one node."""
    on_fabric, known = [node for node in cluster.nodes if node.fabric_ip], tuple(before)
    after = {node.name: tuple(step_id(s.name, s.node) for s in known if s.node == node.name) for node in on_fabric}
    return tuple(NetplanStep(cluster, node, wish, after[node.name]) for node in on_fabric) if cluster.workers else ()


def _is_up(fabric: FabricFact, half: Half) -> bool:
    found = fabric.interface(half.interface)
    return found is not None and found.up


def _note(wished: tuple[Half, ...], file: str) -> str:
    text = ", ".join(f"{half.address} on {half.interface}" for half in wished)
    text += "" if len(wished) > 1 else "; no second half was found"
    return f"{text}, by {file}" if file else text
