"""Chat Completions as agents read and write them: OpenAI's shapes, and nothing of HTTP."""

import json
import time
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal, cast

from agents import TResponseInputItem
from pydantic import AfterValidator, BaseModel, Field
from pydantic_core import PydanticCustomError

from sparkctl.agents.api.answers import Answer
from sparkctl.agents.api.chat import NoNul
from sparkctl.agents.core.events import (
    AgentEvent,
    ApprovalEvent,
    DoneEvent,
    Event,
    TokenEvent,
    ToolCallEvent,
    ToolResultEvent,
    Usage,
)
from sparkctl.agents.core.failure import Refused

SHOWN = 400
"""Letters of a tool's arguments and result that are shown as reasoning."""


class ImageUrl(BaseModel):
    """A picture: a `data:` URL."""

    url: str


class ContentPart(BaseModel):
    """A part of a message; of any other type it is refused."""

    type: str = Field(description="text or image_url")
    text: NoNul = ""
    image_url: ImageUrl | None = None


class CalledFunction(BaseModel):
    """A tool that a model called earlier, with the JSON text of its arguments."""

    name: str
    arguments: str = "{}"


class CalledTool(BaseModel):
    """A call of a tool in the history."""

    id: str
    function: CalledFunction


class Message(BaseModel):
    """A message of the history; the last of a user is the request."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: NoNul | list[ContentPart] | None = None
    tool_calls: list[CalledTool] | None = None
    tool_call_id: str = ""

    @property
    def text(self) -> str:
        """The words of all parts. Raises Refused for a part that is neither text nor an image."""
        if not isinstance(self.content, list):
            return self.content or ""
        if strange := [part.type for part in self.content if part.type not in ("text", "image_url")]:
            raise Refused(f"a part of a message is text or image_url, not {strange[0][:50]}")
        return "\n".join(part.text for part in self.content if part.text)

    @property
    def image_urls(self) -> list[str]:
        """The URLs of its pictures."""
        parts = self.content if isinstance(self.content, list) else []
        return [part.image_url.url for part in parts if part.image_url]


class StreamOptions(BaseModel):
    """What a stream brings beside the answer."""

    include_usage: bool = False


def no_tools(tools: list[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
    """Refuse a client's tools: agents have their own. Raises PydanticCustomError."""
    if tools:
        raise PydanticCustomError("tools", "agents have tools of their own; a raw model of GET /v1/models takes yours")
    return tools


class CompletionRequest(BaseModel):
    """A request to `sparkctl/auto` or `sparkctl/AGENT`. Other members of OpenAI's are taken, and have no effect."""

    model: str
    messages: list[Message] = Field(min_length=1, max_length=2_000)
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    n: Literal[1] | None = None
    tools: Annotated[list[dict[str, Any]] | None, AfterValidator(no_tools)] = Field(
        default=None, description="Agents have their own.", json_schema_extra={"maxItems": 0}
    )

    @property
    def last(self) -> int:
        """Where the request stands among the messages. Raises Refused where no user says anything."""
        for number in range(len(self.messages) - 1, -1, -1):
            if self.messages[number].role == "user":
                return number
        raise Refused("no message has the role user")

    @property
    def instructions(self) -> str:
        """What the client would have the agents heed: its system messages."""
        return "\n\n".join(one.text for one in self.messages if one.role in ("system", "developer"))

    @property
    def history(self) -> tuple[TResponseInputItem, ...]:
        """Everything before the request but instructions, as openai-agents keeps it."""
        return tuple(item for message in self.messages[: self.last] for item in _items(message))


def _items(message: Message) -> list[TResponseInputItem]:
    if message.role in ("system", "developer"):
        return []
    if message.role == "tool":
        output = {"type": "function_call_output", "call_id": message.tool_call_id, "output": message.text}
        return [cast(TResponseInputItem, output)]
    calls = [
        {"type": "function_call", "call_id": one.id, "name": one.function.name, "arguments": one.function.arguments}
        for one in message.tool_calls or ()
    ]
    said = [{"role": message.role, "content": message.text}] if message.text else []
    return cast(list[TResponseInputItem], [*said, *calls])


