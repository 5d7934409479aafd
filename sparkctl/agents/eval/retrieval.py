"""How well questions find their documents: recall@5, MRR@10 and nDCG@10 by words, by vectors, and by both.

Every figure is the same each time: nothing is drawn but the bootstrap's samples, which have a seed.
"""

import platform
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TypeAlias

from sparkctl.agents.eval.retrieval_corpus import PAGE, TOPIC, Corpus, Question, read_corpus, read_questions
from sparkctl.agents.eval.retrieval_lsa import learn
from sparkctl.agents.eval.retrieval_scores import RANKED, Measure, bootstrap, ndcg, recall, reciprocal_rank
from sparkctl.agents.rag.chunks import title_of
from sparkctl.agents.rag.embedded import EmbeddedIndex
from sparkctl.agents.rag.vectors import Floats

DEPTH = 100
"""Chunks of one search, of which the documents are taken in order."""
USER, ALL = "eval", "corpus"
LSA = "LSA, no neural model"

Ranker: TypeAlias = Callable[[str], Sequence[int]]
"""From a question to positions of chunks in the corpus, best first."""
Embed: TypeAlias = Callable[[Sequence[str]], Floats]
"""From texts to vectors, as rows."""


@dataclass(frozen=True)
class Line:
    """One way to search over one set of questions."""

    ranker: str
    part: str
    questions: int
    recall: Measure
    mrr: Measure
    ndcg: Measure

    def row(self) -> str:
        """A row of a Markdown table."""
        return f"| {self.ranker} | {self.part}, {self.questions} | {self.recall} | {self.mrr} | {self.ndcg} |"


@dataclass(frozen=True)
class Report:
    """All lines, over how large a corpus, with which Python: its topics differ between versions."""

    lines: tuple[Line, ...]
    documents: int
    chunks: int
    python: str

    def __str__(self) -> str:
        head = "| search | questions | recall@5 | MRR@10 | nDCG@10 |\n|---|---|---|---|---|"
        return "\n".join(
            (
                head,
                *(one.row() for one in self.lines),
                "",
                f"{self.documents} documents, {self.chunks} chunks, Python {self.python}.",
            )
        )


def ranking(corpus: Corpus, places: Sequence[int]) -> list[str]:
    """Documents in the order of their first chunk."""
    return list(dict.fromkeys(corpus.documents[place] for place in places))[:RANKED]


def measure(name: str, part: str, corpus: Corpus, questions: Sequence[Question], ranker: Ranker) -> Line:
    """One way to search over these questions."""
    ranked = [(ranking(corpus, ranker(one.text)), one.relevant) for one in questions]
    measures = [bootstrap([score(*one) for one in ranked]) for score in (recall, reciprocal_rank, ndcg)]
    return Line(name, part, len(questions), *measures)


@contextmanager
def rankers(corpus: Corpus, embed: Embed | None, name: str) -> Iterator[dict[str, Ranker]]:
    """The searches of the embedded index over a corpus. Without `embed`, the vectors are LSA's of this corpus."""
    texts = [f"{title_of(one)}\n{one.text}" for one in corpus.chunks]
    vectors = embed or learn(texts)
    with tempfile.TemporaryDirectory() as folder:
        index = EmbeddedIndex(Path(folder))
        index.add(USER, ALL, [replace(one, number=n) for n, one in enumerate(corpus.chunks)], list(vectors(texts)))

        def search(query: str, vector: Sequence[float] | None) -> list[int]:
            return [hit.chunk for hit in index.search(USER, query, vector, DEPTH)]

        @cache
        def vector_of(query: str) -> list[float]:
            return [float(one) for one in vectors([query])[0]]

        yield {
            "words (FTS5, BM25)": lambda query: search(query, None),
            f"dense ({name})": lambda query: search("", vector_of(query)),
            "hybrid of both": lambda query: search(query, vector_of(query)),
        }


def retrieval_report(docs: Path | None = None, embed: Embed | None = None, name: str = LSA) -> Report:
    """All searches over the questions on Python, and over those on sparkctl where `docs` is the folder of its pages.

    `embed` is a model that embeds, and `name` what it is called.
    """
    corpus, asked = read_corpus(docs), read_questions()
    parts = {"Python": TOPIC, "sparkctl": PAGE, "all": ""} if docs else {"Python": TOPIC}
    with rankers(corpus, embed, name) as searches:
        lines = [
            measure(ranker, part, corpus, [one for one in asked if one.about(start)], search)
            for part, start in parts.items()
            for ranker, search in searches.items()
        ]
    return Report(tuple(lines), len(set(corpus.documents)), len(corpus.chunks), platform.python_version())
