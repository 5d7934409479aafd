"""Progress on a terminal: a row for each node that is redrawn, and finished steps as lines that scroll up."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from time import monotonic
from typing import TYPE_CHECKING

from sparkctl.amounts import span
from sparkctl.core.events import Event, RunEnded, StepEnded
from sparkctl.report.look import clean
from sparkctl.report.page import Line, Page
from sparkctl.report.plain import run_sentence
from sparkctl.report.row import Fitted
from sparkctl.report.terminal import silent_keys
from sparkctl.report.track import Running, Track

if TYPE_CHECKING:
    from rich.console import Group, JustifyMethod
    from rich.table import Table

FRAMES = 8
"""Redraws a second."""

FEW = 8
"""Up to so many nodes, each keeps its row while it waits: rows that come and go are hard to read."""

JUSTIFY: "tuple[JustifyMethod, ...]" = ("left", "left", "left", "right")
"""Spinner, node, step and elapsed time, which are never cut; the rest gives way."""

OUTCOMES = {"changed": "green", "unchanged": "dim", "failed": "bold red", "stopped": "yellow"}


class LiveProgress:
    """Draws the running steps of all nodes below the lines of those that ended."""

    def __init__(self, page: Page, clock: Callable[[], float] = monotonic) -> None:
        from rich.live import Live
        from rich.spinner import Spinner

        self.page, self.track = page, Track(clock)
        self._keys = ExitStack()
        self._spinner = Spinner(page.look.glyphs.spinner)
        self._live = Live(
            console=page.console,
            get_renderable=self._draw,
            refresh_per_second=FRAMES,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> "LiveProgress":
        self._keys.enter_context(silent_keys(self.page.stream))
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()
        self._keys.close()

    def emit(self, event: Event) -> None:
        """Take one event; safe from any thread."""
        with self.track.lock:
            self.track.take(event)
        if isinstance(event, StepEnded):
            self.page.write([self._ended(event)])
        elif isinstance(event, RunEnded):
            self.page.say(run_sentence(event), "bold" if event.outcome == "done" else "bold red")

    def say(self, text: str) -> None:
        """Write a line that is about no step."""
        self.page.say(text, "yellow")

    def _ended(self, event: StepEnded) -> Line:
        glyphs, style = self.page.look.glyphs, OUTCOMES.get(event.outcome, "")
        marks = {"changed": glyphs.ok, "unchanged": glyphs.ok, "failed": glyphs.blocked}
        mark = marks.get(event.outcome, glyphs.dot)
        heads = ((f"{mark} ", style), (f"{span(event.seconds):>12}  ", "dim"), (f"{event.id}  ", ""))
        said = "" if event.outcome == "changed" else event.outcome
        return Line(": ".join(filter(None, (said, event.message))), style, 0, heads)

    def _draw(self) -> "Group":
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 1), expand=True)
        for justify in JUSTIFY:
            table.add_column(no_wrap=True, justify=justify)
        table.add_column(no_wrap=True, ratio=1, overflow="crop")
        with self.track.lock:
            now = self.track.clock()
            for node in self.track.nodes:
                self._add_rows(table, node, now)
            figures = f"{self.track.ended} of {self.track.total} steps, {span(self.track.elapsed)}"
        return Group(table, Text(figures, "dim"))

    def _add_rows(self, table: "Table", node: str, now: float) -> None:
        """A row for each running step; a node without one has a row too, while nodes are few."""
        steps, glyphs = list(self._of(node)), self.page.look.glyphs
        for number, step in enumerate(steps):
            place = "" if number else clean(node)
            told = Fitted(step, now, glyphs)
            table.add_row(self._spinner, place, clean(step.name), span(now - step.began), told)
        if not steps and len(self.track.nodes) <= FEW:
            table.add_row(glyphs.dot, clean(node))

    def _of(self, node: str) -> Iterator[Running]:
        return (step for step in self.track.running.values() if step.node == node)
