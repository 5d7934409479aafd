"""Questions with the documents that answer them, and the corpus that they are asked over.

The questions were written before there was a search to tune (`data/retrieval.jsonl`). The corpus is the topics of
CPython's own `pydoc_data.topics`, each one document, and the sections of this project's pages.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from sparkctl.agents.rag.chunks import Chunk, cut
from sparkctl.agents.rag.markup import read_markdown, read_text
from sparkctl.agents.rag.passages import BETWEEN

TOPIC, PAGE = "topic:", "docs:"
PAGES = (
    *("bench", "benchmarks", "comparison", "configuration", "engines", "gpu-stats", "how-it-works", "json", "lab"),
    *("memory", "memory-guard", "models", "not-verified", "profiles", "quick-start", "roles", "security", "setup"),
    *("survival", "troubleshooting"),
)
"""The pages that were there when the questions were written; later ones were judged by nobody."""


@dataclass(frozen=True)
class Question:
    """What a user would ask, and the grade of each document that answers: 2 it does, 1 it holds the answer too."""

    text: str
    relevant: Mapping[str, int]

    def about(self, start: str) -> bool:
        """Whether all that answers it has ids that begin so."""
        return all(one.startswith(start) for one in self.relevant)


@dataclass(frozen=True)
class Corpus:
    """Chunks, and the document that each belongs to."""

    chunks: tuple[Chunk, ...]
    documents: tuple[str, ...]


def read_questions() -> list[Question]:
    """All questions, in order."""
    text = files("sparkctl.agents.eval").joinpath("data/retrieval.jsonl").read_text("utf-8")
    return [Question(one["question"], one["relevant"]) for one in map(json.loads, text.splitlines())]


def read_corpus(docs: Path | None, words: int = 180, overlap: int = 30) -> Corpus:
    """Topics, and sections of the pages in `docs`, cut as documents of users are."""
    from pydoc_data.topics import topics

    chunks: list[Chunk] = []
    documents: list[str] = []
    for name in sorted(topics):
        made = cut(f"{name}.txt", read_text(topics[name].encode()), words, overlap)
        chunks += made
        documents += [TOPIC + name] * len(made)
    if docs is not None:
        for page in PAGES:
            made = cut(f"{page}.md", read_markdown((docs / f"{page}.md").read_bytes()), words, overlap)
            chunks += made
            documents += [f"{PAGE}{page}.md#{one.heading.rpartition(BETWEEN)[2]}" for one in made]
    return Corpus(tuple(chunks), tuple(documents))
