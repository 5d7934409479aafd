"""The ports that our services will listen on: free, or held by ourselves."""

from collections.abc import Iterable
from dataclasses import dataclass

from sparkctl.core.action import Action
from sparkctl.core.service import LABEL_CLUSTER
from sparkctl.core.step import Blocked, Finding, Layer, Ok, Pending, step_id
from sparkctl.facts.docker import CONTAINERS
from sparkctl.facts.ports import LISTENERS, Listener
from sparkctl.facts.probe import Facts, Want
from sparkctl.steps.place import OnNode
from sparkctl.topology import Cluster


@dataclass(frozen=True)
class PortWish:
    """A service will listen there; an empty address or 0.0.0.0 means on all of the node's."""

    node: str
    address: str
    port: int
    service: str


@dataclass(frozen=True)
class PortsStep(OnNode):
    """All ports that services of one node will listen on."""

    wishes: tuple[PortWish, ...]
    name: str = "ports"
    layer: Layer = Layer.HOST

    @property
    def needs(self) -> tuple[str, ...]:
        return (step_id("docker", self.node),)

    @property
    def wants(self) -> tuple[Want, ...]:
        return (Want(self.node, LISTENERS), Want(self.node, CONTAINERS))

    def check(self, facts: Facts) -> Finding:
        listeners = facts.get(self.node, LISTENERS)
        if listeners is None:
            return Blocked(
                f"{self.node} does not say which ports are taken",
                "sudo ss -Hltnp must work there: apt-get install iproute2, and sudo without a password",
            )
        known = facts.get(self.node, CONTAINERS)
        containers = known or {}
        ours = {c.id for c in containers.values() if c.labels.get(LABEL_CLUSTER) == self.cluster.name}
        names = {c.id: name for name, c in containers.items()}
        foreign = [one for one in listeners if one.container not in ours]
        clashes = [(wish, one) for wish in self.wishes for one in foreign if one.clashes(wish.address, wish.port)]
        taken = [(wish, one) for wish, one in clashes if known is not None or not one.container]
        if not clashes:
            return Ok(", ".join(dict.fromkeys(str(wish.port) for wish in self.wishes)))
        if not taken:  # by a container, while the engine does not say whose
            return Pending(step_id("docker", self.node))
        return Blocked(
            "; ".join(dict.fromkeys(_clash(wish, one, names) for wish, one in taken)),
            "stop it ("
            + ", ".join(dict.fromkeys(_stop(one, names) for _, one in taken))
            + "), or give the service another port in the configuration",
        )

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        return ()


def steps(cluster: Cluster, wishes: Iterable[PortWish]) -> tuple[PortsStep, ...]:
    """One for every node on which anything will listen."""
    all_of_them = tuple(wishes)
    by_node = {node.name: tuple(wish for wish in all_of_them if wish.node == node.name) for node in cluster.nodes}
    return tuple(PortsStep(cluster, node, by_node[node.name]) for node in cluster.nodes if by_node[node.name])


def _clash(wish: PortWish, one: Listener, names: dict[str, str]) -> str:
    return f"port {wish.port}, wanted by {wish.service}, is held by {_holder(one, names)}"


def _holder(one: Listener, names: dict[str, str]) -> str:
    if one.container:
        return f"container {names.get(one.container, one.container[:12])} ({one.process}, pid {one.pid})"
    return f"{one.process} (pid {one.pid})" if one.pid else f"a process that the kernel does not name ({one.address})"


def _stop(one: Listener, names: dict[str, str]) -> str:
    if one.container:
        return f"docker stop {names.get(one.container, one.container[:12])}"
    return f"sudo kill {one.pid}" if one.pid else f"sudo ss -ltnp sport = :{one.port}"
