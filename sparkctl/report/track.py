"""Where a run stands, worked out from its events: what each renderer draws."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from sparkctl.amounts import amount, span
from sparkctl.core.events import Event, RunStarted, StepEnded, StepMoved, StepStarted

RATE_WINDOW = 10.0
"""Seconds of progress that a rate is taken over: long enough to be calm, short enough to follow a stall."""

SETTLED_SECONDS, SETTLED_SHARE = 3.0, 0.01
"""How long something must have moved, and how much of the whole, before a rate is told: what starts is slower."""


@dataclass
class Running:
    """A step that is being worked on. `done` and `total` as in `core.action.Progress`."""

    id: str
    node: str
    began: float
    message: str = ""
    done: int = 0
    total: int = 0
    unit: str = ""
    start: int = 0
    samples: deque[tuple[float, int]] = field(default_factory=deque)

    @property
    def name(self) -> str:
        """The step without its node."""
        return self.id.rpartition("@")[0]

    @property
    def complete(self) -> bool:
        """Whether all of a known total is there."""
        return 0 < self.total <= self.done

    def move(self, event: StepMoved, now: float) -> None:
        """Take over a report of progress."""
        if not self.samples or (event.total, event.unit) != (self.total, self.unit) or event.done < self.done:
            self.samples.clear()
            self.start = event.done
        elif self.done == self.start:
            self.samples.clear()  # what stood still before it moved for the first time is no part of its rate
        self.message, self.done, self.total, self.unit = event.message, event.done, event.total, event.unit
        self.samples.append((now, event.done))
        while len(self.samples) > 2 and now - self.samples[1][0] >= RATE_WINDOW:
            self.samples.popleft()

    def rate(self, now: float) -> float:
        """Units a second over the window; 0 before there is anything to tell."""
        if not self.samples or self.done - self.start < max(1, SETTLED_SHARE * self.total):
            return 0.0
        began, first = self.samples[0]
        return (self.done - first) / (now - began) if now - began >= SETTLED_SECONDS else 0.0

    def figures(self, now: float) -> str:
        """`1.2 GiB of 4.0 GiB, 110.0 MiB/s, 25 s left`, as far as it is known."""
        return ", ".join(self.parts(now))

    def parts(self, now: float) -> list[str]:
        """The figures one by one: how much, how fast, how long yet."""
        if not self.unit and not self.total:
            return []
        parts = [amount(self.done, self.unit) + (f" of {amount(self.total, self.unit)}" if self.total else "")]
        rate = 0.0 if self.complete else self.rate(now)
        if self.unit == "B" and rate > 0:
            parts.append(f"{amount(rate, self.unit)}/s")
        if rate > 0 and self.total > self.done:
            parts.append(f"{span((self.total - self.done) / rate)} left")
        return parts


class Track:
    """The state of a run. Events come from several threads; `lock` guards what they change."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock, self.lock = clock, threading.RLock()
        self.began = clock()
        self.nodes: tuple[str, ...] = ()
        self.total = self.ended = 0
        self.running: dict[str, Running] = {}

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return self.clock() - self.began

    def take(self, event: Event) -> None:
        """Follow one event."""
        match event:
            case RunStarted():
                self.nodes, self.total, self.began = event.nodes, len(event.steps), self.clock()
            case StepStarted():
                self.running[event.id] = Running(event.id, event.node, self.clock())
            case StepMoved() if event.id in self.running:
                self.running[event.id].move(event, self.clock())
            case StepEnded():
                self.running.pop(event.id, None)
                self.ended += 1
