"""The agents of a profile against the models that it serves, checked offline."""

import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import TYPE_CHECKING

from sparkctl.agent_spec import TOOLS, AgentSpec
from sparkctl.config.agents import Platform
from sparkctl.config.served import Served
from sparkctl.errors import Problem

if TYPE_CHECKING:
    from sparkctl.config.fit import Fit

BLIND = re.compile(
    r"(gpt-oss-|phi-4$|(meta-)?llama-(2|3|3\.1|3\.3)-|qwen2\.5-(?!vl|omni)|qwen3-(?!vl|omni)|deepseek-(r1|v3|coder)|"
    r"mistral-7b|mixtral-|codellama-)",
    re.IGNORECASE,
)
"""Names, without the organisation, of models that read text alone, by their model cards."""
OWN = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
"""MODULE:NAME of a kind that is not the platform's own."""


def faults(fit: "Fit", platform: Platform) -> Iterator[Problem]:
    """What of the team cannot work: agents, kinds, tools, models that there are not, and eyes that see nothing."""
    if platform.entry not in platform.team:
        yield _unknown(fit, ("agents", "entry"), platform.entry, list(platform.team))
    models = [known for one in fit.served for known in (one.name, one.served_name) if known]
    for name, agent in platform.team.items():
        yield from _kind(fit, name, agent)
        served, place = model_of(agent.model, fit.served), ("agents", "team", name, "model")
        if served is None:
            yield _unknown(fit, place, agent.model, models)
        elif agent.kind == "image" and BLIND.match(served.model.id.rpartition("/")[2]):
            found = f"{served.model.id}, which reads text alone"
            yield fit.refused(place, found, "a model that sees, such as Qwen/Qwen2.5-VL-7B-Instruct")
    if model_of(platform.rag.embeddings, fit.served) is None:
        yield _unknown(fit, ("agents", "rag", "embeddings"), platform.rag.embeddings, models)


def _kind(fit: "Fit", name: str, agent: AgentSpec) -> Iterator[Problem]:
    """A kind that is none, and tools that it has not; what a kind of one's own has, only its module knows."""
    place, there = ("agents", "team", name), TOOLS.get(agent.kind)
    if there is None and not OWN.fullmatch(agent.kind):
        yield _unknown(fit, (*place, "kind"), agent.kind, [*TOOLS, "MODULE:NAME of your own"])
    for tool in agent.tools or ():
        if there == ():
            yield fit.refused((*place, "tools"), repr(tool), f"none: the kind {agent.kind} has no tools")
        elif there and tool not in there:
            yield _unknown(fit, (*place, "tools"), tool, list(there))


def _unknown(fit: "Fit", place: tuple[str, ...], name: str, known: list[str]) -> Problem:
    """A name that is none of those, with the nearest."""
    nearest = get_close_matches(name, known, n=1)
    return Problem(fit.document.where(place), ".".join(place), repr(name), f"one of: {', '.join(known)}", *nearest)


def model_of(name: str, models: tuple[Served, ...]) -> Served | None:
    """The model that an agent names: by the profile's name, or by what clients call it; the first for an empty one."""
    return next((one for one in models if name in ("", one.name, one.served_name)), None)


def seers(platform: Platform, models: tuple[Served, ...]) -> Iterator[tuple[str, Served]]:
    """The agents that look at images, each with its model."""
    for name, agent in platform.team.items():
        if agent.kind == "image" and (served := model_of(agent.model, models)):
            yield name, served
