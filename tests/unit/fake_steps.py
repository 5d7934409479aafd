"""A small world for the executor: a MemoryHost per node, and steps that wish a thing to be in it."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from sparkctl.core.action import Action, Context
from sparkctl.core.events import Event, StepEnded
from sparkctl.core.executor import Outcome, execute, undo
from sparkctl.core.plan import gather, make_plan, make_undo
from sparkctl.core.step import Absent, Blocked, Finding, Layer, Ok, Pending, step_id
from sparkctl.errors import CommandFailed
from sparkctl.facts.probe import Answer, Facts, Probe, Want
from sparkctl.topology import Node, Role
from sparkctl.transport.memory import MemoryHost

Work = Callable[[Context], None]


def thing_probe(name: str) -> Probe[str]:
    """What is known of a thing: `there`, a word such as `wrong`, or nothing."""
    return Probe(name, f"cat {name}", lambda answer: answer.stdout.strip())


@dataclass(frozen=True)
class Do:
    """An action that runs a function of the test."""

    summary: str
    work: Work
    detail: str = ""

    def perform(self, context: Context) -> None:
        self.work(context)


@dataclass
class World:
    """Things on nodes. `log` says what happened, in order; `events` what was reported."""

    nodes: tuple[str, ...] = ("a", "b")
    things: dict[str, str] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)
    hosts: dict[str, MemoryHost] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.nodes:
            node = Node(name, Role.HEAD, "192.0.2.1", "spark")
            self.hosts[name] = MemoryHost(node, probes=lambda thing: Answer(self.things.get(thing, "")))

    def up(self, *steps: "FakeStep", guard: Callable[[], None] = lambda: None) -> Outcome:
        wants = [want for step in steps for want in step.wants]
        plan = make_plan(steps, gather(self.hosts, wants))
        return execute(plan, self.hosts, self.events.append, self.stop, guard)

    def down(self, *steps: "FakeStep") -> Outcome:
        wants = [want for step in steps for want in step.wants]
        items = make_undo(steps, gather(self.hosts, wants), frozenset(Layer))
        return undo(items, "down", self.hosts, self.events.append, self.stop)


def new_world() -> World:
    """Two nodes with nothing on them; a test file makes its fixture of it."""
    return World()


def outcomes(world: World) -> dict[str, str]:
    """How each step ended that was begun, by its id."""
    return {event.id: event.outcome for event in world.events if isinstance(event, StepEnded)}


def fail(_: Context) -> None:
    """Work that breaks."""
    raise CommandFailed("it broke", where="a")


@dataclass(frozen=True)
class FakeStep:
    """Wishes that the thing of its own id is there. `work` may do more or less than that on the way.

    `until` names a thing without which this step cannot be known; a thing that is `wrong` blocks it.
    """

    world: World
    name: str
    node: str = "a"
    needs: tuple[str, ...] = ()
    layer: Layer = Layer.HOST
    work: Work | None = None
    until: str = ""

    @property
    def id(self) -> str:
        return step_id(self.name, self.node)

    @property
    def wants(self) -> tuple[Want, ...]:
        return tuple(Want(self.node, thing_probe(thing)) for thing in (self.id, self.until) if thing)

    def check(self, facts: Facts) -> Finding:
        if self.until and not facts.get(self.node, thing_probe(self.until)):
            return Pending(self.until)
        seen = facts.get(self.node, thing_probe(self.id))
        if seen == "wrong":
            return Blocked(f"{self.id} is wrong", "mend it")
        return Ok() if seen else Absent((Do(f"make {self.id}", self._make),))

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        seen = facts.get(self.node, thing_probe(self.id))
        return (Do(f"remove {self.id}", self._remove),) if seen else ()

    def _make(self, context: Context) -> None:
        self.world.log.append(f"make {self.id}")
        if self.work:
            self.work(context)
        self.world.things.setdefault(self.id, "there")

    def _remove(self, context: Context) -> None:
        self.world.log.append(f"remove {self.id}")
        if self.work:
            self.work(context)
        self.world.things.pop(self.id, None)
