"""Passages cut into chunks: what is indexed, found and cited."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sparkctl.agents.rag.passages import BETWEEN, Passage

WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]{1,2}|[^\s\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]{1,40}")
"""A word: two characters of a script without spaces, else up to 40 that are no space, so that nothing is endless."""

PLACE = re.compile(r"#.*|:\d+$", re.S)
"""What `source_of` puts behind a name."""


@dataclass(frozen=True)
class Chunk:
    """A piece of a document. `source` is what a citation says, as `guide.md#Install:12`: name, heading, line."""

    number: int
    source: str
    heading: str
    text: str


def cut(name: str, passages: Sequence[Passage], words: int, overlap: int) -> list[Chunk]:
    """Chunks of at most so many words, each with the last ones of its predecessor; none goes over a heading."""
    pieces = ((one, start, text) for one in passages for start, text in _pieces(one.text, words, overlap))
    return [
        Chunk(number, source_of(name, one, start), one.heading, text)
        for number, (one, start, text) in enumerate(pieces)
    ]


def title_of(chunk: Chunk) -> str:
    """What is searched beside its text: the name of its document, and its headings."""
    return f"{PLACE.sub('', chunk.source)} {chunk.heading}".strip()


def source_of(name: str, passage: Passage, start: int) -> str:
    """The place of what begins `start` characters into a passage: by page, or by heading and line."""
    if passage.page:
        return f"{name}#page={passage.page}"
    last = passage.heading.rpartition(BETWEEN)[2]
    line = passage.line + passage.text.count("\n", 0, start)
    return f"{name}#{last}:{line}" if last else f"{name}:{line}"


def _pieces(text: str, words: int, overlap: int) -> Iterator[tuple[int, str]]:
    spans = [found.span() for found in WORD.finditer(text)]
    step = words - min(overlap, words // 2)
    for first in range(0, max(len(spans) - (words - step), 1), step) if spans else ():
        begin, end = spans[first][0], spans[min(first + words, len(spans)) - 1][1]
        yield begin, text[begin:end]
