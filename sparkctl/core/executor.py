"""Make a plan true: apply what is not as wished, in dependency order, and check again afterwards."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sparkctl.core import lanes
from sparkctl.core.action import Action, Context, Progress
from sparkctl.core.events import Event, RunEnded, RunStarted, StepEnded, StepMoved, StepStarted
from sparkctl.core.plan import Item, Plan, UndoItem, gather
from sparkctl.core.step import Absent, Blocked, Drifted, Finding, Ok, Pending, Step
from sparkctl.errors import Interrupted, SparkctlError, StepFailed, UnreachableError
from sparkctl.facts.probe import Facts
from sparkctl.transport.session import Session

RECONNECT_WAITS = (1.0, 3.0, 9.0)
"""Seconds before each new try after a broken connection; our choice: a reboot of the switch, not of the node."""


def _unguarded() -> None:
    """No lock to be kept."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended: what each step came to, and the errors by step id."""

    ended: tuple[StepEnded, ...]
    failures: tuple[tuple[str, SparkctlError], ...] = ()
    interrupted: bool = False
    skipped: tuple[str, ...] = ()

    @property
    def failed(self) -> SparkctlError | None:
        """The first failure."""
        return self.failures[0][1] if self.failures else None

    @property
    def changed(self) -> bool:
        """True when any step changed something."""
        return any(end.outcome == "changed" for end in self.ended)


def execute(
    plan: Plan,
    sessions: Mapping[str, Session],
    emit: Callable[[Event], None],
    stop: threading.Event,
    guard: Callable[[], None] = _unguarded,
) -> Outcome:
    """Apply the plan's changes, and look again at every step that stands on one of them.

    `guard` is called before every change; where it raises a SparkctlError, the change is not made.
    """
    run = _Run("up", sessions, emit, stop, guard)
    todo = _affected(plan)
    needs = {item.id: tuple(n for n in item.step.needs if n in todo) for item in plan.items if item.id in todo}
    tasks = {
        item.id: run.task(item.id, item.step, needs[item.id], _Apply(item)) for item in plan.items if item.id in todo
    }
    return run.finish(tasks)


def undo(
    items: Sequence[UndoItem],
    verb: str,
    sessions: Mapping[str, Session],
    emit: Callable[[Event], None],
    stop: threading.Event,
    guard: Callable[[], None] = _unguarded,
) -> Outcome:
    """Take away what the items name, each before what it stood on, and check that it is gone; `guard` as above."""
    run = _Run(verb, sessions, emit, stop, guard)
    present = {item.id: item for item in items}
    users = {key: tuple(i.id for i in items if key in i.below) for key in present}
    tasks = {key: run.task(key, item.step, users[key], _Undo(item)) for key, item in present.items()}
    return run.finish(tasks)


def _affected(plan: Plan) -> set[str]:
    """Items that are not OK, and all that stand on them; plan items come needs first."""
    todo: set[str] = set()
    for item in plan.items:
        if not isinstance(item.finding, Ok) or any(need in todo for need in item.step.needs):
            todo.add(item.id)
    return todo


@dataclass(frozen=True)
class _Apply:
    """One way to work on a step: look, change, look again."""

    item: Item

    def actions(self, facts: Facts) -> tuple[Action, ...]:
        finding = self.item.step.check(facts)
        if isinstance(finding, Ok):
            return ()
        if isinstance(finding, Absent | Drifted):
            return finding.actions
        raise _cannot(finding)

    def confirm(self, facts: Facts, context: Context) -> None:
        finding = self.item.step.check(facts)
        if isinstance(finding, Drifted):
            for look in finding.evidence:
                look.perform(context)
        if not isinstance(finding, Ok):
            raise _unheld(finding)


@dataclass(frozen=True)
class _Undo:
    """The other way: take away, then see nothing left."""

    item: UndoItem

    def actions(self, facts: Facts) -> tuple[Action, ...]:
        return self.item.step.undo(facts)

    def confirm(self, facts: Facts, _context: Context) -> None:
        if left := self.item.step.undo(facts):
            raise StepFailed("still there after it was removed: " + "; ".join(a.summary for a in left))


