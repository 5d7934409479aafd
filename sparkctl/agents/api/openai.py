"""OpenAI's API: the team as models `sparkctl/auto` and `sparkctl/AGENT`, beside the raw models."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, ValidationError

from sparkctl.agents.api.access import Caller, Home
from sparkctl.agents.api.answers import Answer, waiting
from sparkctl.agents.api.chat import SessionId
from sparkctl.agents.api.completion import Chunks, CompletionRequest, sse, trace
from sparkctl.agents.api.errors import body_of
from sparkctl.agents.api.gone import unless_gone
from sparkctl.agents.api.passing import EVENT_STREAM
from sparkctl.agents.api.proxy import AGENTS, ANSWERS, Raw, described, forward
from sparkctl.agents.core import runtime
from sparkctl.agents.core.events import ApprovalEvent, DoneEvent, ErrorEvent, Event
from sparkctl.agents.core.failure import EngineFailed, Failure, NeedsApproval, Refused, Unknown, failure_of
from sparkctl.agents.core.platform import Platform
from sparkctl.agents.core.principal import Principal, Scope
from sparkctl.agents.core.tables import new_id
from sparkctl.agents.images.uploads import from_data_url

AUTO = f"{AGENTS}auto"
"""The model that is the team: its entry agent chooses."""
IMAGES = 8
"""The newest pictures of a conversation that its agents see."""
router = APIRouter(tags=["openai"])


class Model(BaseModel):
    """A model: an agent of the team, or one that an engine serves."""

    id: str
    object: str = "model"
    created: int = 0
    owned_by: str


class ModelList(BaseModel):
    """All models."""

    object: str = "list"
    data: list[Model]


@router.get("/v1/models")
async def models(caller: Caller, platform: Home) -> ModelList:
    """The team, its agents, and the raw models by the names that their engines know."""
    caller.require(Scope.CHAT)
    return ModelList(data=list(listed(platform).values()))


@router.get("/v1/models/{name:path}")
async def model(name: str, caller: Caller, platform: Home) -> Model:
    """One of them."""
    caller.require(Scope.CHAT)
    return find(platform, name)


def find(platform: Platform, name: str) -> Model:
    """One of the listed models. Raises Unknown."""
    known = listed(platform)
    if name not in known:
        raise Unknown(f"no model is named {name[:100]}: GET /v1/models lists them")
    return known[name]


def listed(platform: Platform) -> dict[str, Model]:
    """The models by id."""
    ours = [AUTO, *(f"{AGENTS}{name}" for name in platform.document.agents.team)]
    raw = [served.endpoint.id for served in platform.endpoints.by_name.values()]
    return {name: Model(id=name, owned_by="sparkctl" if name in ours else "engine") for name in [*ours, *raw]}


@router.post(
    "/v1/chat/completions",
    response_class=Response,
    responses=ANSWERS,
    openapi_extra=described({"messages": {"type": "array", "items": {"type": "object"}}}),
)
async def completions(
    request: Request,
    body: Raw,
    caller: Caller,
    platform: Home,
    x_session_id: Annotated[SessionId, Header(description="Keeps the conversation: the newest message counts.")] = "",
) -> Response:
    """Agents answer with their route and tools as `reasoning_content`; a raw model's engine answers as it does."""
    if not body.model.startswith(AGENTS):
        return await forward(request, body, caller, platform)
    caller.require(Scope.CHAT)
    find(platform, body.model)
    asked = parse(body.text)
    run = runtime.run(platform, caller, await to_run(platform, caller, asked, x_session_id))
    chunks = Chunks(f"chatcmpl-{new_id()}", asked.model)
    if not asked.stream:
        return JSONResponse(await unless_gone(request, whole(run, chunks)))
    first = await anext(run)  # what is refused is refused with a status
    usage = bool(asked.stream_options and asked.stream_options.include_usage)
    paused = partial(waiting, platform, caller)
    return StreamingResponse(streamed(request, first, run, chunks, paused, usage=usage), media_type=EVENT_STREAM)


def parse(text: str) -> CompletionRequest:
    """The request to an agent. Raises RequestValidationError, which is answered like any other bad body."""
    try:
        return CompletionRequest.model_validate_json(text)
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_input=False)) from error


async def to_run(platform: Platform, caller: Principal, asked: CompletionRequest, session_id: str) -> runtime.Request:
    """What the team is asked: with a session its newest message alone, without one the client's whole history."""
    agent = asked.model.removeprefix(AGENTS)
    message = asked.messages[asked.last]
    sent = [message] if session_id else asked.messages[: asked.last + 1]
    urls = [url for one in sent for url in one.image_urls]
    if not message.text and not message.image_urls:
        raise Refused("the last message of the user is empty")
    images = [(await from_data_url(platform, caller, url)).id for url in urls[-IMAGES:]]
    return runtime.Request(
        message.text,
        session_id,
        "" if agent == "auto" else agent,
        tuple(images),
        None if session_id else asked.history,
        asked.instructions,
    )


async def whole(run: AsyncGenerator[Event, None], chunks: Chunks) -> dict[str, Any]:
    """The answer at once. Raises Failure where the run ends without one, NeedsApproval where it waits for a human."""
    told: list[str] = []
    async with aclosing(run):
        async for event in run:
            if isinstance(event, ErrorEvent):
                raise failure_of(event.code, event.message)
            if isinstance(event, DoneEvent):
                return chunks.whole(event, "".join(told))
            if isinstance(event, ApprovalEvent):
                raise NeedsApproval(trace(event).strip())
            told.append(trace(event))
    raise EngineFailed("the run ended without an answer")


async def streamed(
    request: Request,
    first: Event,
    run: AsyncGenerator[Event, None],
    chunks: Chunks,
    paused: Callable[[ApprovalEvent], Awaitable[Answer]],
    *,
    usage: bool,
) -> AsyncIterator[bytes]:
    """The chunks of the answer, the first event being known; `paused` tells of a run that waits for a human."""
    async with aclosing(run):
        event: Event | None = first
        try:
            while event is not None:
                if isinstance(event, ErrorEvent):
                    raise failure_of(event.code, event.message)
                for chunk in chunks.of(event):
                    yield sse(chunk)
                if isinstance(event, DoneEvent | ApprovalEvent):
                    end = event if isinstance(event, DoneEvent) else await paused(event)
                    for chunk in chunks.last(end, usage=usage):
                        yield sse(chunk)
                event = await anext(run, None)
        except Failure as failure:
            yield sse(body_of(request, failure.status, failure.code, failure.message).model_dump())
            return
    yield b"data: [DONE]\n\n"
