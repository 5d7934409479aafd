"""Latent semantic analysis: vectors from a singular value decomposition of a corpus, without any neural model.

It is a floor for dense search, and says nothing of what an embeddings model would find.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sparkctl.agents.rag.vectors import Floats, unit
from sparkctl.agents.rag.words import STOP_WORDS

DIMENSIONS = 200
"""Landauer and Dumais, Psychological Review 1997, found a few hundred best."""


@dataclass(frozen=True)
class Lsa:
    """Latent semantic analysis of a corpus: log tf-idf, projected on the first singular vectors."""

    columns: Mapping[str, int]
    weights: Floats
    projection: Floats

    def __call__(self, texts: Sequence[str]) -> Floats:
        """Vectors of unit length; a text without a known word is zero."""
        weighted = _counts(texts, self.columns) * self.weights
        return unit(np.asarray(weighted @ self.projection, np.float32))


def learn(texts: Sequence[str], dimensions: int = DIMENSIONS) -> Lsa:
    """LSA of these texts, over words that are in two of them at least."""
    found = Counter(word for text in texts for word in set(_tokens(text)))
    columns = {word: number for number, word in enumerate(sorted(word for word, n in found.items() if n > 1))}
    seen = np.array([found[word] for word in columns], np.float32)
    weights = np.log((1 + len(texts)) / (1 + seen)).astype(np.float32)
    table = unit(_counts(texts, columns) * weights)
    values, vectors = np.linalg.eigh(table @ table.T)  # squares of the singular values, the smallest first
    few = slice(-1, -1 - min(dimensions, len(texts)), -1)
    scale = np.sqrt(np.maximum(values[few], np.finfo(np.float32).eps))
    return Lsa(columns, weights, (table.T @ vectors[:, few] / scale).astype(np.float32))


def _tokens(text: str) -> list[str]:
    return [word for word in re.findall(r"[a-z_]{2,}", text.lower()) if word not in STOP_WORDS]


def _counts(texts: Sequence[str], columns: Mapping[str, int]) -> Floats:
    table = np.zeros((len(texts), len(columns)), np.float32)
    for row, text in enumerate(texts):
        for word in _tokens(text):
            if word in columns:
                table[row, columns[word]] += 1
    return np.log1p(table, dtype=np.float32)
