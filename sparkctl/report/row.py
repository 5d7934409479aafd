"""What is said of a running step in the columns that a terminal has left for it: what matters least goes first."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparkctl.report.look import Glyphs, clean
from sparkctl.report.track import Running

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.measure import Measurement
    from rich.text import Text

BARS = (16, 8)
"""Columns of a progress bar, and of the shorter one."""

LEAST = 10
"""Columns below which the beginning of a message tells nothing."""

GAP = "  "


@dataclass(frozen=True)
class Fitted:
    """Bar, figures and message of a step, for a cell whose width only the renderer knows."""

    step: Running
    now: float
    glyphs: Glyphs

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "Iterator[Text]":
        from rich.text import Text

        yield Text(fit(self.step, self.now, options.max_width, self.glyphs), no_wrap=True, overflow="crop")

    def __rich_measure__(self, console: "Console", options: "ConsoleOptions") -> "Measurement":
        from rich.measure import Measurement

        return Measurement(1, options.max_width)


def fit(step: Running, now: float, width: int, glyphs: Glyphs) -> str:
    """The most telling text of at most `width` columns.

    While bytes move, the figures count and the message is what gives way; once all are there, the message says what
    is going on.
    """
    message = " ".join(clean(step.message).split())
    if step.complete:
        return _first_that_fits([*_choices(step, now, glyphs, message), message], width, glyphs)
    text = _first_that_fits(_choices(step, now, glyphs), width, glyphs)
    left = width - _cells(text) - len(GAP) * bool(text)
    return GAP.join(filter(None, (text, _shorten(message, left, glyphs) if left >= LEAST else "")))


def _choices(step: Running, now: float, glyphs: Glyphs, *more: str) -> list[str]:
    """Texts from the fullest to the barest."""
    amounts, *pace = step.parts(now) or ("",)
    full = ", ".join((amounts, *pace))
    with_bars = [GAP.join((_bar(step, columns, glyphs), full, *more)) for columns in BARS] if step.total else []
    return [*with_bars, *(GAP.join(filter(None, (text, *more))) for text in (full, ", ".join((amounts, *pace[-1:]))))]


def _first_that_fits(texts: Sequence[str], width: int, glyphs: Glyphs) -> str:
    return next((text for text in texts if _cells(text) <= width), _shorten(texts[-1], width, glyphs))


def _bar(step: Running, columns: int, glyphs: Glyphs) -> str:
    full, empty = ("#", "-") if glyphs.bar == "|" else ("━", "─")
    filled = min(columns, columns * step.done // step.total)
    return full * filled + empty * (columns - filled)


def _shorten(text: str, width: int, glyphs: Glyphs) -> str:
    from rich.cells import set_cell_size

    if _cells(text) <= width:
        return text
    return set_cell_size(text, max(width - len(glyphs.dots), 0)).rstrip() + glyphs.dots[:width]


def _cells(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)
