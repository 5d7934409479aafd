"""A page: lines with a hanging indent, folded at the width of the terminal and coloured where it can."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

from sparkctl.report.look import Look, clean, look_at

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

NARROWEST = 32
"""Columns that a text must be left with; where its heads leave less, it starts on a line of its own."""

HANG = 2
"""Columns that the folded rest of a text stands further in, so that it does not look like a text of its own."""


@dataclass(frozen=True)
class Line:
    """One line: marks and heads stand in columns before the text, and its folded rest hangs under the text."""

    text: str
    style: str = ""
    indent: int = 0
    heads: tuple[tuple[str, str], ...] = ()
    """Pairs of text and style, already padded."""
    lead: str = ""
    """Stands before the text and in its style; the folded rest hangs to its right."""


class Page:
    """Writes lines on one stream."""

    def __init__(self, stream: TextIO, look: Look | None = None) -> None:
        self.stream = stream
        self.look = look or look_at(stream)
        self.console = _console(
            file=stream,
            force_terminal=self.look.live,
            color_system="auto" if self.look.colour else None,
            no_color=not self.look.colour,
            width=self.look.width or None,
            highlight=False,
            markup=False,
            emoji=False,
            soft_wrap=True,
        )

    def write(self, lines: Sequence[Line]) -> None:
        """Write lines in order."""
        for line in lines:
            for row in self.rows(line):
                self.console.print(row)

    def say(self, text: str = "", style: str = "", indent: int = 0) -> None:
        """Write one plain line."""
        self.write([Line(text, style, indent)])

    def rows(self, line: Line) -> "Iterator[Text]":
        """The rows of the terminal that a line takes."""
        from rich.cells import cell_len
        from rich.text import Text

        prefix = Text(" " * line.indent)
        for head, style in line.heads:
            prefix.append(clean(head), style)
        left = self.look.width - prefix.cell_len
        wide = prefix.cell_len > line.indent + 4 and left < max(map(cell_len, clean(line.text).split("\n")))
        if wide and self.look.width and left < NARROWEST:
            if prefix.plain.strip():
                yield _stripped(prefix)
            prefix = Text(" " * (line.indent + 4))
        prefix.append(line.lead, line.style)
        left = prefix.cell_len
        body = Text(clean(line.text), line.style)
        for number, (hang, row) in enumerate(self._folded(body, left, HANG * bool(line.heads))):
            yield _stripped((Text(" " * (left + hang)) if number else prefix) + row)

    def _folded(self, body: "Text", left: int, hang: int) -> "Iterator[tuple[int, Text]]":
        """Rows of a text that starts `left` columns from the edge, with the indent that each has beyond that."""
        for part in body.split(allow_blank=True):
            if not self.look.width:
                yield 0, part
                continue
            width = max(self.look.width - left - hang, 1)
            for number, row in enumerate(part.wrap(self.console, width) or [part]):
                yield hang * bool(number), row


def _console(**options: Any) -> "Console":
    """A console that lets BrokenPipeError through to the boundary, where rich would leave with status 1."""
    from rich.console import Console

    class Honest(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    return Honest(**options)


def _stripped(text: "Text") -> "Text":
    text.rstrip()
    return text
