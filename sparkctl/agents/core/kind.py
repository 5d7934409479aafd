"""Kinds of agents: what an entry of `agents.team` may be. A kind of your own is one module and one entry."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module

from agents import Tool

from sparkctl.agents.core.failure import Refused

KINDS = {
    "supervisor": "sparkctl.agents.chat.supervisor:SUPERVISOR",
    "plain": "sparkctl.agents.chat.plain:PLAIN",
    "rag": "sparkctl.agents.chat.rag:RAG",
    "coding": "sparkctl.agents.chat.coding:CODING",
    "image": "sparkctl.agents.chat.image:IMAGE",
}
"""Module and name of each kind; it is imported when an agent of it is made."""


class Need(StrEnum):
    """What a model must be able to do for a kind of agent."""

    TOOLS = "tools"
    VISION = "vision"


@dataclass(frozen=True)
class Kind:
    """A kind of agent. `tools` are functions of openai-agents (`function_tool`), whose context is a `Run`.

    `description` is what the supervisor reads to choose, `instructions` the system prompt; both can be overridden by
    the configuration. `words` are what the router without a model looks for: in small letters, found whole. A kind
    that `routes` hands off to every other agent of the team; `answers` is its system prompt where it answers itself.
    """

    description: str
    instructions: str
    capabilities: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    needs: frozenset[Need] = frozenset()
    tools: Callable[[], Sequence[Tool]] = tuple
    routes: bool = False
    answers: str = ""


def kind_of(name: str) -> Kind:
    """A kind by its short name, or as MODULE:NAME. Raises Refused where there is none."""
    module, _, attribute = KINDS.get(name, name).partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        known = ", ".join(KINDS)
        raise Refused(f"no kind of agent is named {name}: there are {known}, or MODULE:NAME of your own") from error
    if not isinstance(found, Kind):
        raise Refused(f"{name} is no kind of agent: a sparkctl.agents.core.kind.Kind is expected")
    return found
