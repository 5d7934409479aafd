"""Roles: models that wait for their launch, as readings of the same steps; and who goes, where one needs room."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sparkctl.amounts import size
from sparkctl.core.plan import id_of, with_needs
from sparkctl.core.step import Layer, Step
from sparkctl.errors import SparkctlError, UnknownNameError, hint
from sparkctl.facts.docker import CONTAINERS
from sparkctl.facts.engine import PATIENT_SECONDS
from sparkctl.facts.host import HOST
from sparkctl.facts.probe import Facts
from sparkctl.memory.demand import GIB, MOST_UTILIZATION
from sparkctl.runtimes.containers import container_name
from sparkctl.stacks.budgets import reserve_of
from sparkctl.stacks.role_state import RoleState, State, api_service
from sparkctl.stacks.serving import serves, started, steps
from sparkctl.stacks.workload import Workload, key_path
from sparkctl.steps.generation import generation_name
from sparkctl.steps.memory import MemoryStep
from sparkctl.steps.sleep import SleepStep
from sparkctl.topology import Node

if TYPE_CHECKING:
    from sparkctl.config.load import Config
    from sparkctl.config.served import Served


@dataclass(frozen=True)
class Leaving:
    """A role that makes room: it `sleeps`, or ends."""

    role: "Served"
    sleeps: bool = False


@dataclass(frozen=True)
class Room:
    """The memory of the nodes as roles share it: `states` by name, `facts` with the `HOST` of each node."""

    config: "Config"
    states: Mapping[str, RoleState]
    facts: Facts

    def short(self, new: "Served", leaving: Collection[Leaving] = ()) -> str:
        """Why `new` cannot run beside those that stay; empty where it can."""
        return next((why for _, why in self._shortages(new, leaving)), "")

    def leaving(self, new: "Served") -> tuple[Leaving, ...]:
        """Who must make room for it, the largest first, and no more than needed.

        Raises SparkctlError where that would not be enough.
        """
        found: dict[str, Leaving] = {}
        while shortage := next(self._shortages(new, found.values()), None):
            node, why = shortage
            following = self._following(new, found, node)
            if following is None:
                raise SparkctlError(
                    f"{new.name} does not fit, whichever roles make room: {why}",
                    fix="lower engine.gpu_memory_utilization of it, or stop what holds memory",
                )
            found[following.role.name] = following
        return tuple(found.values())

    def _following(self, new: "Served", found: Mapping[str, Leaving], node: Node) -> Leaving | None:
        """The next one to go of those on that node: who can sleep sleeps first, and ends where that was not enough."""
        others = [r for r in roles(self.config) if self._holds(r.name) and r.name != new.name]
        here = [role for role in others if node in role.cluster.nodes]
        for role in sorted(here, key=lambda role: -self._share(role, asleep=False)):
            if role.name not in found:
                awake = self.states[role.name].state is State.RUNNING  # who hangs or loads would not obey
                return Leaving(role, sleeps=awake and bool(role.role and role.role.sleep))
        tired = [leaving for leaving in found.values() if leaving.sleeps and leaving.role in here]
        return replace(tired[0], sleeps=False) if tired else None

    def _shortages(self, new: "Served", leaving: Collection[Leaving]) -> Iterator[tuple[Node, str]]:
        """The nodes on which it does not fit beside those that stay, and why."""
        for node in new.cluster.nodes:
            if why := self._short_on(node, new, leaving):
                yield node, why

    def _short_on(self, node: Node, new: "Served", leaving: Collection[Leaving]) -> str:
        going = {one.role.name: one for one in leaving}
        always = {s.name: s.engine.gpu_memory_utilization for s in started(self.config) if node in s.cluster.nodes}
        here = [r for r in roles(self.config) if node in r.cluster.nodes and self._holds(r.name)]
        now = {role.name: self._share(role, asleep=self._sleeps(role)) for role in here if role.name != new.name}
        then = {name: self._after(name, share, going) for name, share in now.items()}
        wanted = new.engine.gpu_memory_utilization
        stay = {name: share for name, share in {**always, **then}.items() if share}
        total = wanted + sum(stay.values())
        if total > MOST_UTILIZATION + 1e-9:
            beside = " + ".join(f"{name} {share:.2f}" for name, share in stay.items())
            limit = f"{MOST_UTILIZATION:g} is the most"
            return f"{new.name} {wanted:.2f} + {beside} = {total:.2f} of {node.name}'s memory; {limit}"
        return self._short_live(node, new, sum(now.values()) - sum(then.values()))

    def _short_live(self, node: Node, new: "Served", freed: float) -> str:
        """By the memory that is available now, and what those that go give back."""
        host = self.facts.get(node.name, HOST)
        if not host.memory_total or host.memory_available is None:
            return ""
        held = self._share(new, asleep=True) if self._sleeps(new) else 0.0
        need = (new.engine.gpu_memory_utilization - held) * host.memory_total + reserve_of(self.config)
        there = host.memory_available + freed * host.memory_total
        if there >= need or (self._holds(new.name) and not self._sleeps(new)):
            return ""
        return f"{size(need)} are needed on {node.name}, the reserve among them, and {size(there)} would be available"

    def _after(self, name: str, share: float, going: Mapping[str, Leaving]) -> float:
        if name not in going:
            return share
        return self._share(going[name].role, asleep=True) if going[name].sleeps else 0.0

    def _share(self, role: "Served", *, asleep: bool) -> float:
        """Of a node's memory. Asleep it holds weights and overhead; where the weights are unknown, all of it."""
        full, weights = role.engine.gpu_memory_utilization, role.engine.weights_gib
        host = self.facts.get(role.cluster.head.name, HOST)
        if not asleep or weights is None or not host.memory_total:
            return full
        return min(full, (weights / len(role.cluster.nodes) + role.engine.overhead_gib) * GIB / host.memory_total)

    def _holds(self, name: str) -> bool:
        return self.states[name].state.holds_memory

    def _sleeps(self, role: "Served") -> bool:
        return self.states[role.name].state is State.ASLEEP


