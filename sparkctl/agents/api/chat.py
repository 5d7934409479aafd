"""`/chat` and `/chat/stream`: document 1's API. Its old fields that mean nothing here may be sent, and are ignored."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, Field

from sparkctl.agents.api.access import Caller, Home
from sparkctl.agents.api.answers import STREAM, Answer, begun, whole
from sparkctl.agents.api.gone import unless_gone
from sparkctl.agents.core import runtime
from sparkctl.agents.core.principal import Scope
from sparkctl.agents.images import uploads

router = APIRouter(tags=["chat"])
SessionId = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{0,64}$")]
NoNul = Annotated[str, Field(pattern=r"^[^\x00]*$")]
"""PostgreSQL keeps no NUL in a text."""


class ChatRequest(BaseModel):
    """A message to the team, or to one agent of it."""

    message: NoNul = Field(min_length=1, max_length=100_000)
    session_id: SessionId = Field(default="", description="Made where there is none; empty: a new one.")
    agent_type: NoNul = Field(
        default="", max_length=64, description="An agent of /agents; empty: the supervisor chooses."
    )
    images: list[SessionId] = Field(default=[], max_length=8, description="Ids of uploads.")


async def allowed(body: ChatRequest, caller: Caller, platform: Home) -> runtime.Request:
    """The request as the runtime takes it. Raises Forbidden, and Unknown for an image that is not the caller's."""
    caller.require(Scope.CHAT)
    for image in body.images:
        await uploads.find(platform, caller, image)
    return runtime.Request(body.message, body.session_id, body.agent_type, tuple(body.images))


Allowed = Annotated[runtime.Request, Depends(allowed)]


@router.post("/chat", response_model_exclude_none=True)
async def chat(asked: Allowed, caller: Caller, platform: Home, request: Request) -> Answer:
    """The whole answer at once, with its route, tool calls and citations; or, in `approval`, what it waits for."""
    return await unless_gone(request, whole(platform, caller, runtime.run(platform, caller, asked)))


async def begin(asked: Allowed, caller: Caller, platform: Home) -> AsyncIterator[AsyncIterator[ServerSentEvent]]:
    """The run of a request to `/chat/stream`. Raises Failure."""
    async with begun(runtime.run(platform, caller, asked)) as events:
        yield events


@router.post("/chat/stream", response_class=EventSourceResponse, responses=STREAM)
async def stream(
    events: Annotated[AsyncIterator[ServerSentEvent], Depends(begin)],
) -> AsyncIterator[ServerSentEvent]:
    """The answer as it comes. A client that goes away ends the work."""
    async for event in events:
        yield event