@dataclass
class _Run:
    """The state of one execution, shared by its lanes."""

    verb: str
    sessions: Mapping[str, Session]
    emit: Callable[[Event], None]
    stop: threading.Event
    guard: Callable[[], None]
    ended: list[StepEnded] = field(default_factory=list)
    failures: list[tuple[str, SparkctlError]] = field(default_factory=list)
    interrupted: bool = False

    def task(self, key: str, step: Step, needs: tuple[str, ...], way: "_Apply | _Undo") -> lanes.Task:
        return lanes.Task((step.node, step.layer), needs, lambda: self.work(key, step, way))

    def finish(self, tasks: Mapping[str, lanes.Task]) -> Outcome:
        began = time.monotonic()
        order = tuple((key, task.needs) for key, task in tasks.items())
        self.emit(RunStarted(self.verb, tuple(self.sessions), order))
        skipped = lanes.run(tasks, self.stop)
        self.interrupted = self.interrupted or self.stop.is_set()
        outcome = "interrupted" if self.interrupted else "failed" if self.failures else "done"
        self.emit(RunEnded(outcome, time.monotonic() - began, skipped))
        return Outcome(tuple(self.ended), tuple(self.failures), self.interrupted, skipped)

    def work(self, key: str, step: Step, way: "_Apply | _Undo") -> bool:
        """Work on one step; True when what stands on it may go on."""
        began = time.monotonic()
        self.emit(StepStarted(key, step.node))
        outcome, message = "stopped", ""
        try:
            outcome = "changed" if self._with_retries(key, step, way) else "unchanged"
        except Interrupted:
            self.interrupted = True
        except SparkctlError as error:
            outcome, message = "failed", error.what
            error.where = key if error.where in ("", step.node) else f"{key}: {error.where}"
            self.failures.append((key, error))
        end = StepEnded(key, step.node, outcome, time.monotonic() - began, message)
        self.ended.append(end)
        self.emit(end)
        return outcome in ("changed", "unchanged")

    def _with_retries(self, key: str, step: Step, way: "_Apply | _Undo") -> bool:
        """Only a broken connection is tried again, and only after a new look at the node."""
        gone: UnreachableError | None = None
        for wait in RECONNECT_WAITS:
            try:
                return self._once(key, step, way)
            except UnreachableError as error:
                context = self._context(key, step)
                context.say(f"connection lost ({error.what}); trying again in {wait:.0f} s")
                context.pause(wait)
                gone = self._reconnect(step)
        if gone:
            raise gone
        return self._once(key, step, way)

    def _reconnect(self, step: Step) -> UnreachableError | None:
        """Mend what is broken; why it cannot be, where a node stays away."""
        gone = None
        for node in {step.node, *(want.node for want in step.wants)}:
            try:
                self.sessions[node].revive()
            except UnreachableError as error:
                gone = error
        return gone

    def _once(self, key: str, step: Step, way: "_Apply | _Undo") -> bool:
        actions = way.actions(gather(self.sessions, step.wants))
        if not actions:
            return False
        context = self._context(key, step)
        for action in actions:
            self.guard()
            context.say(action.summary)
            action.perform(context)
        way.confirm(gather(self.sessions, step.wants), context)
        return True

    def _context(self, key: str, step: Step) -> Context:
        def report(progress: Progress) -> None:
            if self.stop.is_set():
                raise Interrupted("stopped")
            self.emit(StepMoved(key, step.node, **vars(progress)))

        return Context(self.sessions[step.node], self.sessions, report, self.stop)


def _cannot(finding: Finding) -> SparkctlError:
    if isinstance(finding, Blocked):
        return StepFailed(finding.problem, fix=finding.fix)
    on, note = (finding.on, finding.note) if isinstance(finding, Pending) else ("an earlier step", "")
    seen = f": {note}" if note else ""
    return StepFailed(f"still unknown although {on} is done{seen}", fix="try: sparkctl doctor")


def _unheld(finding: Finding) -> SparkctlError:
    if isinstance(finding, Drifted):
        return StepFailed("applied, but it still differs: " + "; ".join(finding.differences))
    if isinstance(finding, Blocked):
        return StepFailed(finding.problem, fix=finding.fix)
    return StepFailed("applied, but it is not there", fix="try: sparkctl doctor")
