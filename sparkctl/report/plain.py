"""Progress for a reader that is no terminal: one line an event, no control characters."""

from collections.abc import Callable
from time import monotonic
from typing import TextIO

from sparkctl.amounts import plural, span
from sparkctl.core.events import Event, RunEnded, StepEnded, StepMoved, StepStarted
from sparkctl.report.look import clean
from sparkctl.report.track import Track

SAME, NEW = 10.0, 1.0
"""Seconds between two lines of one step: with the same message, and with another one that has figures."""


class PlainProgress:
    """Writes a line for each event, and thins out those that only move: what is said once is always written."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = monotonic) -> None:
        self.stream, self.track = stream, Track(clock)
        self._said: dict[str, tuple[float, str]] = {}
        self._deaf = False

    def __enter__(self) -> "PlainProgress":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def emit(self, event: Event) -> None:
        """Take one event; safe from any thread."""
        with self.track.lock:
            self.track.take(event)
            match event:
                case StepStarted():
                    self._line(event.id, "started")
                case StepMoved():
                    self._move(event)
                case StepEnded():
                    message = f": {event.message}" if event.message else ""
                    self._line(event.id, f"{event.outcome} after {span(event.seconds)}{message}")
                case RunEnded():
                    self._line("", run_sentence(event))

    def say(self, text: str) -> None:
        """Write a line that is about no step."""
        with self.track.lock:
            self._line("", text)

    def _move(self, event: StepMoved) -> None:
        now = self.track.clock()
        then, before = self._said.get(event.id, (float("-inf"), ""))
        if now - then < (SAME if event.message == before else NEW if event.total else 0):
            return
        self._said[event.id] = (now, event.message)
        step = self.track.running.get(event.id)
        figures = step.figures(now) if step else ""
        self._line(event.id, f"{event.message} ({figures})" if figures else event.message)

    def _line(self, key: str, text: str) -> None:
        minutes, seconds = divmod(int(self.track.elapsed), 60)
        body = " ".join(clean(f"{key} {text}").split())
        try:
            if not self._deaf:
                print(f"[{minutes:02}:{seconds:02}] {body}", file=self.stream, flush=True)
        except OSError:
            self._deaf = True  # the reader left, the disk is full; steps that are half done are finished all the same


class NoProgress:
    """Shows nothing: for --quiet."""

    def __enter__(self) -> "NoProgress":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def emit(self, event: Event) -> None:
        """Take one event and show nothing of it."""

    def say(self, text: str) -> None:
        """Show nothing."""


def run_sentence(event: RunEnded) -> str:
    """How the run ended, in a line."""
    skipped = f"; {plural(len(event.skipped), 'step')} not begun" if event.skipped else ""
    return f"{event.outcome} after {span(event.seconds)}{skipped}"
