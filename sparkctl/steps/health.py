"""A service that is no engine, as those meet it who stand on it: its container runs, and it says that it is well."""

import time
from dataclasses import dataclass

from sparkctl.core.action import Action, Context
from sparkctl.core.plan import ask
from sparkctl.core.service import Service
from sparkctl.core.step import Absent, Finding, Layer, Ok, Pending, step_id
from sparkctl.errors import CommandFailed
from sparkctl.facts.docker import CONTAINERS
from sparkctl.facts.probe import Answer, Facts, Probe, Want
from sparkctl.runtimes.containers import container_name, docker_errors
from sparkctl.runtimes.words import LINES, tail
from sparkctl.topology import Cluster

PAUSE = 0.3
STARTS = 5
"""How often a service may end before it is given up."""


@dataclass(frozen=True)
class HealthStep:
    """A service is well. `look` is bash on its node that says so by ending with 0, and changes nothing."""

    cluster: Cluster
    service: Service
    look: str
    seconds: float = 60
    layer: Layer = Layer.WORKLOAD

    @property
    def name(self) -> str:
        return health_name(self.service.name)

    @property
    def node(self) -> str:
        return self.service.node

    @property
    def needs(self) -> tuple[str, ...]:
        return (step_id(self.service.name, self.node),)

    @property
    def wants(self) -> tuple[Want, ...]:
        return (Want(self.node, CONTAINERS), Want(self.node, self.probe))

    @property
    def probe(self) -> Probe[bool]:
        """The look that decides."""
        return Probe(f"health:{self.service.name}", self.look, _well)

    def check(self, facts: Facts) -> Finding:
        found = (facts.get(self.node, CONTAINERS) or {}).get(container_name(self.cluster, self.service.name))
        if found is None:
            return Pending(step_id(self.service.name, self.node))
        if found.running and facts.get(self.node, self.probe):
            return Ok("it answers")
        seen = "it runs and does not answer" if found.running else f"its container is {found.status}"
        return Absent((AwaitHealth(self),), seen, symptom=True)

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        return ()


def health_name(service: str) -> str:
    """The name of the step that sees a service well."""
    return f"{service}-health"


@dataclass(frozen=True)
class AwaitHealth:
    """Wait until a service is well; end with its last words where it ends or takes too long."""

    step: HealthStep

    @property
    def summary(self) -> str:
        return f"wait until {self.step.service.name} answers"

    @property
    def detail(self) -> str:
        return f"{self.step.look}\nup to {self.step.seconds:g} s"

    def perform(self, context: Context) -> None:
        """Raises CommandFailed, ConnectionLost."""
        step, deadline = self.step, time.monotonic() + self.step.seconds
        while not Facts({step.node: ask(context.session, [Want(step.node, step.probe)])}).get(step.node, step.probe):
            if time.monotonic() > deadline:
                raise self._failure(context, f"it did not answer within {step.seconds:g} s")
            if state := self._ended(context):
                raise self._failure(context, state)
            context.say(f"{step.service.name} starts")
            context.pause(PAUSE)

    def _ended(self, context: Context) -> str:
        """How it ended for good; what Docker starts again may only have been too early."""
        name = container_name(self.step.cluster, self.step.service.name)
        with docker_errors(self.step.node, f"look at {self.step.service.name}"):
            found = context.session.docker.containers.get(name)
        again = int(found.attrs.get("RestartCount", 0))
        if found.status not in ("running", "restarting"):
            return f"its container is {found.status}"
        return f"it ended {again} times" if again >= STARTS else ""

    def _failure(self, context: Context, what: str) -> CommandFailed:
        step = self.step
        log = tail(context, step.cluster.node(step.node), container_name(step.cluster, step.service.name), LINES)
        fix = f"read the whole log: sparkctl logs {step.service.name}"
        where = f"{step.service.name} on {step.node}"
        return CommandFailed(f"{step.service.name} is not well: {what}", where=where, fix=fix, output="\n".join(log))


def _well(answer: Answer) -> bool:
    return answer.rc == 0
