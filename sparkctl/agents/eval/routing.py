"""How well requests find their agent: prompts that were labelled by hand, and the scores of any router over them."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from statistics import fmean

from sparkctl.agents.eval.proportions import proportion
from sparkctl.agents.eval.retrieval_scores import Measure

DIRECT = "direct"
"""The label of a request that no specialist fits."""
LABELS = ("rag", "coding", "image", DIRECT)
"""Kinds of agents, and what the supervisor answers itself."""
MALFORMED = "malformed"
"""In the confusion matrix: the router named nobody."""


@dataclass(frozen=True)
class Prompt:
    """A request. `accept` are the labels that are right, the likeliest first: several where it is ambiguous, and of a
    request in several parts the first agent may be that of any part. `group`: clear, ambiguous, multi, scope (nothing
    that the agents could do) or adversarial."""

    id: str
    group: str
    accept: tuple[str, ...]
    prompt: str


@dataclass(frozen=True)
class RoutingScore:
    """One router over the prompts. `by_seed` is the accuracy of each time that all were asked.

    `recall` is of the prompts with one label alone. In `confusion` the row is the right label (the one chosen, where
    several are right and it is among them; else the first), the column the choice, both counted over all seeds.
    """

    router: str
    prompts: int
    accuracy: Measure
    by_seed: tuple[float, ...]
    malformed: Measure
    groups: dict[str, Measure]
    recall: dict[str, Measure]
    confusion: dict[str, dict[str, int]]


def read_prompts() -> list[Prompt]:
    """All of them, in the order of the file."""
    text = files("sparkctl.agents.eval").joinpath("data/routing.jsonl").read_text("utf-8")
    return [Prompt(**one | {"accept": tuple(one["accept"])}) for one in map(json.loads, text.splitlines())]


def score_routing(router: str, prompts: Sequence[Prompt], choices: Sequence[Sequence[str | None]]) -> RoutingScore:
    """The scores of `choices`: for each seed a label for each prompt, None where the router named nobody."""
    hits = [fmean(one[n] in prompt.accept for one in choices) for n, prompt in enumerate(prompts)]
    lost = [fmean(one[n] is None for one in choices) for n in range(len(prompts))]

    def over(name: str, of: Callable[[Prompt], object]) -> Measure:
        return proportion([hit for hit, prompt in zip(hits, prompts, strict=True) if of(prompt) == name])

    single = [prompt.accept[0] for prompt in prompts if len(prompt.accept) == 1]
    return RoutingScore(
        router,
        len(prompts),
        proportion(hits),
        tuple(fmean(choice in p.accept for choice, p in zip(one, prompts, strict=True)) for one in choices),
        proportion(lost),
        {group: over(group, lambda prompt: prompt.group) for group in dict.fromkeys(one.group for one in prompts)},
        {label: over(label, lambda prompt: ",".join(prompt.accept)) for label in LABELS if label in single},
        _confusion(prompts, choices),
    )


def _confusion(prompts: Sequence[Prompt], choices: Sequence[Sequence[str | None]]) -> dict[str, dict[str, int]]:
    pairs = [(prompt, choice) for one in choices for prompt, choice in zip(prompts, one, strict=True)]
    counts = Counter((choice if choice in p.accept else p.accept[0], choice or MALFORMED) for p, choice in pairs)
    columns = (*LABELS, MALFORMED)
    return {row: {column: counts[row, column] for column in columns} for row in LABELS}
