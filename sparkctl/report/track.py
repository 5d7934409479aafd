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
    samples: deque[tuple[float, int]] = field(default_factory=deque)

    @property
    def name(self) -> str:
        """The step without its node."""
        return self.id.rpartition("@")[0]

    def move(self, event: StepMoved, now: float) -> None:
        """Take over a report of progress."""
        if (event.total, event.unit) != (self.total, self.unit) or event.done < self.done:
            self.samples.clear()
        self.message, self.done, self.total, self.unit = event.message, event.done, event.total, event.unit
        self.samples.append((now, event.done))
        while now - self.samples[0][0] > RATE_WINDOW and len(self.samples) > 2:
            self.samples.popleft()

    def rate(self, now: float) -> float:
        """Units a second over the window; 0 before there is anything to tell."""
        if not self.samples or now - self.samples[0][0] < 0.5:
            return 0.0
        began, first = self.samples[0]
        return (self.done - first) / (now - began)

    def figures(self, now: float) -> str:
        """`1.2 GiB of 4.0 GiB, 110.0 MiB/s, 25 s left`, as far as it is known."""
        if not self.unit and not self.total:
            return ""
        parts = [amount(self.done, self.unit) + (f" of {amount(self.total, self.unit)}" if self.total else "")]
        rate = self.rate(now)
        if self.unit == "B" and rate > 0:
            parts.append(f"{amount(rate, self.unit)}/s")
        if rate > 0 and self.total > self.done:
            parts.append(f"{span((self.total - self.done) / rate)} left")
        return ", ".join(parts)


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
