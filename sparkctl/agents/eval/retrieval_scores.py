"""Scores of a ranking, and the interval of their mean."""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

RECALL_AT, RANKED = 5, 10
ROUNDS, SEED, LEVEL = 2_000, 20_261_121, 0.95
"""Of the bootstrap: resamples of the questions, and the part of their means that an interval holds."""


@dataclass(frozen=True)
class Measure:
    """A mean over the questions with its interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


def recall(ranked: Sequence[str], relevant: Mapping[str, int]) -> float:
    """The part of the relevant documents among the first five; of five, where more are relevant."""
    return len(relevant.keys() & set(ranked[:RECALL_AT])) / min(len(relevant), RECALL_AT)


def reciprocal_rank(ranked: Sequence[str], relevant: Mapping[str, int]) -> float:
    """1/rank of the first relevant document among ten, else 0."""
    return next((1 / rank for rank, one in enumerate(ranked[:RANKED], 1) if one in relevant), 0.0)


def ndcg(ranked: Sequence[str], relevant: Mapping[str, int]) -> float:
    """Discounted gain over the best possible, among ten; the gain of grade g is 2^g - 1 (Burges et al., ICML 2005)."""

    def gain(grades: Sequence[int]) -> float:
        return sum((2.0**grade - 1) / math.log2(rank + 1) for rank, grade in enumerate(grades[:RANKED], 1))

    return gain([relevant.get(one, 0) for one in ranked]) / gain(sorted(relevant.values(), reverse=True))


def bootstrap(values: Sequence[float]) -> Measure:
    """The mean, with the percentile interval of the means of resamples. The same values give the same interval."""
    draw = random.Random(SEED)  # noqa: S311 - resampling
    means = sorted(sum(draw.choices(values, k=len(values))) / len(values) for _ in range(ROUNDS))
    edge = round(ROUNDS * (1 - LEVEL) / 2)
    return Measure(sum(values) / len(values), means[edge], means[-edge - 1])
