"""A stack that is changed as a whole: what is to come is on record before, what serves is on record after."""

import getpass
import json
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sparkctl.core.action import Action, Context
from sparkctl.core.actions import Script
from sparkctl.core.step import Absent, Drifted, Finding, Layer, Ok, Pending, Step, step_id
from sparkctl.facts.docker import CONTAINERS, ImageFact, image_probe
from sparkctl.facts.kept import UnitFact, keeper_dir, kept_probe
from sparkctl.facts.probe import Facts, Want
from sparkctl.runtimes.containers import container_name
from sparkctl.steps.keeper import keeper_command
from sparkctl.steps.place import OnHead
from sparkctl.steps.stack import Stack

SETTLE_SECONDS = 3600.0
"""How long the keeper may take for what it is asked; its own limits end sooner."""


@dataclass(frozen=True)
class IntentStep(OnHead):
    """What is about to be changed is on record before anything is stopped, and everything it needs is there.

    The containers need this step, and it needs all that they need: while an image or a model is on its way, what
    served before goes on serving.
    """

    stack: Stack
    layer: Layer = Layer.WORKLOAD

    @property
    def name(self) -> str:
        return intent_name(self.stack.suffix)

    @property
    def needs(self) -> tuple[str, ...]:
        own = {self.name, *(step.name for step in self.stack.containers)}
        own |= {step.name for step in (self.stack.join, self.stack.serving) if step}
        own.add(f"leftovers{self.stack.suffix}")
        needs = (need for service in self.stack.services for need in service.needs)
        below = (need for need in needs if need.rpartition("@")[0] not in own)
        return tuple(dict.fromkeys((step_id("keeper", self.node), *below)))

    @property
    def wants(self) -> tuple[Want, ...]:
        containers = (want for step in self.stack.containers for want in step.wants)
        return tuple(dict.fromkeys((Want(self.node, kept_probe(self.cluster)), *containers)))

    def check(self, facts: Facts) -> Finding:
        image = facts.get(self.node, image_probe(self.stack.reference))
        if image is None:
            return Pending(self.stack.containers[0].needs_image)
        digest, unit = self.stack.digest(image), _unit(self, facts)
        if unit.wished == digest or (unit.digest == digest and not unit.wished):
            return Ok()
        before = self.stack.containers if unit.digest else ()
        changes = tuple(text for step in before for text in step.differs(facts, image))
        write = (WriteIntent(self.stack, image, changes),)
        if not unit.digest:
            return Absent(write)
        return Drifted((f"generation {unit.generation} is not what is configured",), write)

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        return ()


@dataclass(frozen=True)
class WriteIntent:
    """Put the record of a change on the head, with who makes it."""

    stack: Stack
    image: ImageFact
    changes: tuple[str, ...]

    @property
    def summary(self) -> str:
        return f"record the change on {self.stack.cluster.head.name}, so that it can be taken back"

    @property
    def detail(self) -> str:
        return "\n".join(self.changes)

    def perform(self, context: Context) -> None:
        by = f"{getpass.getuser()}@{socket.gethostname()}"
        record = json.dumps({**self.stack.record(self.image, self.changes), "by": by}) + "\n"
        path = f"{keeper_dir(self.stack.cluster)}/units/{self.stack.unit}/wish.json"
        context.session.write(path, record.encode(), mode=0o600, sudo=True)


