"""What happens in a run, as one typed stream: SSE, OpenAI chunks, metrics, audit and history are readings of it."""

from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, TypeAlias


@dataclass(frozen=True)
class Usage:
    """Tokens of a run, as the engines counted them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, more: "Usage") -> "Usage":
        return Usage(self.prompt_tokens + more.prompt_tokens, self.completion_tokens + more.completion_tokens)


@dataclass(frozen=True)
class Citation:
    """A chunk that was retrieved in this run: `chunk` counts from 0 within its document, `source` names that.

    `number` is its marker in the answer: [1] for 1.
    """

    doc_id: str
    chunk: int
    source: str
    number: int = 0


@dataclass(frozen=True)
class AgentEvent:
    """From here on, this agent speaks."""

    kind: ClassVar[str] = "agent"
    name: str


@dataclass(frozen=True)
class TokenEvent:
    """A piece of the answer."""

    kind: ClassVar[str] = "token"
    text: str


@dataclass(frozen=True)
class ToolCallEvent:
    """The agent calls a tool; `arguments` are the JSON text that the model wrote."""

    kind: ClassVar[str] = "tool_call"
    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class ToolResultEvent:
    """What the tool answered, as the model sees it."""

    kind: ClassVar[str] = "tool_result"
    call_id: str
    name: str
    output: str


@dataclass(frozen=True)
class ApprovalEvent:
    """The run waits until `/runs/{run_id}/approve` allows or denies this call."""

    kind: ClassVar[str] = "approval"
    run_id: str
    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class ErrorEvent:
    """The run ended without an answer: one of `core/failure.py`'s codes, and a sentence for the user."""

    kind: ClassVar[str] = "error"
    code: str
    message: str


@dataclass(frozen=True)
class ToolCall:
    """A call of the run, for its summary."""

    name: str
    arguments: str
    output: str


@dataclass(frozen=True)
class DoneEvent:
    """The whole answer. `route` names the agents in order of speaking, the entry agent first."""

    kind: ClassVar[str] = "done"
    response: str
    agent_name: str
    session_id: str
    run_id: str
    route: tuple[str, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    citations: tuple[Citation, ...] = ()
    usage: Usage = field(default_factory=Usage)


Event: TypeAlias = AgentEvent | TokenEvent | ToolCallEvent | ToolResultEvent | ApprovalEvent | ErrorEvent | DoneEvent


def as_json(event: Event) -> dict[str, Any]:
    """The data of an event; its name is `event.kind`."""
    return asdict(event)
