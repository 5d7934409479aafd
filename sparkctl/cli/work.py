"""How a verb that changes nodes runs: events to the journal and the reader, Ctrl-C, and what is said at the end."""

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from sparkctl.core.events import Event, RunEnded
from sparkctl.core.executor import Outcome
from sparkctl.core.journal import Journal, tee
from sparkctl.errors import Interrupted, SparkctlError
from sparkctl.report.data import run_data
from sparkctl.report.screen import Screen

Work = Callable[[Callable[[Event], None], threading.Event], Outcome]


def perform(
    screen: Screen, cluster: str, work: Work, stop: threading.Event | None = None
) -> tuple[Outcome, Sequence[Event]]:
    """Do the work while it is shown and journalled; the outcome, and every event.

    `stop` is for one of several runs, which end together: where it is set already, nothing begins.
    """
    events: list[Event] = []
    stop = stop or threading.Event()
    with screen.progress() as progress, stoppable(stop, progress.say):
        outcome = work(tee(Journal(cluster, screen.verb).write, events.append, progress.emit), stop)
    ends = [event for event in events if isinstance(event, RunEnded)]
    screen.put(run=run_data(outcome.ended, outcome.skipped, ends[-1].outcome, ends[-1].seconds))
    return outcome, events


@contextmanager
def stoppable(stop: threading.Event, say: Callable[[str], None]) -> Iterator[None]:
    """The first Ctrl-C, or SIGTERM, asks the running steps to stop and begins no other; the second leaves at once."""

    def handle(_number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        say("stopping the running steps; Ctrl-C again leaves at once")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def errors_of(outcome: Outcome, verb: str) -> list[SparkctlError]:
    """What went wrong, each with the next command to try where the error knows none."""
    errors = [error for _, error in outcome.failures]
    if outcome.interrupted:
        errors.append(Interrupted("interrupted; what is done stays done"))
    for error in errors:
        error.fix = error.fix or f"run again, it goes on from what the nodes hold: sparkctl {verb}"
    return errors
