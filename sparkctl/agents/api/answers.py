"""A run as HTTP gives it: its whole answer at once, or its events as SSE."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

from fastapi.sse import ServerSentEvent
from pydantic import BaseModel, Field

from sparkctl.agents.core import records, tables
from sparkctl.agents.core.events import (
    ApprovalEvent,
    Citation,
    DoneEvent,
    ErrorEvent,
    Event,
    ToolCall,
    Usage,
    as_json,
)
from sparkctl.agents.core.failure import EngineFailed, failure_of
from sparkctl.agents.core.platform import Platform
from sparkctl.agents.core.principal import Principal
from sparkctl.agents.core.run import Run

Events = AsyncGenerator[Event, None]
STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": (
            "SSE of `agent`, `token`, `tool_call`, `tool_result`, and at last one of `done`, `approval`, `error`. "
            "The data of each is JSON: that of `done` is what the route without `/stream` answers. After `approval` "
            "the run waits, and `POST /runs/{run_id}/approve/stream` gives the rest."
        )
    }
}


class Approval(BaseModel):
    """A tool call that waits for `POST /runs/{run_id}/approve`."""

    run_id: str
    call_id: str
    name: str
    arguments: str = Field(description="JSON, as the model wrote it.")


class Answer(BaseModel):
    """The team's answer. Only one that waits has `approval`; its `response` is what was answered before."""

    response: str
    agent_name: str = Field(description="The agent that answered last.")
    session_id: str
    route: tuple[str, ...] = Field(description="The agents in order of speaking, the entry agent first.")
    tool_calls: tuple[ToolCall, ...]
    citations: tuple[Citation, ...]
    usage: Usage
    run_id: str
    approval: Approval | None = None


async def whole(platform: Platform, caller: Principal, run: Events) -> Answer:
    """The end of a run. Raises Failure where it ends without an answer."""
    async with aclosing(run):
        async for event in run:
            if isinstance(event, ErrorEvent):
                raise failure_of(event.code, event.message)
            if isinstance(event, DoneEvent):
                return Answer.model_validate(as_json(event))
            if isinstance(event, ApprovalEvent):
                return await waiting(platform, caller, event)
    raise EngineFailed("the run ended without an answer")


async def waiting(platform: Platform, caller: Principal, event: ApprovalEvent) -> Answer:
    """A run that waits, as an answer. Raises Busy where somebody has taken it up in the meantime."""
    found = await records.find(platform.database, caller.user, event.run_id)
    return answer_of(thawed(platform, caller, found), found)


def thawed(platform: Platform, caller: Principal, found: tables.Run) -> Run:
    """A run that waits, as far as it has come. Raises Busy where it does not wait any more."""
    run = Run(found.id, caller, found.session_id, platform, lambda _event: None)
    run.thaw(records.paused_of(found)["progress"])
    return run


def answer_of(run: Run, found: tables.Run) -> Answer:
    """What a run that waits has answered so far, with what it waits for."""
    return Answer(
        response="\n\n".join(run.answers),
        agent_name=run.route[-1],
        session_id=run.session_id,
        route=tuple(run.route),
        tool_calls=tuple(run.calls),
        citations=tuple(run.citations),
        usage=run.usage,
        run_id=run.id,
        approval=Approval.model_validate(records.paused_of(found)["approval"]),
    )


@asynccontextmanager
async def begun(run: Events) -> AsyncIterator[AsyncIterator[ServerSentEvent]]:
    """A run whose first event is known, so that what is refused is refused with a status; ended with the block."""
    async with aclosing(run):
        first = await anext(run)
        yield _told(first, run)


async def _told(first: Event, run: Events) -> AsyncIterator[ServerSentEvent]:
    yield _sse(first)
    async for event in run:
        yield _sse(event)


def _sse(event: Event) -> ServerSentEvent:
    return ServerSentEvent(event=event.kind, data=as_json(event))
