"""One message and its answer, put together from the events of a run or from a conversation's messages."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import quote

from sparkctl.agents.ui.shapes import Citation, Event, Message, ToolCall, Usage, Waiting


@dataclass
class Call:
    """A tool call; `output` is None until the tool has answered. `asks` while it waits for Allow or Deny."""

    id: str
    name: str
    arguments: str
    output: str | None = None
    asks: bool = False

    @property
    def pretty(self) -> str:
        """The arguments, indented where they are JSON."""
        try:
            return json.dumps(json.loads(self.arguments), indent=2, ensure_ascii=False)
        except ValueError:
            return self.arguments


@dataclass
class Turn:
    """What a user said and what came of it. `state`: running, done, failed, cancelled."""

    id: str
    session_id: str
    message: str
    images: tuple[str, ...] = ()
    route: list[str] = field(default_factory=list)
    text: str = ""
    calls: list[Call] = field(default_factory=list)
    citations: tuple[Citation, ...] = ()
    usage: Usage | None = None
    error: str = ""
    fix: str = ""
    run_id: str = ""
    state: str = "running"

    @property
    def goes_on(self) -> bool:
        """Whether more may come."""
        return self.state == "running"

    @property
    def begun(self) -> bool:
        """Whether its run has begun: the first that a run tells is its agent."""
        return bool(self.route)

    @property
    def places(self) -> dict[int, str]:
        """Where each citation leads to, by its number."""
        return {one.number: f"/documents/{quote(one.doc_id, safe='')}/chunks/{one.chunk}" for one in self.citations}

    @property
    def waiting(self) -> list[Call]:
        """Calls that a human has to allow or deny."""
        return [call for call in self.calls if call.asks]

    def call(self, call_id: str) -> Call | None:
        """One of its calls."""
        return next((call for call in self.calls if call.id == call_id), None)

    def take(self, event: Event) -> None:
        """What an event changes."""
        self.run_id = event.run_id or self.run_id
        taken = _TAKERS.get(event.kind)
        if taken:
            taken(self, event)

    def fail(self, what: str, fix: str = "") -> None:
        """It ends without an answer."""
        self.state, self.error, self.fix = "failed", what, fix
        self._settle()

    def decided(self, call: Call) -> None:
        """Its user has allowed or denied a call."""
        call.asks, self.error, self.fix = False, "", ""

    def ask_again(self, call: Call, what: str, fix: str = "") -> None:
        """The decision on a call did not arrive: it still waits."""
        call.asks, self.error, self.fix = True, what, fix

    def cancel(self) -> None:
        """Its user ended it."""
        if self.goes_on:
            self.state, self.error, self.fix = "cancelled", "", ""
            self._settle()

    def answer(self, message: Message) -> None:
        """An answer that was kept."""
        self.text, self.route, self.citations = message.text, list(message.route), message.citations
        self.calls = answered(message.tool_calls)

    def _agent(self, event: Event) -> None:
        if self.route[-1:] != [event.name]:
            self.route.append(event.name)

    def _token(self, event: Event) -> None:
        self.text += event.text

    def _tool_call(self, event: Event) -> None:
        if self.call(event.call_id) is None:
            self.calls.append(Call(event.call_id, event.name, event.arguments))

    def _tool_result(self, event: Event) -> None:
        call = self.call(event.call_id)
        if call:
            call.output, call.asks = event.output, False

    def _approval(self, event: Event) -> None:
        self._tool_call(event)
        call = self.call(event.call_id)
        if call:
            call.asks = True

    def _error(self, event: Event) -> None:
        if event.code == "cancelled":
            self.cancel()
        else:
            self.fail(event.message)

    def _done(self, event: Event) -> None:
        self.state, self.text, self.usage = "done", event.response or self.text, event.usage
        self.route, self.citations = list(event.route) or self.route, event.citations
        self._settle()

    def _settle(self) -> None:
        for call in self.calls:
            call.asks = False


_TAKERS = {
    "agent": Turn._agent,
    "token": Turn._token,
    "tool_call": Turn._tool_call,
    "tool_result": Turn._tool_result,
    "approval": Turn._approval,
    "error": Turn._error,
    "done": Turn._done,
}


def answered(calls: Iterable[ToolCall]) -> list[Call]:
    """Calls whose tools have answered."""
    return [Call("", one.name, one.arguments, one.output) for one in calls]


def taken_up(turn_id: str, session_id: str, kept: Waiting) -> Turn:
    """A turn that waits for its user, from what the gateway kept of it."""
    asked = kept.approval
    calls = [*answered(kept.tool_calls), Call(asked.call_id, asked.name, asked.arguments, asks=True)]
    turn = Turn(turn_id, session_id, kept.message, kept.images, list(kept.route), kept.response, calls)
    turn.run_id = kept.run_id
    return turn


def past(session_id: str, messages: Iterable[Message]) -> list[Turn]:
    """The turns of a conversation: a message of the user begins each."""
    turns: list[Turn] = []
    for message in messages:
        if message.role == "user":
            turns.append(Turn(f"{session_id}-{len(turns)}", session_id, message.text, message.images, state="done"))
        elif turns:
            turns[-1].answer(message)
    return turns
