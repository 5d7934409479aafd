"""A role's turn: everything ready while others answer, room made as far as memory asks, and the way back."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sparkctl.cli.clock import Clock
from sparkctl.cli.common import Options, load_config, open_sessions, wants_of
from sparkctl.cli.plan import show_plan
from sparkctl.cli.take_back import take_back
from sparkctl.cli.up import blocked_error, confirm_replacing
from sparkctl.cli.work import Work, errors_of, perform, stoppable
from sparkctl.core.executor import Outcome, execute, undo
from sparkctl.core.lock import Lock, held
from sparkctl.core.plan import Plan, gather, make_plan, make_undo
from sparkctl.core.step import Layer, Step, step_id
from sparkctl.errors import SparkctlError
from sparkctl.report.page import Line
from sparkctl.report.roles import Switched, say_switched, switch_data
from sparkctl.report.screen import Screen
from sparkctl.stacks.role_state import Look, RoleState, State
from sparkctl.stacks.roles import (
    Leaving,
    Room,
    ending,
    forgetting,
    launching,
    patient,
    preparing,
    role,
    roles,
    sleeping,
)
from sparkctl.steps.memory import MemoryStep

if TYPE_CHECKING:
    from sparkctl.config.load import Config
    from sparkctl.config.served import Served
    from sparkctl.transport.ssh import SshSession


MEMORY_SECONDS = 60.0
"""How long the memory of what has ended may take to come back, as for the keeper (docs/survival.md)."""


@dataclass(frozen=True)
class Wish:
    """What is asked for. With `swap` others make room, with `alone` all of them go once the new one answers."""

    verb: str
    name: str
    swap: bool = False
    alone: bool = False
    timeout: float | None = None
    yes: bool = False

    @property
    def command(self) -> str:
        """What to type again."""
        return f"role {self.verb} {self.name}"


@dataclass(frozen=True)
class Turn:
    """One launch or switch of the role `new`, with everything that it needs.

    `served` is whether it answers already; `stop` ends all its runs.
    """

    screen: Screen
    config: "Config"
    new: "Served"
    sessions: "Mapping[str, SshSession]"
    lock: Lock
    wish: Wish
    clock: Clock
    served: bool = False
    stop: threading.Event = field(default_factory=threading.Event)

    def take(self) -> int:
        """All of it; answers with the exit code."""
        looks = [Look(self.config, each) for each in roles(self.config)]
        facts = gather(self.sessions, [want for look in looks for want in look.wants])
        states = {look.role.name: look.state(facts) for look in looks}
        leaving = self._leaving(Room(self.config, states, facts))
        wakes = states[self.new.name].state is State.ASLEEP
        later = bool(leaving) or wakes
        todo = (preparing if later else launching)(self.config, self.new)
        made = make_plan(todo, gather(self.sessions, wants_of(todo)))
        self._show(made, leaving, wakes=wakes)
        if made.blocked:
            return self.screen.fail(blocked_error(made, self.wish.command))
        going = self._others(states, leaving) if self.wish.alone else ()
        if made.clean and not (later or going):
            return self._end("no changes")
        self._confirm(made, [*leaving, *going])
        if later and (errors := self._run(made, "prepare")):
            return self.screen.fail(*errors)
        self.clock.mark("prepared")
        turn = replace(self, served=states[self.new.name].state is State.RUNNING)
        if errors := turn._change(leaving, wakes=wakes):
            return replace(turn, stop=threading.Event())._give_back(errors, leaving)
        if errors := self._make_room(going, "alone") or self._forget(leaving):
            return self.screen.fail(*errors)
        self._report(states, leaving, going)
        return self._end("done")

    def _leaving(self, room: Room) -> tuple[Leaving, ...]:
        """Who makes room. Raises SparkctlError where nobody is asked to, and somebody must."""
        if not self.wish.swap and (why := room.short(self.new)):
            names = ", ".join(leaving.role.name for leaving in room.leaving(self.new))
            fix = f"let {names} make room: sparkctl role switch {self.new.name}"
            raise SparkctlError(f"{self.new.name} does not fit beside what runs: {why}", fix=fix)
        return room.leaving(self.new)

    def _others(self, states: Mapping[str, RoleState], leaving: Sequence[Leaving]) -> tuple[Leaving, ...]:
        """The other roles that would stay."""
        gone = {self.new.name, *(each.role.name for each in leaving)}
        there = [state for name, state in states.items() if name not in gone and state.state.holds_memory]
        return tuple(Leaving(state.role) for state in there if state.state is not State.UNKNOWN)

    def _show(self, made: Plan, leaving: Sequence[Leaving], *, wakes: bool) -> None:
        show_plan(self.screen, self.config, made)
        self.screen.put(role=self.new.name, leaving=[each.role.name for each in leaving])
        words = [f"{each.role.name} {'sleeps' if each.sleeps else 'stops'} when all is ready" for each in leaving]
        words += [f"{self.new.name} wakes"] if wakes else [f"{self.new.name} starts in its place"] * bool(leaving)
        self.screen.show([Line("then: " + ", ".join(words), "bold")] if words else [])

    def _confirm(self, made: Plan, going: Sequence[Leaving]) -> None:
        """Ask before a role is stopped. Raises SparkctlError where the answer is no."""
        if going:
            names = ", ".join(each.role.name for each in going)
            self.screen.confirm(f"Stop {names}, so that {self.new.name} serves?", yes=self.wish.yes)
        else:
            confirm_replacing(self.screen, made, yes=self.wish.yes)

    def _change(self, leaving: Sequence[Leaving], *, wakes: bool) -> list[SparkctlError]:
        """Make room and start the new one; Ctrl-C between two runs ends the next before it begins."""
        with stoppable(self.stop, self.screen.tell):
            return caught(lambda: self._make_room(leaving) or self._start(wakes=wakes))

    def _make_room(self, leaving: Sequence[Leaving], key: str = "room") -> list[SparkctlError]:
        """Let those sleep that may, and end the others."""
        tired = [each.role for each in leaving if each.sleeps]
        ended = [step for each in leaving if not each.sleeps for step in ending(self.config, each.role)]
        steps = tuple(sleeping(self.config, one, asleep=True) for one in tired)
        errors = self._make(steps, f"{key}_sleep") or self._undo(ended, key)
        if key == "room":
            self.clock.mark("room")
        return errors

    def _start(self, *, wakes: bool) -> list[SparkctlError]:
        """From what is ready to the first token."""
        if wakes and (errors := self._make((sleeping(self.config, self.new, asleep=False),), "wake")):
            return errors
        return self._make(launching(self.config, self.new), "run")

    def _forget(self, leaving: Sequence[Leaving]) -> list[SparkctlError]:
        """Who sleeps does not come back at a boot, where all would want their memory at once."""
        tired = [each.role for each in leaving if each.sleeps]
        return self._undo([step for one in tired for step in forgetting(self.config, one)], "forget")

    def _give_back(self, errors: list[SparkctlError], leaving: Sequence[Leaving]) -> int:
        """Take away what does not serve, and let those serve again that made room for it."""
        self.screen.tell(f"{self.new.name} did not come up", "red")
        with stoppable(self.stop, self.screen.tell):
            lost = [] if self.served else caught(self._clear)  # what served before was put back by now
            failed = {each.role.name: self._restore(each) for each in leaving}
        self.screen.put(restored=[name for name, why in failed.items() if not why])
        return self.screen.fail(*errors, *lost, *(error for why in failed.values() for error in why))

    def _clear(self) -> list[SparkctlError]:
        for session in self.sessions.values():
            session.revive()
        return self._undo(ending(self.config, self.new), "clear")

    def _restore(self, gone: Leaving) -> list[SparkctlError]:
        """Let a role that made room serve again, and say whether it does; a launch mends what does not wake."""
        name, steps = gone.role.name, (sleeping(self.config, gone.role, asleep=False),) if gone.sleeps else ()
        woken = caught(lambda: self._make(steps, "wake_back")) if steps else []
        if errors := caught(lambda: self._make(launching(self.config, gone.role), "restore")):
            self.screen.tell(f"{name} does not serve: sparkctl role launch {name}", "red")
            return [*woken, *errors]
        self.screen.tell(f"{name} serves again, at {gone.role.url}", "green")
        return []

    def _make(self, steps: Sequence[Step], key: str) -> list[SparkctlError]:
        """Look, plan, and make these steps true, once the memory of what has ended is back."""
        deadline = time.monotonic() + MEMORY_SECONDS
        while True:
            made = make_plan(steps, gather(self.sessions, wants_of(steps)))
            short = bool(made.blocked) and all(isinstance(item.step, MemoryStep) for item in made.blocked)
            if not short or time.monotonic() > deadline or self.stop.is_set():
                return [blocked_error(made, self.wish.command)] if made.blocked else self._run(made, key)
            time.sleep(1.0)  # an Event that the handler of a signal sets is not for this thread to wait on

    def _run(self, made: Plan, key: str) -> list[SparkctlError]:
        if made.clean:
            return []
        keep = self.lock.keep
        outcome = self._perform(
            lambda say, stop: execute(made, self.sessions, self.clock.listening(say), stop, keep), key
        )
        if key == "run" and (self.served or not outcome.interrupted):  # else it is cleared away here
            take_back(self.screen, self.config.cluster, self.sessions, self.lock, outcome)
        return self._errors(outcome)

    def _undo(self, steps: Sequence[Step], key: str) -> list[SparkctlError]:
        """Take away what of these steps is there."""
        items = make_undo(steps, gather(self.sessions, wants_of(steps)), frozenset({Layer.WORKLOAD}))
        if not items:
            return []
        verb, keep = self.wish.command, self.lock.keep
        outcome = self._perform(lambda say, stop: undo(items, verb, self.sessions, say, stop, keep), key)
        return self._errors(outcome)

    def _perform(self, work: Work, key: str) -> Outcome:
        """One of several runs; the document holds each by its key."""
        outcome, _ = perform(self.screen, self.config.cluster.name, work, self.stop)
        runs = {**self.screen.document.get("runs", {}), key: self.screen.document.pop("run")}
        self.screen.put(runs=runs)
        return outcome

    def _errors(self, outcome: Outcome) -> list[SparkctlError]:
        return errors_of(outcome, self.wish.command)

    def _report(self, states: Mapping[str, RoleState], leaving: Sequence[Leaving], going: Sequence[Leaving]) -> None:
        """The figures of what was done."""
        marks = self.clock.marks
        self.clock.mark("end")
        token = marks.get("token", marks["end"])
        gone = {self.new.name, *(each.role.name for each in leaving)}
        stays = any(state.state is State.RUNNING for name, state in states.items() if name not in gone)
        answered = states[self.new.name].state is State.RUNNING
        done = Switched(
            to=self.new.name,
            left=tuple(each.role.name for each in (*leaving, *going)),
            slept=tuple(each.role.name for each in leaving if each.sleeps),
            seconds=token,
            prepared=marks["prepared"],
            room=marks["room"] - marks["prepared"],
            loaded=token - marks["room"],
            gap=0.0 if stays or answered or not leaving else token - marks["prepared"],
        )
        self.screen.put(switch=switch_data(done))
        self.screen.tell(say_switched(done))

    def _end(self, result: str) -> int:
        self.screen.put(result=result, endpoint={"url": self.new.url, "model": self.new.served_name})
        self.screen.tell(result, "bold green")
        self.screen.tell(f"{self.new.served_name} answers at {self.new.url}")
        self.screen.tell(f"next: sparkctl role test {self.new.name}")
        self.screen.finish()
        return 0


def caught(work: Callable[[], list[SparkctlError]]) -> list[SparkctlError]:
    """The errors of the work, with the one that it raises: it is not the end, others are to serve again."""
    try:
        return work()
    except SparkctlError as error:
        return [error]


def take_turn(options: Options, wish: Wish) -> int:
    """Open the nodes, take the lock, and let the role have its turn; answers with the exit code."""
    screen = options.screen(f"role-{wish.verb}")
    config = patient(load_config(options), wish.timeout)
    new = role(config, wish.name)
    clock = Clock(step_id(f"serving{new.suffix}", new.cluster.head.name))
    with (
        open_sessions(config, options, options.waiting().watch) as sessions,
        held(sessions[config.cluster.head.name], config.cluster.name, wish.command) as lock,
    ):
        return Turn(screen, config, new, sessions, lock, wish, clock).take()
