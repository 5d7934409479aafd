"""What is evaluated: a gateway with its team, or a model behind OpenAI's API that is given the supervisor's task."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from agents import Agent
from agents.models.chatcmpl_converter import Converter

from sparkctl.agents.chat.supervisor import SUPERVISOR
from sparkctl.agents.core.failure import EngineFailed, Unavailable
from sparkctl.agents.core.routing import ROUTE_TOKENS, Offer, offer_of
from sparkctl.agents.core.run import Run
from sparkctl.agents.core.team import Team, members
from sparkctl.agents.eval.line import Line
from sparkctl.agents.eval.routing import DIRECT, LABELS
from sparkctl.agents.eval.routing_floor import full_team

ROUTER = "supervisor"
CODE_TOKENS = 2_048
"""Most tokens of a program."""
DEAD = {EngineFailed.code, Unavailable.code}
"""Codes of a gateway whose engine is away: nothing more can be learned."""


class Subject(Protocol):
    """Something that routes and writes code. Each call raises SparkctlError where it is away."""

    @property
    def title(self) -> str:
        """What it is, for the reader."""
        ...

    @property
    def kinds(self) -> frozenset[str]:
        """The labels that it can choose."""
        ...

    async def route(self, prompt: str, seed: int) -> str | None:
        """The label of who would answer; None where nobody was named."""
        ...

    async def write(self, prompt: str, seed: int) -> str:
        """An answer with a program in it."""
        ...


@dataclass(frozen=True)
class Gateway:
    """A gateway of sparkctl, through `/chat`: what a user gets, repairs of a bad route included.

    `team` is the kind of each agent by name.
    """

    line: Line
    team: Mapping[str, str]

    @property
    def title(self) -> str:
        return f"gateway {self.line.base}"

    @property
    def kinds(self) -> frozenset[str]:
        return frozenset(map(_label, self.team.values()))

    async def route(self, prompt: str, seed: int) -> str | None:
        """By the first agent that speaks after the supervisor; the answer itself is not waited for."""
        agents: list[str] = []
        async with self.line.answered("POST", "/chat/stream", {"message": prompt}) as answer:
            if answer.is_error:
                raise self.line.odd(f"HTTP {answer.status_code} at /chat/stream")
            kind = ""
            async for text in answer.aiter_lines():
                name, _, value = text.partition(": ")
                if name == "event":
                    kind = value
                if name != "data":
                    continue
                if kind == "error":
                    self._survive(json.loads(value))
                    return None
                if kind == "agent":
                    agents.append(json.loads(value)["name"])
                if kind in ("token", "tool_call", "done") or len(agents) > 1:
                    break
            if agents:
                return _label(self.team.get(agents[-1], ROUTER))
        raise self.line.away("its stream ended without an answer")

    async def write(self, prompt: str, seed: int) -> str:
        """By the coding agent, with its tools."""
        name = next((name for name, kind in self.team.items() if kind == "coding"), "")
        found = await self.line.post("/chat", {"message": prompt, "agent_type": name})
        return str(found.get("response", ""))

    def _survive(self, error: dict[str, Any]) -> None:
        """A run that failed is one without a route. Raises UnreachableError where the engine failed."""
        if error.get("code") in DEAD:
            raise self.line.away(str(error.get("message")))


def _label(kind: str) -> str:
    """The label of a kind of agent: what is no specialist of ours answers directly."""
    return kind if kind in LABELS else DIRECT


@dataclass(frozen=True)
class RawModel:
    """A model behind OpenAI's API, asked once with the supervisor's own prompt and tools: nothing is repaired."""

    line: Line
    model: str
    offer: Offer
    kinds: frozenset[str] = frozenset(LABELS)

    @property
    def title(self) -> str:
        return f"model {self.model} at {self.line.base}"

    async def route(self, prompt: str, seed: int) -> str | None:
        """By the first call of a tool that is valid."""
        tools = [Converter.tool_to_openai(tool) for tool in self.offer.tools]
        tools += [Converter.convert_handoff_tool(one) for one in self.offer.handoffs]
        more = {"tools": tools, "tool_choice": "required", "max_tokens": ROUTE_TOKENS}
        message = await self._ask(SUPERVISOR.instructions, prompt, seed, more)
        for call in message.get("tool_calls") or ():
            called = call.get("function") or {}
            parts = self.offer.read(str(called.get("name")), str(called.get("arguments")), prompt)
            if parts:
                return DIRECT if parts[0].agent == self.offer.router else parts[0].agent
        return None

    async def write(self, prompt: str, seed: int) -> str:
        """Without tools."""
        message = await self._ask("You write programs.", prompt, seed, {"max_tokens": CODE_TOKENS})
        return str(message.get("content") or "")

    async def _ask(self, system: str, prompt: str, seed: int, more: dict[str, Any]) -> dict[str, Any]:
        messages = [{"role": "system", "content": system}, {"role": "user", "content": prompt}]
        asked = {"model": self.model, "messages": messages, "seed": seed, **more}
        found = await self.line.post("/v1/chat/completions", asked)
        try:
            message = found["choices"][0]["message"]
        except (KeyError, IndexError, TypeError) as error:
            raise self.line.odd("no choices in its answer") from error
        return message if isinstance(message, dict) else {}


async def subject_at(line: Line, model: str) -> Subject:
    """A gateway, where `/agents` answers and no model is named; else a model: that one, or the first.

    Raises SparkctlError.
    """
    team = None if model else await line.get("/agents")
    if isinstance(team, list):
        return Gateway(line, {str(one["name"]): str(one["type"]) for one in team})
    found = await line.get("/v1/models")
    names = [str(one["id"]) for one in found.get("data", ())] if isinstance(found, dict) else []
    if not names or (model and model not in names):
        raise line.odd(f"/v1/models has {', '.join(names) or 'no model'}" + (f", not {model}" if model else ""))
    return RawModel(line, model or names[0], _offer())


def _offer() -> Offer:
    """What the supervisor of a full team may choose from, without any model behind it."""
    found = members(full_team())
    made = {name: Agent[Run](name=name, handoff_description=one.description) for name, one in found.items()}
    return offer_of(Team(found, made, ROUTER), ROUTER)
