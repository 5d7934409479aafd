"""Routing without a model: by names of agents and by the words of their kinds. A floor, and what remains in need."""

import re
from collections.abc import Mapping

from sparkctl.agents.core.team import Member

NAME_WEIGHT = 3
"""An agent that is called by its name counts like so many words of its kind."""


def by_words(team: Mapping[str, Member], message: str) -> str | None:
    """The agent whose name and `Kind.words` fit best; None where none fits: answer directly.

    The score is the number of different words found, whole and in any case, and NAME_WEIGHT for the name. Of agents
    with the same score the one that is spoken of first is taken.
    """
    scores = {name: score(one, message) for name, one in team.items() if not one.kind.routes}
    best = max(scores, key=lambda name: scores[name], default=None)
    return best if best is not None and scores[best][0] else None


def score(one: Member, message: str) -> tuple[int, int]:
    """How well an agent fits, and where it is first spoken of, negative, so that the larger pair is the better."""
    weights = dict.fromkeys(one.kind.words, 1) | {one.name: NAME_WEIGHT}
    places = {word: place for word in weights if (place := find(word, message)) is not None}
    return sum(weights[word] for word in places), -min(places.values(), default=0)


def named(team: Mapping[str, Member], text: str) -> str | None:
    """The one agent whose name stands in a text; None where there is none, or several."""
    found = [name for name, one in team.items() if not one.kind.routes and find(name, text) is not None]
    return found[0] if len(found) == 1 else None


def find(word: str, text: str) -> int | None:
    """Where a word, or several with one blank between them, stands in a text by itself; None where it does not."""
    found = re.search(rf"(?<![a-z0-9]){re.escape(word.lower())}(?![a-z0-9])", text.lower())
    return found.start() if found else None
