"""`/runs`: what became of a request, its end before its time, and decisions on calls that wait for a human."""

from collections.abc import AsyncIterator
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, Field

from sparkctl.agents.api.access import Caller, Home
from sparkctl.agents.api.answers import STREAM, Answer, Approval, begun, whole
from sparkctl.agents.api.gone import unless_gone
from sparkctl.agents.core import records, runtime
from sparkctl.agents.core.principal import Scope
from sparkctl.agents.core.tables import Run

router = APIRouter(prefix="/runs", tags=["runs"])
State = Literal["running", "cancelling", "waiting", "done", "failed", "cancelled"]
RunId = Annotated[str, Path(pattern=r"^[A-Za-z0-9-]{1,64}$")]


class RunBody(BaseModel):
    """A run. Times are UTC, in seconds; `ended` is null before the end."""

    run_id: str
    session_id: str
    agent: str = Field(description="The agent that took it first.")
    state: State
    started: float
    ended: float | None
    error: str
    approval: Approval | None = Field(description="What it waits for.")


class RunState(BaseModel):
    """What became of a run that was to end: `cancelling` while another process has yet to notice."""

    run_id: str
    state: State


class Decision(BaseModel):
    """Whether a call may be made. A denied call is told to the model, which then goes on without."""

    call_id: str = Field(min_length=1, max_length=200, pattern=r"^[^\x00]*$")
    allow: bool


def body_of(run: Run) -> RunBody:
    """As the API shows it."""
    shown = {key: getattr(run, key) for key in ("session_id", "agent", "state", "started", "ended", "error")}
    waits = run.paused["approval"] if run.paused else None
    return RunBody.model_validate({**shown, "run_id": run.id, "approval": waits})


@router.get("/{run_id}")
async def read(run_id: RunId, caller: Caller, platform: Home) -> RunBody:
    """A run of the caller's, also while it is at work."""
    caller.require(Scope.CHAT)
    return body_of(await records.find(platform.database, caller.user, run_id))


@router.post("/{run_id}/cancel")
async def cancel(run_id: RunId, caller: Caller, platform: Home) -> RunState:
    """End a run, whichever process has it, and the engine's work on it. One that has ended stays as it is."""
    caller.require(Scope.CHAT)
    state = await runtime.cancel(platform, caller, run_id)
    return RunState.model_validate({"run_id": run_id, "state": state})


@router.post("/{run_id}/approve", response_model_exclude_none=True)
async def approve(run_id: RunId, body: Decision, caller: Caller, platform: Home, request: Request) -> Answer:
    """Allow or deny the call that a run waits for; answers with the rest of it, as `/chat` does."""
    caller.require(Scope.CHAT)
    rest = runtime.resume(platform, caller, run_id, body.call_id, allow=body.allow)
    return await unless_gone(request, whole(platform, caller, rest))


async def taken_up(
    run_id: RunId, body: Decision, caller: Caller, platform: Home
) -> AsyncIterator[AsyncIterator[ServerSentEvent]]:
    """The rest of a run for `/approve/stream`. Raises Failure."""
    caller.require(Scope.CHAT)
    rest = runtime.resume(platform, caller, run_id, body.call_id, allow=body.allow)
    async with begun(rest) as events:
        yield events


@router.post("/{run_id}/approve/stream", response_class=EventSourceResponse, responses=STREAM)
async def approve_stream(
    events: Annotated[AsyncIterator[ServerSentEvent], Depends(taken_up)],
) -> AsyncIterator[ServerSentEvent]:
    """The same, with the rest as it comes: events as those of `/chat/stream`."""
    async for event in events:
        yield event
