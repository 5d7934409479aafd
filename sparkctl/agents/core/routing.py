"""Who answers: asked of a model by tool calls that it must make, and by words alone where it cannot.

Nothing that the model writes beside its call is shown to anyone: what a user reads comes from the agent chosen.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from agents import FunctionTool, Handoff, ModelResponse, ModelSettings, ModelTracing, Tool, TResponseInputItem, handoff
from openai import BadRequestError, UnprocessableEntityError
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage
from pydantic import BaseModel, Field, ValidationError

from sparkctl.agents.core import fallback
from sparkctl.agents.core.history import Item, spoken
from sparkctl.agents.core.kind import Need
from sparkctl.agents.core.meter import asking, book
from sparkctl.agents.core.run import Part, Run
from sparkctl.agents.core.team import Member, Team

DIRECTLY, SPLIT = "answer_directly", "split_request"
PARTS = 4
"""Most parts of a request."""
REMEMBERED = 8
"""Messages of the conversation that a router sees before the one that it routes."""
ROUTE_TOKENS = 1_024
"""Most tokens of a router's answer: a call of a tool, and what the model thinks before."""
ATTEMPTS = 2
REMINDER = "That was no valid call. Call exactly one of: {}. Write nothing else."


class _Part(BaseModel):
    agent: str
    request: str = Field(min_length=1, pattern=r"\S")


class _Split(BaseModel):
    parts: list[_Part] = Field(min_length=2, max_length=PARTS)


@dataclass(frozen=True)
class Offer:
    """What a router may choose from: a handoff to each specialist, an answer of its own, and a split."""

    router: str
    team: Mapping[str, Member]
    handoffs: list[Handoff[Any, Any]]
    tools: list[Tool]

    @property
    def names(self) -> list[str]:
        """The names of all that can be called."""
        return [one.tool_name for one in self.handoffs] + [one.name for one in self.tools]

    def read(self, name: str, arguments: str, message: str) -> list[Part]:
        """What a call means; nothing where it names no agent, or its arguments cannot be read."""
        if name == DIRECTLY:
            return [Part(self.router, message)]
        if name == SPLIT:
            return self._split(arguments)
        return [Part(one.agent_name, message) for one in self.handoffs if one.tool_name == name]

    def _split(self, arguments: str) -> list[Part]:
        try:
            parts = _Split.model_validate_json(arguments).parts
        except ValidationError:
            return []
        known = all(part.agent in self.team for part in parts)
        return [Part(part.agent, part.request) for part in parts] if known else []


def offer_of(team: Team, router: str) -> Offer:
    """What that agent of the team may choose from."""
    specialists = team.specialists()
    handoffs = [handoff(team.agents[name]) for name in specialists]
    directly = _tool(DIRECTLY, "Answer yourself, because no other tool fits.", {})
    return Offer(router, specialists, handoffs, [directly, _split_tool(list(specialists))])


async def choose(run: Run, offer: Offer, history: list[Item]) -> list[Part]:
    """What is asked of whom, in order. Raises OutOfLimits, and what a client of OpenAI raises."""
    asked: list[Item] = [*spoken(history)[-REMEMBERED:], {"role": "user", "content": run.message + _seen(run)}]
    for _ in range(ATTEMPTS if offer.team else 0):
        try:
            response = await _ask(run, offer, asked)
        except (BadRequestError, UnprocessableEntityError):
            break  # this engine takes no tools, or not these
        calls = [one for one in response.output if isinstance(one, ResponseFunctionToolCall)]
        valid = (offer.read(call.name, call.arguments, run.message) for call in calls)
        if parts := next((found for found in valid if found), []):
            return parts
        wrote = _text(response)
        if wrote and not calls:
            name = fallback.named(offer.team, wrote)
            return [Part(name, run.message)] if name else guessed(run, offer)
        reminder = REMINDER.format(", ".join(offer.names))
        asked = [*asked[:-1], {"role": "user", "content": f"{asked[-1]['content']}\n\n{reminder}"}]
    return guessed(run, offer)


def guessed(run: Run, offer: Offer) -> list[Part]:
    """What is asked of whom, without a model: images go to who can see, the rest by words."""
    seeing = [name for name, one in offer.team.items() if Need.VISION in one.kind.needs]
    name = seeing[0] if run.images and seeing else fallback.by_words(offer.team, run.message)
    return [Part(name or offer.router, run.message)]


async def _ask(run: Run, offer: Offer, asked: list[Item]) -> ModelResponse:
    team = run.platform.team
    router, served = team.member(offer.router), run.platform.endpoints.find(team.member(offer.router).spec.model)
    instructions = router.spec.instructions or router.kind.instructions
    with asking(run, instructions + json.dumps(asked, ensure_ascii=False)):
        response = await served.model().get_response(
            instructions,
            cast(list[TResponseInputItem], asked),
            ModelSettings(tool_choice="required", temperature=router.spec.temperature, max_tokens=ROUTE_TOKENS),
            offer.tools,
            None,
            offer.handoffs,
            ModelTracing.DISABLED,
            previous_response_id=None,
            conversation_id=None,
            prompt=None,
        )
    book(run, response.usage)
    return response


def _seen(run: Run) -> str:
    return f"\n\n({len(run.images)} image(s) came with this message.)" if run.images else ""


def _text(response: ModelResponse) -> str:
    messages = (one for one in response.output if isinstance(one, ResponseOutputMessage))
    return " ".join(getattr(piece, "text", "") for one in messages for piece in one.content).strip()


def _tool(name: str, description: str, properties: dict[str, Any]) -> FunctionTool:
    """A tool that is offered, and whose call is read; it is never run."""

    async def unused(_context: Any, _arguments: str) -> str:
        return json.dumps(None)

    schema = {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}
    return FunctionTool(name, description, schema, unused)


def _split_tool(names: list[str]) -> FunctionTool:
    text = "What this agent is asked, complete in itself."
    part = {"agent": {"type": "string", "enum": names}, "request": {"type": "string", "description": text}}
    items = {"type": "object", "properties": part, "required": [*part], "additionalProperties": False}
    parts = {"type": "array", "items": items, "minItems": 2, "maxItems": PARTS}
    description = "Ask several agents, one after the other; their answers are joined. Only for several requests."
    return _tool(SPLIT, description, {"parts": parts})
