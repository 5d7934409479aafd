"""What the gateway answers, as far as the web UI shows it. Unknown keys are left out, so that it may be newer."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict


class Shape(BaseModel):
    """Fixed once read."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Member(Shape):
    """An agent of the team."""

    name: str
    type: str = ""
    model: str = ""
    description: str = ""
    capabilities: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    healthy: bool | None = None


class Model(Shape):
    """A model as OpenAI's API lists it."""

    id: str
    owned_by: str = ""


class Citation(Shape):
    """A chunk that was retrieved in a run; the answer names it by its number, from 1 on."""

    doc_id: str
    chunk: int
    source: str = ""
    number: int = 0


class ToolCall(Shape):
    """A call that was made for an answer."""

    name: str
    arguments: str = ""
    output: str = ""


class Message(Shape):
    """What was said, with its images; an answer has its route, its citations, and the calls that were made for it."""

    role: Literal["user", "assistant"]
    text: str
    images: tuple[str, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    route: tuple[str, ...] = ()
    citations: tuple[Citation, ...] = ()


class Session(Shape):
    """A conversation; `run_id` is the run that has it, empty for none."""

    id: str
    title: str = ""
    run_id: str = ""


class Listed(Session):
    """A conversation in the list of all; `waiting` is whether a call in it waits for Allow or Deny."""

    waiting: bool = False


class Approval(Shape):
    """A call that waits for Allow or Deny."""

    call_id: str
    name: str
    arguments: str = ""


class Waiting(Shape):
    """A message whose run waits, and how far its answer has come."""

    run_id: str
    message: str
    approval: Approval
    images: tuple[str, ...] = ()
    response: str = ""
    route: tuple[str, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()


class Conversation(Session):
    """A conversation with all that was said, oldest first; a message whose run waits is in `waiting` alone."""

    items: tuple[Message, ...]
    waiting: Waiting | None = None


class Document(Shape):
    """A document. `state`: queued, ingesting, ready, failed."""

    id: str
    name: str
    media: str = ""
    size: int = 0
    state: str = ""
    chunks: int = 0
    error: str = ""
    created: float = 0.0


class Chunk(Shape):
    """A piece of a document; `chunk` counts from 0, `source` is what a citation of it says."""

    chunk: int
    source: str = ""
    text: str = ""


class Passage(Document):
    """A document with some of its chunks."""

    text: tuple[Chunk, ...]


class Hit(Chunk):
    """A chunk that a search found."""

    doc_id: str


class Found(Shape):
    """What a search found, best first; `note` says why it is less than configured."""

    results: tuple[Hit, ...]
    note: str = ""


class AuditEntry(Shape):
    """Who did what, and how it ended."""

    number: int
    at: float
    user: str
    action: str
    target: str = ""
    outcome: str = ""
    request_id: str = ""


class LogLine(Shape):
    """What the gateway wrote; `at` is UTC as ISO 8601."""

    at: str
    level: str
    logger: str
    message: str
    request_id: str = ""
    user: str = ""
    milliseconds: float | None = None
    exception: str = ""


class Usage(Shape):
    """Tokens of a run."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


class Event(Shape):
    """One event of a stream: its kind, and whichever of these its kind has."""

    kind: str
    name: str = ""
    text: str = ""
    call_id: str = ""
    arguments: str = ""
    output: str = ""
    run_id: str = ""
    code: str = ""
    message: str = ""
    response: str = ""
    session_id: str = ""
    agent_name: str = ""
    route: tuple[str, ...] = ()
    citations: tuple[Citation, ...] = ()
    usage: Usage = Usage()


def event_of(kind: str, data: Any) -> Event:
    """An event of the gateway's stream; raises ValueError for what is none."""
    return Event.model_validate({**data, "kind": kind})
