"""Proportions with their intervals."""

import math
from collections.abc import Sequence
from statistics import fmean

from sparkctl.agents.eval.retrieval_scores import Measure

Z = 1.959964
"""The normal distribution's 97.5 % quantile: intervals of 95 %."""


def proportion(parts: Sequence[float]) -> Measure:
    """The mean of values from 0 to 1 with Wilson's score interval (JASA 22, 1927).

    Each value is one prompt. Where a prompt was asked several times its value is the mean: repeats are no new prompts,
    and make no interval narrower.
    """
    n, p = len(parts), fmean(parts)
    middle, half = p + Z**2 / (2 * n), Z * math.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2))
    scale = 1 + Z**2 / n
    return Measure(p, max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale))
