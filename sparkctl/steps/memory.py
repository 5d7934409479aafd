"""Whether the models of a plan fit the memory of each node: refused before anything starts, with the arithmetic."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from sparkctl.amounts import size
from sparkctl.core.action import Action
from sparkctl.core.service import LABEL_CLUSTER, LABEL_DETAIL, LABEL_SERVICE
from sparkctl.core.step import Blocked, Finding, Layer, Ok, Pending, step_id
from sparkctl.errors import ConfigError
from sparkctl.facts.checkpoint import CheckpointFact
from sparkctl.facts.docker import CONTAINERS, ContainerFact
from sparkctl.facts.host import HOST
from sparkctl.facts.probe import Facts, Probe, Want
from sparkctl.memory.arithmetic import choices, shortfall
from sparkctl.memory.checkpoint import Checkpoint
from sparkctl.memory.demand import Wish
from sparkctl.memory.verdict import NodeVerdict, Room, Verdict, judge
from sparkctl.steps.place import OnNode
from sparkctl.topology import Cluster

SHARE_FLAGS = ("--gpu-memory-utilization", "--mem-fraction-static")
"""How commands of engines state their share of the memory; that of others stands in a file, or there is none."""


@dataclass(frozen=True)
class Budget:
    """What one model of the plan takes of each node of `cluster`, its part of the whole.

    `probe` is put to the head of the plan; `allow` are globs of the files that are downloaded, by the step
    `download`; `weights` are its bytes as the profile states them, for a model without config.json, 0 for unknown.
    `services` are those that it may come to run, the first the one that answers clients. Without `probe` nothing but
    `weights` is ever known. With `on_demand` it takes turns with others: it must fit beside what starts with `up`.
    """

    model: str
    cluster: Cluster
    wish: Wish
    probe: Probe[CheckpointFact] | None
    download: str
    services: tuple[str, ...]
    allow: tuple[str, ...] = ()
    weights: int = 0
    on_demand: bool = False


@dataclass(frozen=True)
class MemoryStep(OnNode):
    """The models of one node together; `reserve` is what must stay available, in bytes. It changes nothing.

    `others` are services of ours that go on and are not weighed: what they hold is not available anyway.
    """

    budgets: tuple[Budget, ...]
    reserve: int
    others: frozenset[str] = frozenset()
    name: str = "memory"
    layer: Layer = Layer.WORKLOAD

    @property
    def needs(self) -> tuple[str, ...]:
        engines = (step_id("docker", node) for node in self._asked)
        downloads = (budget.download for budget in self.budgets if budget.download)
        return (step_id("host", self.node), *dict.fromkeys((*engines, *downloads)))

    @property
    def wants(self) -> tuple[Want, ...]:
        probes = (Want(self.cluster.head.name, budget.probe) for budget in self.budgets if budget.probe)
        return (Want(self.node, HOST), *(Want(node, CONTAINERS) for node in self._asked), *probes)

    def check(self, facts: Facts) -> Finding:
        host = facts.get(self.node, HOST)
        if not host.memory_total or host.memory_available is None:
            return Blocked("MemTotal and MemAvailable cannot be read", "look at /proc/meminfo on the node")
        live = Room(self.node, host.memory_total, host.memory_available, self.reserve)
        try:
            return self._finding([*self._verdicts(facts, live)], self._left_over(facts))
        except ConfigError as error:
            return Blocked("\n".join(map(str, error.problems)), error.fix)

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        return ()

    @property
    def _asked(self) -> tuple[str, ...]:
        """The nodes whose containers say what runs here: this one, and those where the models answer clients."""
        return tuple(dict.fromkeys((self.node, *(budget.cluster.head.name for budget in self.budgets))))

    def _finding(self, found: "list[tuple[Budget, Verdict, bool]]", left: Mapping[str, float]) -> Finding:
        misfits = [verdict for _, verdict, _ in found if not verdict.fits]
        if misfits:
            holders = [service for service, share in left.items() if not share]
            fixes = [_fix(verdict, holders) for verdict in misfits]
            return Blocked("\n".join(map(_problem, misfits)), "\n".join(fixes))
        if unknown := next((budget for budget, _, known in found if not known), None):
            return Pending(unknown.download, f"what {unknown.model} needs is unknown")
        return Ok(", ".join(_note(verdict.checkpoint.name, verdict.nodes[0]) for _, verdict, _ in found))

    def _verdicts(self, facts: Facts, live: Room) -> "Iterator[tuple[Budget, Verdict, bool]]":
        """A verdict for each model, and whether the model is known; else its share alone is judged.

        Raises ConfigError.
        """
        shares = {budget: running_share(budget, facts, self.node) for budget in self.budgets}
        steady = {b for b in self.budgets if b.on_demand or shares[b] == b.wish.utilization}
        freed = sum(shares[budget] for budget in self.budgets if budget not in steady)
        freed += sum(self._left_over(facts).values())
        live = replace(live, available=min(live.total, live.available + int(freed * live.total)))
        known = {budget: self._checkpoint(budget, facts) for budget in self.budgets}
        alone = {b: judge(known[b][0], b.wish, (live,)).nodes[0].takes for b in self.budgets}
        for budget, (checkpoint, certain) in known.items():
            if budget.on_demand:
                always = sum(alone[b] for b in self.budgets if not b.on_demand)
                room = replace(live, available=live.total, beside=always)
            elif budget in steady:
                room = replace(live, available=live.total, reserve=0)
            else:
                room = replace(live, beside=sum(alone[b] for b in self.budgets if b not in steady and b != budget))
            yield budget, judge(checkpoint, budget.wish, (room,)), certain

    def _checkpoint(self, budget: Budget, facts: Facts) -> tuple[Checkpoint, bool]:
        """The model as far as it is known, and whether that is all that will be. Raises ConfigError."""
        fact = facts.get(self.cluster.head.name, budget.probe) if budget.probe else CheckpointFact()
        found = fact.best(budget.model, budget.allow, budget.wish.quantization, budget.weights)
        return found or Checkpoint.unknown(budget.model), fact.known or not budget.probe

    def _left_over(self, facts: Facts) -> dict[str, float]:
        """Containers of ours on this node that are in no budget, with their shares, 0.0 where they do not say.

        They are removed before anything starts.
        """
        known = {*self.others, *(service for budget in self.budgets for service in budget.services)}
        ours = _ours(facts, self.node, self.cluster.name)
        return {service: _share(found, 0.0) for service, found in ours.items() if service not in known}


def running_share(budget: Budget, facts: Facts, node: str) -> float:
    """The share of a node's memory with which the model runs there now; 0.0 where it does not.

    The container that answers clients says it for all nodes.
    """
    here = _ours(facts, node, budget.cluster.name)
    found = _ours(facts, budget.cluster.head.name, budget.cluster.name).get(budget.services[0])
    return _share(found, budget.wish.utilization) if found and not here.keys().isdisjoint(budget.services) else 0.0


def _ours(facts: Facts, node: str, cluster: str) -> Mapping[str, ContainerFact]:
    """The running containers of the cluster on a node, by service."""
    running = (c for c in (facts.get(node, CONTAINERS) or {}).values() if c.running)
    return {c.labels.get(LABEL_SERVICE, ""): c for c in running if c.labels.get(LABEL_CLUSTER) == cluster}


def _share(container: ContainerFact, unsaid: float) -> float:
    """The share of memory in the command that a container was made with, as its label remembers it; else `unsaid`."""
    try:
        command = json.loads(container.labels.get(LABEL_DETAIL, "{}"))["command"]
        flag = next(flag for flag in SHARE_FLAGS if flag in command)
        share = float(command[command.index(flag) + 1])
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, StopIteration, RecursionError):
        return unsaid
    return share if 0 < share <= 1 else unsaid


def _problem(verdict: Verdict) -> str:
    return "\n".join((f"{verdict.checkpoint.name} does not fit", *shortfall(verdict, verdict.nodes[0])))


def _fix(verdict: Verdict, holders: Sequence[str]) -> str:
    if not verdict.nodes[0].short:
        return choices(verdict)
    ours = f"; or sparkctl stop first: {', '.join(holders)} of an earlier deployment may hold it" if holders else ""
    return f"{choices(verdict)}{ours}; or stop what holds memory (ps aux --sort=-rss | head)"


def _note(name: str, node: NodeVerdict) -> str:
    return f"{size(node.demand.total)} of {size(node.limit)} for {name}"
