"""One run of the agents: who asks, and what its tools may reach. openai-agents hands it to every tool."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, TypeAlias

from agents import RunContextWrapper
from pydantic import TypeAdapter

from sparkctl.agents.core.events import Citation, Event, ToolCall, Usage
from sparkctl.agents.core.principal import Principal

if TYPE_CHECKING:
    from sparkctl.agents.core.platform import Platform


@dataclass(frozen=True)
class Part:
    """What one agent is asked: the whole message, or a part of it."""

    agent: str
    request: str


@dataclass
class Progress:
    """How far a run has come: what a pause keeps. `Run` has the same fields, and says what they are."""

    message: str
    images: tuple[str, ...]
    untrusted: bool
    citations: list[Citation]
    route: list[str]
    parts: list[Part]
    answers: list[str]
    items: list[dict[str, Any]]
    calls: list[ToolCall]
    usage: Usage
    turns: int
    history: list[dict[str, Any]]
    instructions: str


PROGRESS = TypeAdapter(Progress)


@dataclass
class Run:
    """What a tool sees: `emit` puts an event into the run's stream, at once.

    `untrusted` is set by any tool that brings text from outside (documents, images): from then on tools that write
    or execute ask for approval, in this run and in those that follow in its session. `citations` are the chunks that
    were retrieved in this run, and nothing else may be cited. `images` are ids of uploads that came with the message.

    `instructions` are the client's own, which its agents read after theirs. `session_created` is when its session was
    made, UTC in seconds.

    Of the runtime alone: `route` are the agents that have spoken, `parts` what they are asked and `answers` what they
    said, `items` the conversation of this run and `history` the one before it, `calls` its tool calls, `usage` and
    `turns` what it took; `said` is what was streamed since the last answer. `spent` is what it took since it was last
    begun or resumed: a listener may count it at the last event, whichever that is. `task` is `working` until its end
    is put on record.
    """

    id: str
    principal: Principal
    session_id: str
    platform: "Platform"
    emit: Callable[[Event], None]
    images: tuple[str, ...] = ()
    session_created: float = 0.0
    untrusted: bool = False
    citations: list[Citation] = field(default_factory=list)
    route: list[str] = field(default_factory=list)
    message: str = ""
    instructions: str = ""
    parts: list[Part] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    items: list[dict[str, Any]] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    calls: list[ToolCall] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    spent: Usage = field(default_factory=Usage)
    turns: int = 0
    said: list[str] = field(default_factory=list)
    task: asyncio.Task[None] | None = None
    working: bool = False

    @property
    def workspace(self) -> str:
        """What its files in the sandbox are kept by: those of its session, or, without one, its own until it ends."""
        return workspace_of(self.session_id, self.session_created) if self.session_id else workspace_alone(self.id)

    def stop(self) -> None:
        """End the work, once: how it ended is put on record all the same, and nothing stops that."""
        if self.working and self.task:
            self.working = False
            self.task.cancel()

    def freeze(self) -> dict[str, Any]:
        """Its progress, as JSON."""
        progress = Progress(**{one.name: getattr(self, one.name) for one in fields(Progress)})
        frozen: dict[str, Any] = PROGRESS.dump_python(progress, mode="json")
        return frozen

    def thaw(self, frozen: dict[str, Any]) -> None:
        """Go on from there."""
        progress = PROGRESS.validate_python(frozen)
        for one in fields(Progress):
            setattr(self, one.name, getattr(progress, one.name))

    def took(self, usage: Usage) -> None:
        """An answer of a model was paid for."""
        self.usage, self.spent = self.usage + usage, self.spent + usage


def workspace_of(session_id: str, created: float) -> str:
    """What a session's files in the sandbox are kept by: one that is made again under its id sees none of them."""
    return f"{session_id} {created}"


def workspace_alone(run_id: str) -> str:
    """What the files of a run without a session are kept by."""
    return f"run {run_id}"


Context: TypeAlias = RunContextWrapper[Run]
"""The first parameter of a tool: `context.context` is the Run."""
