"""A page: lines with a hanging indent, folded at the width of the terminal and coloured where it can."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from sparkctl.report.look import Look, clean, look_at

if TYPE_CHECKING:
    from rich.text import Text

NARROWEST = 24
"""Columns that a text must be left with; where its heads leave less, it starts on a line of its own."""


@dataclass(frozen=True)
class Line:
    """One line: marks and heads stand in columns before the text, and its folded rest hangs under the text."""

    text: str
    style: str = ""
    indent: int = 0
    heads: tuple[tuple[str, str], ...] = ()
    """Pairs of text and style, already padded."""


class Page:
    """Writes lines on one stream."""

    def __init__(self, stream: TextIO, look: Look | None = None) -> None:
        from rich.console import Console

        self.stream = stream
        self.look = look or look_at(stream)
        self.console = Console(
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
        from rich.text import Text

        prefix = Text(" " * line.indent)
        for head, style in line.heads:
            prefix.append(clean(head), style)
        left = prefix.cell_len
        if line.heads and self.look.width and self.look.width - left < NARROWEST:
            yield _stripped(prefix)
            prefix, left = Text(" " * (line.indent + 4)), line.indent + 4
        body = Text(clean(line.text), line.style)
        width = max(self.look.width - left, NARROWEST)
        folded = body.wrap(self.console, width) if self.look.width else body.split()
        for number, row in enumerate(folded or [Text()]):
            yield _stripped((Text(" " * left) if number else prefix) + row)


def _stripped(text: "Text") -> "Text":
    text.rstrip()
    return text
