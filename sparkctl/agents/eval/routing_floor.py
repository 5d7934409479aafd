"""Routers without a model: what any model has to beat."""

import math
import re
from collections import Counter
from collections.abc import Sequence

from sparkctl.agent_spec import Agents, AgentSpec
from sparkctl.agents.core.fallback import by_words
from sparkctl.agents.core.team import members
from sparkctl.agents.eval.routing import DIRECT, LABELS, Prompt, RoutingScore, score_routing

WORD = re.compile(r"\w+")
Vector = dict[str, float]


def full_team() -> Agents:
    """The supervisor with every specialist that there are labels for."""
    kinds = ("supervisor", *(label for label in LABELS if label != DIRECT))
    return Agents(team={kind: AgentSpec(kind=kind) for kind in kinds})


def floors(prompts: Sequence[Prompt]) -> list[RoutingScore]:
    """Both routers over all prompts."""
    team = members(full_team())
    by_word = [by_words(team, prompt.prompt) or DIRECT for prompt in prompts]
    return [
        score_routing("words of the kinds", prompts, [by_word]),
        score_routing("nearest centroid, 2-fold", prompts, [by_centroids(prompts)]),
    ]


def by_centroids(prompts: Sequence[Prompt]) -> list[str]:
    """A label for each prompt, learned from the other half: prompts at even places judge the odd, and reversed."""
    halves = [Centroids(prompts[start::2]) for start in (0, 1)]
    return [halves[1 - n % 2].nearest(prompt.prompt) for n, prompt in enumerate(prompts)]


class Centroids:
    """The mean tf-idf vector of each label's prompts, by the first of their labels (Rocchio's classifier)."""

    def __init__(self, prompts: Sequence[Prompt]) -> None:
        documents = [(prompt.accept[0], set(words_of(prompt.prompt))) for prompt in prompts]
        seen = Counter(word for _, words in documents for word in words)
        self.rare: Vector = {word: math.log((1 + len(prompts)) / (1 + n)) + 1 for word, n in seen.items()}
        self.middles: dict[str, Vector] = {label: {} for label in LABELS}
        for prompt in prompts:
            middle = self.middles[prompt.accept[0]]
            for word, weight in self.vector(prompt.prompt).items():
                middle[word] = middle.get(word, 0.0) + weight
        self.middles = {label: _unit(middle) for label, middle in self.middles.items()}

    def vector(self, text: str) -> Vector:
        """Words that the training prompts have, weighted, of length one."""
        counts = Counter(word for word in words_of(text) if word in self.rare)
        return _unit({word: count * self.rare[word] for word, count in counts.items()})

    def nearest(self, text: str) -> str:
        """The label whose middle has the largest cosine; `direct` where no word is known."""
        vector = self.vector(text)
        scores = {
            label: sum(w * middle.get(word, 0.0) for word, w in vector.items())
            for label, middle in self.middles.items()
        }
        best = max(scores, key=lambda label: scores[label])
        return best if scores[best] > 0 else DIRECT


def words_of(text: str) -> list[str]:
    """In small letters."""
    return WORD.findall(text.lower())


def _unit(vector: Vector) -> Vector:
    length = math.sqrt(sum(weight**2 for weight in vector.values())) or 1.0
    return {word: weight / length for word, weight in vector.items()}
