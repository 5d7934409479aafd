"""What a role does just now, read from its nodes alone: containers, API, sleep, and the end of its log."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sparkctl.core.action import Action
from sparkctl.core.service import Service
from sparkctl.core.step import Absent, Finding, Step
from sparkctl.engines import registry
from sparkctl.engines.failures import diagnose, died, loading, telling
from sparkctl.facts.docker import CONTAINERS, ContainerFact
from sparkctl.facts.engine import ApiFact, LogFact, log_probe
from sparkctl.facts.host import HOST
from sparkctl.facts.probe import Facts, Probe, Want
from sparkctl.runtimes.containers import container_name
from sparkctl.stacks.goods import backends
from sparkctl.stacks.workload import Workload, key_path
from sparkctl.steps.serving import ServingStep
from sparkctl.steps.sleep import SleepStep

if TYPE_CHECKING:
    from sparkctl.config.load import Config
    from sparkctl.config.served import Served

STOPPED_BY_HAND = (0, 143)
"""Exit statuses of a container that was asked to end: of its own, and by SIGTERM. vLLM's is 0 in both cases."""


class State(StrEnum):
    """What a role does."""

    RUNNING = "running"
    ASLEEP = "asleep"
    LOADING = "loading"
    UNHEALTHY = "unhealthy"
    CRASHED = "crashed"
    STOPPED = "stopped"
    UNKNOWN = "unknown"

    @property
    def holds_memory(self) -> bool:
        """Whether its engine is there, in whatever condition; what nobody knows counts as there."""
        return self not in (State.STOPPED, State.CRASHED)


@dataclass(frozen=True)
class RoleState:
    """One role. `note` is why, or how far; `since` the engine's time stamp of its start, empty where it does not run.

    `fix` is what to do about it, where something is to be done.
    """

    role: "Served"
    state: State
    note: str = ""
    since: str = ""
    fix: str = ""


@dataclass(frozen=True)
class Look:
    """The look at one role."""

    config: "Config"
    role: "Served"

    @property
    def wants(self) -> tuple[Want, ...]:
        """Everything that tells, one round trip to each of its nodes."""
        head = self.role.cluster.head.name
        probes: list[Probe[Any]] = [self._api, log_probe(self._container(self.serving.services[-1]))]
        probes += [self._sleep.probe] if self._may_sleep else []
        loaders = (want for step in self._loading for want in step.wants)
        nodes = (Want(node.name, probe) for node in self.role.cluster.nodes for probe in (CONTAINERS, HOST))
        return (*nodes, *loaders, *(Want(head, probe) for probe in probes))

    @property
    def serving(self) -> ServingStep:
        """The step whose eyes are used; the API is the same with every backend."""
        return Workload(self.config, self.role).serving(backends(self.role)[0])

    def state(self, facts: Facts) -> RoleState:
        """What the nodes say."""
        if any(facts.get(node.name, CONTAINERS) is None for node in self.role.cluster.nodes):
            silent = [n.name for n in self.role.cluster.nodes if facts.get(n.name, CONTAINERS) is None]
            return RoleState(self.role, State.UNKNOWN, f"{', '.join(silent)} does not answer", fix="sparkctl doctor")
        found = {service: self._found(service, facts) for service in self._services(facts)}
        here = {service: container for service, container in found.items() if container}
        if not here:
            return RoleState(self.role, State.STOPPED)
        since = min(container.started for container in here.values())
        if frozen := [service.name for service, container in here.items() if container.status == "paused"]:
            fix = f"sparkctl role stop {self.role.name}"
            return RoleState(self.role, State.UNHEALTHY, f"{', '.join(frozen)} is paused", since, fix)
        ended = {s: c for s, c in here.items() if not c.running}
        if ended or len(here) < len(found):
            return self._ended(facts, ended, [s.name for s in found if s not in here])
        state, note, fix = self._answering(facts)
        return RoleState(self.role, state, note, since, fix)

    def _ended(self, facts: Facts, ended: dict[Service, ContainerFact], missing: list[str]) -> RoleState:
        """A part of it does not run: by somebody's wish, or by itself."""
        again, log = f"sparkctl role launch {self.role.name}", self._log(facts).lines
        asked = ended and not missing and all(c.exit_code in STOPPED_BY_HAND for c in ended.values())
        dead = died(log)
        if asked and not dead:
            note = "its container was stopped, by hand or by the memory guard"
            return RoleState(self.role, State.STOPPED, note, fix=again)
        words = [f"{s.name} {c.status} with status {c.exit_code}" for s, c in ended.items()]
        words += [f"{name} is missing" for name in missing]
        known = diagnose(log, registry.engine(self.role.engine.name).FAILURES)
        last = known.line if known else dead or "".join(telling(log, 1)[-1:])
        note = ": ".join(filter(None, ("; ".join(words), last)))
        fix = known.fix if known else f"sparkctl role logs {self.role.name}"
        return RoleState(self.role, State.CRASHED, note, fix=fix)

    def _answering(self, facts: Facts) -> tuple[State, str, str]:
        """Every part of it runs: what does its API say?"""
        step, log, name = self.serving, self._log(facts), self.role.name
        if self._may_sleep and facts.get(step.node, self._sleep.probe):
            return State.ASLEEP, "", ""
        api = facts.get(step.node, step.probe)
        if api.serving:
            return State.RUNNING, "", ""
        if todo := [action.summary for step in self._loading for action in missing(step.check(facts))]:
            return State.LOADING, ", ".join(todo), f"sparkctl role logs {name} --follow"
        if api.health in (0, step.api.loading) and not log.up:
            return State.LOADING, loading(log.lines) or "the engine starts", f"sparkctl role logs {name} --follow"
        silent = "the API has answered, and does not any more" if not api.health else ""
        return State.UNHEALTHY, silent or step.said(api, step.look_seconds), f"sparkctl role launch {name}"

    @property
    def _loading(self) -> tuple[Step, ...]:
        return Workload(self.config, self.role).loading(backends(self.role)[0])

    def _services(self, facts: Facts) -> tuple[Service, ...]:
        """Those of the backend that runs."""
        made = [Workload(self.config, self.role).services(backend) for backend in backends(self.role)]
        return max(made, key=lambda services: sum(bool(self._found(s, facts)) for s in services))

    def _found(self, service: Service, facts: Facts) -> ContainerFact | None:
        return (facts.get(service.node, CONTAINERS) or {}).get(self._container(service))

    def _container(self, service: Service) -> str:
        return container_name(self.config.cluster, service.name)

    def _log(self, facts: Facts) -> LogFact:
        return facts.get(self.serving.node, log_probe(self._container(self.serving.services[-1])))

    @property
    def _api(self) -> Probe[ApiFact]:
        """The look at the API; one that sleeps is not asked for a token, as it would let the request wait."""
        probe = self.serving.probe
        if not self._may_sleep:
            return probe
        return replace(probe, script=f"({self._sleep.probe.script}) | grep -q true && exit 0\n{probe.script}")

    @property
    def _may_sleep(self) -> bool:
        return bool(self.role.role and self.role.role.sleep)

    @property
    def _sleep(self) -> SleepStep:
        return SleepStep(
            self.role.cluster, api_service(self.role), self.role.ports.api, key_path(self.config, self.role), True
        )


def missing(finding: Finding) -> tuple[Action, ...]:
    """What would be done where nothing is yet."""
    return finding.actions if isinstance(finding, Absent) else ()


def api_service(role: "Served") -> str:
    """The service of a role that answers clients."""
    return f"{registry.engine(role.engine.name).API.service}{role.suffix}"
