"""Where chunks are found: one protocol, embedded in files of SQLite or in Milvus."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from sparkctl.agents.core.failure import Unavailable
from sparkctl.agents.rag.chunks import Chunk

Vector: TypeAlias = Sequence[float]
RRF_K = 60
"""Reciprocal rank fusion: Cormack, Clarke and Büttcher, SIGIR 2009, found 60 good and little sensitive."""
DEPTH = 50
"""Ranks of each of the two searches that are fused, at least."""


class TooManyVectors(Unavailable):
    """This user has more vectors than the index searches; words are searched all the same."""


@dataclass(frozen=True)
class Hit:
    """A chunk that was found. A higher score is better, within one answer only."""

    doc_id: str
    chunk: int
    score: float


class Index(Protocol):
    """Chunks of users. Every call blocks: call it in a thread. Any thread may call, several at once.

    All raise Unavailable where the index is away.
    """

    def add(self, user: str, doc_id: str, chunks: Sequence[Chunk], vectors: Sequence[Vector] | None) -> None:
        """Index a document, in place of what it had; without vectors it is found by words alone."""

    def remove(self, user: str, doc_id: str) -> None:
        """Forget a document; an unknown one is no error."""

    def search(self, user: str, query: str, vector: Vector | None, limit: int) -> list[Hit]:
        """The best chunks of that user and of nobody else, best first: by words, and by the vector if there is one.

        A query is words, never a language of queries. An empty one is found by its vector alone. With a vector,
        raises TooManyVectors where the user has more than it searches.
        """

    def close(self) -> None:
        """Give back what is open."""


def fuse(*rankings: Sequence[tuple[str, int]], limit: int) -> list[Hit]:
    """Reciprocal rank fusion of rankings of (document, chunk): the sum of 1/(60 + rank), ranks from 1."""
    scores: dict[tuple[str, int], float] = {}
    for ranking in rankings:
        for rank, place in enumerate(ranking, 1):
            scores[place] = scores.get(place, 0.0) + 1 / (RRF_K + rank)
    best = sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:limit]
    return [Hit(doc_id, chunk, score) for (doc_id, chunk), score in best]
