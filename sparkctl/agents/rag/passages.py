"""A document as its readers give it: stretches of text, each with its place."""

import itertools
from dataclasses import dataclass

BETWEEN = " > "
"""Between the headings of a path."""


@dataclass(frozen=True)
class Passage:
    """Text under one heading, a path from the outermost. `line` is its first, from 1; a page of a PDF has `page`."""

    text: str
    heading: str = ""
    line: int = 1
    page: int = 0


@dataclass
class Outline:
    """The path of headings while a document is read from above."""

    path: tuple[tuple[int, str], ...] = ()

    def enter(self, level: int, title: str) -> None:
        """A heading of that level: it ends those of its own level and deeper."""
        self.path = (*(one for one in self.path if one[0] < level), (level, " ".join(title.split())[:200]))

    @property
    def heading(self) -> str:
        """Where we are."""
        return BETWEEN.join(title for _, title in self.path)


def stretches(lines: list[str], starts: list[tuple[int, str]]) -> list[Passage]:
    """Lines cut before each start, which is a line counted from 1 with the heading from there on."""
    marks = [*([] if starts and starts[0][0] == 1 else [(1, "")]), *starts, (len(lines) + 1, "")]
    cut = (
        Passage("\n".join(lines[line - 1 : end - 1]), heading, line)
        for (line, heading), (end, _) in itertools.pairwise(marks)
    )
    return [one for one in cut if one.text.strip()]
