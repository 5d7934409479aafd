"""What a served model can do, found by asking it: one small request for each ability, over the API that agents use."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from openai import APIConnectionError, APIStatusError, AsyncOpenAI, OpenAIError
from openai.types.chat import ChatCompletionFunctionToolParam, ChatCompletionMessageParam

from sparkctl.agents.core.endpoints import Served

SECONDS = 60.0
"""How long one answer may take: a model that was not used for long may have to come back from swap."""
SHORT = 200
"""Letters of an engine's refusal that are kept."""
PICTURE = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAADgAAAA4CAIAAAAn5KxJAAAAQElEQVR42u3OQQkAAAgAsetfWh+mEAYLsKZeSFRU"
    "VFRUVFRUVFRUVFRUVFRUVFRUVFRUVFRUVFRUVFRUVFRU9CwicjR1t9nCvQAAAABJRU5ErkJggg=="
)
"""56 pixels square, all red: large enough for every model's smallest patch."""
TOOL: ChatCompletionFunctionToolParam = {
    "type": "function",
    "function": {
        "name": "note_colour",
        "description": "Note a colour.",
        "parameters": {
            "type": "object",
            "properties": {"colour": {"type": "string"}},
            "required": ["colour"],
            "additionalProperties": False,
        },
    },
}
ASK: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Note the colour red."}]


class Ability(StrEnum):
    """What is asked for."""

    LISTED = "listed"
    CHAT = "chat"
    TOOLS = "tools"
    STREAMED_TOOLS = "streamed tools"
    IMAGES = "images"
    EMBEDDINGS = "embeddings"


class Unable(Exception):
    """The engine answered, but not with what was asked for; the message says what came instead."""


@dataclass(frozen=True)
class Finding:
    """Whether a model can do that, and what it answered where it cannot."""

    able: bool
    detail: str = ""


@dataclass(frozen=True)
class Examined:
    """A model as it was found. `context` are tokens, where the engine tells; without `reached`, nothing was asked."""

    name: str
    id: str
    url: str
    reached: bool
    context: int | None
    findings: Mapping[Ability, Finding]
    detail: str = ""

    def able(self, ability: Ability) -> bool:
        """Whether it was found able."""
        return ability in self.findings and self.findings[ability].able


async def examine(served: Served) -> Examined:
    """Ask a model everything. Raises nothing: what fails is a finding."""
    client, endpoint = served.client.with_options(timeout=SECONDS), served.endpoint
    try:
        models = [one async for one in client.models.list()]
    except APIStatusError as error:
        return Examined(served.name, endpoint.id, endpoint.url, False, None, {}, said(error))
    except OpenAIError as error:
        cause = str(error.__cause__ or error)
        return Examined(served.name, endpoint.id, endpoint.url, False, None, {}, cause[:SHORT])
    mine = next((one for one in models if one.id == endpoint.id), None)
    told = (mine.model_extra or {}).get("max_model_len") if mine else None
    others = f"listed are {', '.join(one.id for one in models) or 'none'}"
    findings = {Ability.LISTED: Finding(mine is not None, "" if mine else others)}
    for ability, probe in PROBES.items():
        findings[ability] = await _found(probe(client, endpoint.id))
    context = told if isinstance(told, int) else None
    return Examined(served.name, endpoint.id, endpoint.url, True, context, findings)


async def _found(probe: Awaitable[None]) -> Finding:
    try:
        await probe
    except Unable as error:
        return Finding(False, str(error))
    except APIStatusError as error:
        return Finding(False, said(error))
    except APIConnectionError as error:
        return Finding(False, str(error.__cause__ or error)[:SHORT])
    except (OpenAIError, ValueError, LookupError, TypeError) as error:
        return Finding(False, f"an answer that cannot be read: {type(error).__name__}")
    return Finding(True)


def said(error: APIStatusError) -> str:
    """What the engine said to a request that it refused."""
    return " ".join(error.message.split())[:SHORT]


async def chat(client: AsyncOpenAI, model: str) -> None:
    """It answers a message. Raises Unable, OpenAIError."""
    answer = await client.chat.completions.create(model=model, messages=ASK, max_tokens=16)
    if not answer.choices:
        raise Unable("an answer without a choice")


async def tools(client: AsyncOpenAI, model: str) -> None:
    """It calls the tool that it must call. Raises Unable, OpenAIError, ValueError for malformed arguments."""
    answer = await client.chat.completions.create(
        model=model, messages=ASK, tools=[TOOL], tool_choice="required", max_tokens=256
    )
    calls = [call.function for call in answer.choices[0].message.tool_calls or () if call.type == "function"]
    check_call(calls[0].name if calls else "", calls[0].arguments if calls else "")


async def streamed_tools(client: AsyncOpenAI, model: str) -> None:
    """It does so in a stream, too, which is what agents use. Raises Unable, OpenAIError, ValueError."""
    name, arguments = "", ""
    stream = await client.chat.completions.create(
        model=model, messages=ASK, tools=[TOOL], tool_choice="required", max_tokens=256, stream=True
    )
    async for chunk in stream:
        for call in (chunk.choices[0].delta.tool_calls or ()) if chunk.choices else ():
            if call.function and call.index == 0:
                name, arguments = name + (call.function.name or ""), arguments + (call.function.arguments or "")
    check_call(name, arguments)


def check_call(name: str, arguments: str) -> None:
    """Raises Unable where that tool was not called, ValueError for arguments that are no JSON."""
    if name != TOOL["function"]["name"]:
        raise Unable(
            f"called {name[:50]}" if name else "called no tool: is the engine started with a tool-call parser?"
        )
    read: Any = json.loads(arguments)
    if not isinstance(read, dict):
        raise Unable("arguments that are no JSON object")


async def images(client: AsyncOpenAI, model: str) -> None:
    """It takes a picture; what it sees is not judged. Raises Unable, OpenAIError."""
    seen: list[ChatCompletionMessageParam] = [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What colour is this?"},
                {"type": "image_url", "image_url": {"url": PICTURE}},
            ],
        }
    ]
    answer = await client.chat.completions.create(model=model, messages=seen, max_tokens=16)
    if not answer.choices:
        raise Unable("an answer without a choice")


async def embeddings(client: AsyncOpenAI, model: str) -> None:
    """It makes vectors. Raises Unable, OpenAIError."""
    answer = await client.embeddings.create(model=model, input="red")
    if not answer.data or not answer.data[0].embedding:
        raise Unable("an answer without a vector")


PROBES: Mapping[Ability, Callable[[AsyncOpenAI, str], Awaitable[None]]] = {
    Ability.CHAT: chat,
    Ability.TOOLS: tools,
    Ability.STREAMED_TOOLS: streamed_tools,
    Ability.IMAGES: images,
    Ability.EMBEDDINGS: embeddings,
}


async def examine_all(served: Mapping[str, Served]) -> list[Examined]:
    """Ask all models at once, each one thing after the other."""
    return list(await asyncio.gather(*map(examine, served.values())))
