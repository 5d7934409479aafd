"""A line on the terminal that says which nodes are waited for, and is gone afterwards."""

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TextIO

from sparkctl.report.look import clean, look_at

PATIENCE = 0.3
"""Seconds before anything is said: what answers at once needs no line."""


class Waiting(AbstractContextManager["Waiting"]):
    """One line on standard error, rewritten in place. Silent where either stream is no terminal, or not `wanted`."""

    def __init__(
        self, *, wanted: bool = True, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream or sys.stderr
        look = look_at(self._stream)
        self._live = wanted and look.live and sys.stdout.isatty()
        self._width, self._clock = look.width, clock
        self._began = clock()
        self._all: tuple[str, ...] = ()
        self._shown = ""

    def __exit__(self, *_: object) -> None:
        self.clear()

    def watch(self, waiting: Sequence[str]) -> None:
        """Say who has not answered yet; nobody ends it. Fits `transport.crowd.Watch`."""
        if not waiting:
            self.clear()
            return
        if not set(waiting) <= set(self._all):
            self._began, self._all = self._clock(), tuple(waiting)
        passed = self._clock() - self._began
        if passed >= PATIENCE:
            self.say(words(waiting, self._all, passed))

    def say(self, text: str) -> None:
        """Show a text in place of the last."""
        if self._live and text != self._shown:
            self._shown = text  # before it is: Ctrl-C may come in between
            self._stream.write(f"\r\x1b[K{clean(text)[: max(self._width - 1, 1)]}")
            self._stream.flush()

    def clear(self) -> None:
        """Take the line away, before something else is written."""
        self._all = ()
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._shown = ""


def words(waiting: Sequence[str], every: Sequence[str], seconds: float) -> str:
    """`asking spark-1, spark-2` while none has answered, then who is left and for how long."""
    verb = "asking" if len(waiting) == len(every) else "waiting for"
    return f"{verb} {', '.join(waiting)}" + (f", {seconds:.0f} s" if seconds >= 1 else "")