def trace(event: Event) -> str:
    """What happens beside the answer, as reasoning that a person reads; empty for the answer itself."""
    match event:
        case AgentEvent(name=name):
            return f"[{name}]\n"
        case ToolCallEvent(name=name, arguments=arguments):
            return f"{name}({_short(arguments)})\n"
        case ToolResultEvent(output=output):
            return f"= {_short(output)}\n"
        case ApprovalEvent(run_id=run, call_id=call, name=name, arguments=arguments):
            how = f'POST /runs/{run}/approve {{"call_id": "{call}", "allow": true}}'
            return f"{name}({_short(arguments)}) waits for approval: {how}\n"
    return ""


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def counted(usage: Usage) -> dict[str, int]:
    """The usage as OpenAI writes it."""
    return asdict(usage) | {"total_tokens": usage.total_tokens}


def facts(end: DoneEvent | Answer) -> dict[str, Any]:
    """What an agent's answer has beyond OpenAI's members: they stand under `sparkctl`."""
    told = {
        "agent_name": end.agent_name,
        "route": end.route,
        "citations": [asdict(one) for one in end.citations],
        "session_id": end.session_id,
        "run_id": end.run_id,
    }
    approval = end.approval if isinstance(end, Answer) else None
    return told | ({"approval": approval.model_dump()} if approval else {})


@dataclass
class Chunks:
    """The chunks of one answer, and what has been said in them."""

    id: str
    model: str
    created: int = field(default_factory=lambda: int(time.time()))
    said: str = ""
    lately: str = ""
    """Of that what came since an agent began to speak, or a tool answered it: the beginning of its answer."""

    def of(self, event: Event) -> list[dict[str, Any]]:
        """An event as chunks: handoffs and tools as `reasoning_content`, the answer as `content`."""
        match event:
            case TokenEvent(text=text):
                self.said, self.lately = self.said + text, self.lately + text
                return [self.chunk({"content": text})]
            case AgentEvent() | ToolResultEvent():
                self.lately = ""
            case DoneEvent(response=response):
                rest = self.rest(response)
                self.said += rest
                return [self.chunk({"content": rest})] if rest else []
        told = trace(event)
        return [self.chunk({"reasoning_content": told})] if told else []

    def rest(self, response: str) -> str:
        """What of the whole answer no token has brought. What one has brought is not said again, in no other words."""
        if response.startswith(self.said):
            return response[len(self.said) :]
        return "" if self.lately else f"\n\n{response}"

    def last(self, end: DoneEvent | Answer, *, usage: bool) -> list[dict[str, Any]]:
        """The end of a stream, where an answer is done or waits; with the whole answer where another was streamed."""
        whole = {} if self.said.strip().endswith(end.response) else {"response": end.response}
        chunks = [self.chunk({}, "stop") | {"sparkctl": facts(end) | whole}]
        return [*chunks, self.usage(end.usage)] if usage else chunks

    def chunk(self, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        """One chunk."""
        choice = {"index": 0, "delta": {"role": "assistant"} | delta, "finish_reason": finish}
        return self.envelope("chat.completion.chunk") | {"choices": [choice]}

    def usage(self, usage: Usage) -> dict[str, Any]:
        """The chunk that `stream_options.include_usage` asks for."""
        return self.envelope("chat.completion.chunk") | {"choices": [], "usage": counted(usage)}

    def whole(self, done: DoneEvent, reasoning: str) -> dict[str, Any]:
        """The answer at once."""
        message = {"role": "assistant", "content": done.response, "reasoning_content": reasoning}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        whole = self.envelope("chat.completion") | {"choices": [choice], "usage": counted(done.usage)}
        return whole | {"sparkctl": facts(done)}

    def envelope(self, kind: str) -> dict[str, Any]:
        """What every answer begins with."""
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


def sse(data: dict[str, Any]) -> bytes:
    """An event of a stream."""
    return b"data: " + json.dumps(data).encode() + b"\n\n"