@dataclass(frozen=True)
class GenerationStep(OnHead):
    """What serves is on record: it comes back at a boot, and what it replaced is gone."""

    stack: Stack
    layer: Layer = Layer.WORKLOAD

    @property
    def name(self) -> str:
        return generation_name(self.stack.suffix)

    @property
    def needs(self) -> tuple[str, ...]:
        serving = self.stack.serving
        return (step_id(serving.name, serving.node), step_id("keeper", self.node))

    @property
    def wants(self) -> tuple[Want, ...]:
        nodes = dict.fromkeys(service.node for service in self.stack.services)
        return (
            Want(self.node, kept_probe(self.cluster)),
            Want(self.node, image_probe(self.stack.reference)),
            *(Want(node, CONTAINERS) for node in nodes),
        )

    def check(self, facts: Facts) -> Finding:
        image = facts.get(self.node, image_probe(self.stack.reference))
        unit, ids = _unit(self, facts), dict(self._ids(facts))
        if image is None or len(ids) < len(self.stack.services):
            serving = self.stack.serving
            return Pending(step_id(serving.name, serving.node), unit.note)
        commit = (self._ask("put what serves on record, and remove what it replaced", "commit"),)
        other = self._other(unit, ids, image)
        if not other:
            if unit.trouble:
                return Drifted((unit.note,), commit, symptom=True)
            return Ok(f"generation {unit.generation}" + f"; {unit.note}" * bool(unit.note))
        if not unit.digest:
            return Absent(commit, unit.note, symptom=True)
        said = (f"generation {unit.generation} is on record, and {other}", *([unit.note] * bool(unit.note)))
        return Drifted(said, commit, symptom=True)

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        if self.stack.unit not in facts.get(self.node, kept_probe(self.cluster)).units:
            return ()
        return (self._ask("let nothing come back at a boot", "forget"),)

    def _other(self, unit: UnitFact, ids: Mapping[str, str], image: ImageFact) -> str:
        """How what is on record is another than what is wished and runs; empty where it is the same."""
        if unit.digest != self.stack.digest(image):
            return "is not what is configured"
        if dict(unit.ids) != ids:
            return "other containers run"
        return "so is a change of it that was not finished" if unit.wished else ""

    def _ids(self, facts: Facts) -> Iterator[tuple[str, str]]:
        for service in self.stack.services:
            found = (facts.get(service.node, CONTAINERS) or {}).get(container_name(self.cluster, service.name))
            if found and found.running:
                yield step_id(service.name, service.node), found.id

    def _ask(self, summary: str, verb: str) -> Script:
        command = keeper_command(self.cluster, verb, self.stack.unit)
        return Script(summary, command, sudo=True, timeout=SETTLE_SECONDS)


@dataclass(frozen=True)
class PutBackStep(OnHead):
    """No change is left half done: what served before serves again. `why` is what is kept of the failure."""

    why: str
    name: str = "previous"
    layer: Layer = Layer.WORKLOAD

    @property
    def needs(self) -> tuple[str, ...]:
        return ()

    @property
    def wants(self) -> tuple[Want, ...]:
        return (Want(self.node, kept_probe(self.cluster)),)

    def check(self, facts: Facts) -> Finding:
        units = facts.get(self.node, kept_probe(self.cluster)).units
        open_ones = [name for name, unit in units.items() if unit.wished]
        if not open_ones:
            return Ok()
        return Drifted(
            tuple(f"the change of {name} failed" for name in open_ones),
            tuple(self._put_back(name, units[name]) for name in open_ones),
        )

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        return ()

    def _put_back(self, name: str, unit: UnitFact) -> Script:
        what = f"put generation {unit.generation} back" if unit.digest else "give the change up"
        command = keeper_command(self.cluster, "restore", name, self.why)
        return Script(what, command, sudo=True, timeout=SETTLE_SECONDS)


def stack_steps(stack: Stack) -> tuple[Step, ...]:
    """Every step of it, from the record of the change to the record of what serves."""
    join = (stack.join,) if stack.join else ()
    ends = (IntentStep(stack.cluster, stack), GenerationStep(stack.cluster, stack))
    return (ends[0], *stack.containers, *join, stack.serving, ends[1])


def generation_name(suffix: str) -> str:
    """The name of the step after a stack."""
    return f"generation{suffix}"


def intent_name(suffix: str) -> str:
    """The name of the step before every container of a stack."""
    return f"intent{suffix}"


def _unit(step: IntentStep | GenerationStep, facts: Facts) -> UnitFact:
    return facts.get(step.node, kept_probe(step.cluster)).unit(step.stack.unit)
