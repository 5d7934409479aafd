"""Looking again and again until Ctrl-C: what `--watch` does, whatever it looks at."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from sparkctl.cli.common import finite

if TYPE_CHECKING:
    from sparkctl.report.canvas import Canvas
    from sparkctl.report.page import Line
    from sparkctl.report.screen import Screen
    from sparkctl.transport.crowd import Watch

WatchOption = Annotated[bool, typer.Option("--watch", "-w", help="Look again and again, until Ctrl-C.")]
IntervalOption = Annotated[
    float, typer.Option("--interval", min=0.2, callback=finite, metavar="SECONDS", help="Between two looks.")
]

LATE_SECONDS = 2.0
"""A look that takes longer waits for a node: what the last one saw is marked as old."""


@dataclass(frozen=True)
class Picture:
    """What one look saw: for a terminal, for a program, and where neither reads it; empty `plain`: the lines."""

    lines: "Sequence[Line]"
    data: Mapping[str, object]
    plain: "Sequence[Line]" = ()


def look_again(screen: "Screen", look: "Callable[[Watch | None], Picture]", interval: float) -> int:
    """Show what each look sees, one every `interval` seconds, until Ctrl-C: the way to end it, and no failure.

    While a look takes long, what the last one saw is shown as what it is.
    """
    from sparkctl.report.canvas import Canvas
    from sparkctl.report.status import show_time

    try:
        picture = look(None)
        with Canvas(screen) as canvas:
            while True:
                seen = datetime.now(UTC)
                picture = replace(picture, lines=screen.advise(picture.lines))
                canvas.draw([*picture.lines, show_time(seen)], picture.data, picture.plain)
                time.sleep(interval)
                due = time.monotonic() + LATE_SECONDS
                picture = look(partial(_fade, canvas, picture.lines, seen, due))
    except KeyboardInterrupt:
        return 0


def _fade(canvas: "Canvas", lines: "Sequence[Line]", seen: datetime, due: float, waiting: Sequence[str]) -> None:
    """Show the last picture as old, once its successor is late."""
    from sparkctl.report.status import show_stale

    if waiting and time.monotonic() > due:
        canvas.redraw(show_stale(lines, seen, datetime.now(UTC), waiting))
