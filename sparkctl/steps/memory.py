"""Whether the models of a plan fit the memory of each node: refused before anything starts, with the arithmetic."""

import json
from collections.abc import Iterator, Mapping
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
from sparkctl.memory.verdict import Room, Verdict, judge
from sparkctl.steps.place import OnNode
from sparkctl.topology import Cluster


@dataclass(frozen=True)
class Budget:
    """What one model of the plan takes of each node of `cluster`, its part of the whole.

    `probe` is put to the head of the plan; `allow` are globs of the files that are downloaded, by the step
    `download`; `weights` are its bytes as the profile states them, for a model without config.json, 0 for unknown.
    `services` are those that it may come to run, the first the one that answers clients; `flag` is how commands state
    the share of memory. With `on_demand` it takes turns with others: it must fit beside what starts with `up`.
    """

    model: str
    cluster: Cluster
    wish: Wish
    probe: Probe[CheckpointFact]
    download: str
    services: tuple[str, ...]
    flag: str
    allow: tuple[str, ...] = ()
    weights: int = 0
    on_demand: bool = False


@dataclass(frozen=True)
class Memory:
    """The memory of one node: bytes in all, and what is available beside the models that are not to be started."""

    total: int
    available: int


@dataclass(frozen=True)
class MemoryStep(OnNode):
    """The models of one node together; `reserve` is what must stay available, in bytes. It changes nothing."""

    budgets: tuple[Budget, ...]
    reserve: int
    name: str = "memory"
    layer: Layer = Layer.WORKLOAD

    @property
    def needs(self) -> tuple[str, ...]:
        return (step_id("host", self.node), *dict.fromkeys(budget.download for budget in self.budgets))

    @property
    def wants(self) -> tuple[Want, ...]:
        head, heads = self.cluster.head.name, dict.fromkeys(b.cluster.head.name for b in self.budgets)
        probes = (Want(head, budget.probe) for budget in self.budgets)
        return (Want(self.node, HOST), *(Want(node, CONTAINERS) for node in {self.node: 0, **heads}), *probes)

    def check(self, facts: Facts) -> Finding:
        host = facts.get(self.node, HOST)
        if host.memory_total is None or host.memory_available is None:
            return Blocked("MemTotal and MemAvailable cannot be read", "look at /proc/meminfo on the node")
        try:
            verdicts = [*self._verdicts(facts, Memory(host.memory_total, host.memory_available))]
        except ConfigError as error:
            return Blocked("\n".join((error.what, *map(str, error.problems))), error.fix)
        misfits = [found for found in verdicts if isinstance(found, Verdict) and not found.fits]
        if misfits:
            return Blocked("\n".join(map(_problem, misfits)), "\n".join(map(_fix, misfits)))
        unknown = next((found for found in verdicts if isinstance(found, Budget)), None)
        return Pending(unknown.download, f"the size of {unknown.model} is unknown") if unknown else Ok(_note(verdicts))

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        return ()

    def _verdicts(self, facts: Facts, memory: Memory) -> "Iterator[Verdict | Budget]":
        """A verdict for each model; the budget itself where the model is not known yet and its share alone would fit.

        Raises ConfigError.
        """
        held = {budget: _held(budget, facts) for budget in self.budgets}
        starting = [b for b in self.budgets if not b.on_demand and held[b] != b.wish.utilization]
        freed = sum(held[budget] for budget in starting) + self._left_over(facts)
        live = Room(self.node, memory.total, memory.available + int(freed * memory.total), self.reserve)
        takes = {budget: live.limit(budget.wish.utilization) for budget in self.budgets}
        for budget in self.budgets:
            beside = sum(takes[other] for other in starting if other is not budget)
            room = replace(live, beside=beside)
            if budget.on_demand:
                always = sum(takes[other] for other in self.budgets if other is not budget and not other.on_demand)
                room = replace(live, available=memory.total, beside=always)
            elif budget not in starting:
                room = replace(live, available=memory.total, reserve=0)
            fact = facts.get(self.cluster.head.name, budget.probe)
            found = judge(_checkpoint(budget, fact), budget.wish, (room,))
            yield budget if found.fits and not fact.known else found

    def _left_over(self, facts: Facts) -> float:
        """Shares of containers of ours on this node that are in no budget: they are removed before anything starts."""
        known = {service for budget in self.budgets for service in budget.services}
        ours = _ours(facts, self.node, self.cluster.name)
        shares = ({_share(found, flag) for flag in {b.flag for b in self.budgets}} for found in ours.values())
        return sum(max(found) for name, found in zip(ours, shares, strict=True) if name not in known and found)


def _checkpoint(budget: Budget, fact: CheckpointFact) -> Checkpoint:
    """The model; one of no size at all while nothing is known of it. Raises ConfigError."""
    if not (fact.known and (fact.config or not budget.weights)):
        return Checkpoint.unknown(budget.model, budget.weights)
    return fact.checkpoint(budget.model, budget.allow, budget.wish.quantization)


def _held(budget: Budget, facts: Facts) -> float:
    """The share of memory with which the model runs now; 0.0 where it does not run."""
    found = _ours(facts, budget.cluster.head.name, budget.cluster.name).get(budget.services[0])
    if found and not budget.flag:
        return budget.wish.utilization
    return _share(found, budget.flag) if found else 0.0


def _ours(facts: Facts, node: str, cluster: str) -> Mapping[str, ContainerFact]:
    """The running containers of the cluster on a node, by service."""
    running = (c for c in (facts.get(node, CONTAINERS) or {}).values() if c.running)
    return {c.labels.get(LABEL_SERVICE, ""): c for c in running if c.labels.get(LABEL_CLUSTER) == cluster}


def _share(container: ContainerFact, flag: str) -> float:
    """The share of memory in the command that a container was made with, as its label remembers it; 0.0 for none."""
    try:
        command = json.loads(container.labels.get(LABEL_DETAIL, "{}"))["command"]
        return float(command[command.index(flag) + 1])
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        return 0.0


def _problem(verdict: Verdict) -> str:
    return "\n".join((f"{verdict.checkpoint.name} does not fit", *shortfall(verdict, verdict.nodes[0])))


def _fix(verdict: Verdict) -> str:
    stop = "; or stop what holds memory (ps aux --sort=-rss | head)" if verdict.nodes[0].short else ""
    return choices(verdict) + stop


def _note(verdicts: "list[Verdict | Budget]") -> str:
    """What is asked of the node."""
    judged = [(found.checkpoint.name, found.nodes[0]) for found in verdicts if isinstance(found, Verdict)]
    return ", ".join(f"{size(node.demand.total)} of {size(node.limit)} for {name}" for name, node in judged)
