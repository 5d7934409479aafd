"""`/sessions`: the caller's conversations."""

import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from sparkctl.agents.api.access import Caller, Home
from sparkctl.agents.api.answers import Answer, answer_of, thawed
from sparkctl.agents.api.chat import NoNul
from sparkctl.agents.core import sessions, waiting
from sparkctl.agents.core.events import Citation, ToolCall
from sparkctl.agents.core.history import text_of
from sparkctl.agents.core.platform import Platform
from sparkctl.agents.core.principal import Principal, Scope
from sparkctl.agents.core.run import workspace_of
from sparkctl.agents.core.tables import Item, Run, Session
from sparkctl.agents.sandbox.client import forget

router = APIRouter(prefix="/sessions", tags=["sessions"])
Id = Annotated[str, Path(pattern=r"^[A-Za-z0-9._-]{1,64}$")]


class SessionBody(BaseModel):
    """A conversation. Times are UTC, in seconds; `run_id` is the run that has it, empty for none."""

    id: str
    title: str
    created: float
    updated: float
    run_id: str


class Listed(SessionBody):
    """A conversation in the list of all; `waiting` is whether a call in it waits for a human."""

    waiting: bool


class Message(BaseModel):
    """What was said. An answer has its agent, its route, its citations, and the tool calls made for it.

    `images` are ids of the uploads that came with a message.
    """

    role: Literal["user", "assistant"]
    text: str
    at: float
    images: list[str] = []
    tool_calls: list[ToolCall] = []
    agent_name: str = ""
    route: list[str] = []
    citations: list[Citation] = []
    run_id: str = ""


class Waiting(Answer):
    """A request whose run waits for a human: the message, and how far its answer has come."""

    message: str
    images: tuple[str, ...]


class Conversation(SessionBody):
    """A conversation with all that was said, oldest first; what is not decided yet is in `waiting` alone."""

    items: list[Message]
    waiting: Waiting | None


class Renamed(BaseModel):
    """Another title."""

    title: NoNul = Field(min_length=1, max_length=sessions.TITLE)


def body_of(session: Session) -> dict[str, Any]:
    """As the API shows it."""
    return {
        **{key: getattr(session, key) for key in ("id", "title", "created", "updated")},
        "run_id": session.busy_run if session.busy_until > time.time() else "",
    }


def messages(items: list[Item]) -> list[Message]:
    """What is kept of a conversation in readable form: tool calls are part of the answer that they led to."""
    told: list[Message] = []
    calls: dict[str, ToolCall] = {}
    for item in items:
        content = item.content
        if content.get("type") == "function_call":
            calls[content["call_id"]] = ToolCall(content["name"], content["arguments"], "")
        elif content.get("type") == "function_call_output" and content["call_id"] in calls:
            call = calls[content["call_id"]]
            calls[content["call_id"]] = ToolCall(call.name, call.arguments, str(content["output"]))
        elif "role" in content:
            about = {"text": text_of(content["content"]), "at": item.created, "tool_calls": list(calls.values())}
            told.append(Message.model_validate({**content, **about}))
            calls = {}
    return told


def waiting_of(platform: Platform, caller: Principal, found: Run) -> Waiting:
    """A run that waits, with its message."""
    run = thawed(platform, caller, found)
    return Waiting(**dict(answer_of(run, found)), message=run.message, images=run.images)


@router.get("")
async def index(
    caller: Caller,
    platform: Home,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
    offset: Annotated[int, Query(ge=0, le=1_000_000_000)] = 0,
) -> list[Listed]:
    """The conversations, the one used last first."""
    caller.require(Scope.CHAT)
    found = await sessions.of_user(platform.database, caller.user, limit, offset)
    waits = await waiting.sessions_of(platform.database, caller.user)
    return [Listed.model_validate({**body_of(one), "waiting": one.id in waits}) for one in found]


@router.get("/{session_id}")
async def read(session_id: Id, caller: Caller, platform: Home) -> Conversation:
    """A conversation with all that was said: to show, or to keep elsewhere."""
    caller.require(Scope.CHAT)
    session, items = await sessions.one(platform.database, caller.user, session_id)
    found = await waiting.in_session(platform.database, caller.user, session_id)
    waits = waiting_of(platform, caller, found) if found else None
    return Conversation.model_validate({**body_of(session), "items": messages(items), "waiting": waits})


@router.patch("/{session_id}")
async def rename(session_id: Id, body: Renamed, caller: Caller, platform: Home) -> SessionBody:
    """Give it another title."""
    caller.require(Scope.CHAT)
    found = await sessions.rename(platform.database, caller.user, session_id, body.title)
    return SessionBody.model_validate(body_of(found))


@router.delete("/{session_id}", status_code=204)
async def remove(session_id: Id, caller: Caller, platform: Home) -> None:
    """Forget it with all that was said, and its files. Refused with 409 while a run has it."""
    caller.require(Scope.CHAT)
    created = await sessions.remove(platform.database, caller.user, session_id)
    platform.keep(forget(platform.document, caller.user, workspace_of(session_id, created)))
    platform.journal.note(caller.user, "session.delete", session_id)