def roles(config: "Config") -> tuple["Served", ...]:
    """The models that wait for their launch."""
    return tuple(served for served in config.served if served.on_demand) if serves(config) else ()


def role(config: "Config", name: str) -> "Served":
    """One of them. Raises UnknownNameError with the names that there are, SparkctlError where there are none."""
    known = {served.name: served for served in roles(config)}
    if not known:
        raise SparkctlError(
            f"profile {config.profile.name} has no roles", fix="choose one that has: --profile roles; or start: demand"
        )
    if name not in known:
        raise UnknownNameError(f"there is no role {name}{hint(name, known)}", fix=f"there are: {', '.join(known)}")
    return known[name]


def started_roles(config: "Config", facts: Facts) -> tuple["Served", ...]:
    """Those whose API server's container runs, by the `CONTAINERS` of the nodes; it need not answer yet."""
    return tuple(each for each in roles(config) if _runs(config, each, facts))


def _runs(config: "Config", role: "Served", facts: Facts) -> bool:
    name = container_name(config.cluster, api_service(role))
    found = (facts.get(role.cluster.head.name, CONTAINERS) or {}).get(name)
    return found is not None and found.running


def launching(config: "Config", role: "Served") -> tuple[Step, ...]:
    """The steps of a role from the host up to its first token, and what they stand on."""
    own = {id_of(step) for step in Workload(config, role).steps()}
    every = [_weighing_one(step) for step in steps(config, PATIENT_SECONDS, launched=(role.name,))]
    return tuple(with_needs(every, lambda step: id_of(step) in own))


def _weighing_one(step: Step) -> Step:
    """The memory gate for one role beside what always serves: others need not be there, nor fit beside it."""
    if not isinstance(step, MemoryStep):
        return step
    others = frozenset(service for budget in step.budgets if budget.on_demand for service in budget.services)
    return replace(step, budgets=tuple(b for b in step.budgets if not b.on_demand), others=others)


def _weighing_alone(step: Step, role: "Served") -> Step:
    """The memory gate for one role against the whole of the node: what is available is for those who make room."""
    if not isinstance(step, MemoryStep):
        return step
    own = (budget for budget in step.budgets if api_service(role) in budget.services)
    return replace(step, budgets=tuple(replace(budget, on_demand=True) for budget in own))


def preparing(config: "Config", role: "Served") -> tuple[Step, ...]:
    """Those of its steps that need no memory of the GPU: image, model, the ground, and whether its share is enough."""
    found = (_weighing_alone(step, role) for step in launching(config, role))
    return tuple(step for step in found if step.layer is not Layer.WORKLOAD or isinstance(step, MemoryStep))


def ending(config: "Config", role: "Served") -> tuple[Step, ...]:
    """The steps whose undoing takes the role away, and nothing else."""
    return tuple(step for step in Workload(config, role).steps() if not step.name.startswith("leftovers"))


def forgetting(config: "Config", role: "Served") -> tuple[Step, ...]:
    """The step whose undoing lets a role that runs not come back at a boot."""
    return tuple(step for step in ending(config, role) if step.name == generation_name(role.suffix))


def sleeping(config: "Config", role: "Served", *, asleep: bool) -> SleepStep:
    """The step that lets a role sleep, or wakes it."""
    return SleepStep(role.cluster, api_service(role), role.ports.api, key_path(config, role), asleep)


def patient(config: "Config", seconds: float | None) -> "Config":
    """The configuration with another time for a model to become ready; None leaves it."""
    if seconds is None:
        return config
    timeouts = config.profile.timeouts.model_copy(update={"ready_s": seconds})
    return replace(config, profile=config.profile.model_copy(update={"timeouts": timeouts}))
