"""Answers that are being written, without a browser: decisions that come early, late, or not at all."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sparkctl.agents.ui.gateway import Gateway, GatewayAway, GatewayRefused
from sparkctl.agents.ui.live import Live, Lives
from sparkctl.agents.ui.pages.chat import end
from sparkctl.agents.ui.resuming import resumed
from sparkctl.agents.ui.shapes import Conversation, Event
from sparkctl.agents.ui.turns import Turn

AGENT = Event(kind="agent", name="clerk")
ASKS = Event(kind="approval", call_id="c", name="write_note", arguments="{}", run_id="r")
DONE = Event(kind="done", response="done")


async def told(*events: Event, then: Exception | None = None, hangs: bool = False) -> AsyncIterator[Event]:
    """Events, and how their stream ends."""
    for event in events:
        yield event
    if hangs:
        await asyncio.sleep(60)
    if then:
        raise then


async def asked(hangs: bool = False) -> Live:
    """An answer that waits; where it `hangs`, the stream that brought it that far has not ended."""
    live = Live(Turn("t", "s", "hello"), "owner")
    live.start(told(AGENT, ASKS, hangs=hangs))
    while not live.turn.waiting:
        await asyncio.sleep(0)
    return live


async def last(live: Live) -> None:
    """Until nothing more is read."""
    while not live.quiet:
        await asyncio.sleep(0)


@pytest.mark.parametrize("hangs", [False, True])
def test_a_decision_before_the_end_of_the_stream_that_asked_counts(hangs: bool) -> None:
    async def decided() -> Turn:
        live = await asked(hangs)
        live.decide(live.turn.calls[0], told(AGENT, DONE))
        await last(live)
        return live.turn

    turn = asyncio.run(decided())
    assert (turn.state, turn.text, turn.error) == ("done", "done", "")


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (GatewayAway("away"), "running"),
        (GatewayRefused(429, "rate_limited", "too many"), "running"),
        (GatewayRefused(409, "busy", "taken up"), "failed"),
    ],
)
def test_a_decision_that_did_not_arrive_is_asked_for_again(error: Exception, state: str) -> None:
    async def decided() -> Turn:
        live = await asked()
        live.decide(live.turn.calls[0], told(then=error))
        await last(live)
        return live.turn

    turn = asyncio.run(decided())
    assert (turn.state, bool(turn.waiting), bool(turn.error)) == (state, state == "running", True)


class Conversations:
    """A stand-in gateway in which another run has the conversation already."""

    def __init__(self) -> None:
        self.cancelled: list[str] = []

    async def session(self, _session_id: str) -> Any:
        return SimpleNamespace(run_id="another")

    async def cancel(self, run_id: str) -> None:
        self.cancelled.append(run_id)


@pytest.mark.parametrize("events", [(AGENT, DONE), ()])
def test_cancel_ends_no_run_of_another(events: tuple[Event, ...]) -> None:
    async def cancelled() -> Conversations:
        gateway = Conversations()
        live = Live(Turn("t", "s", "hello"), "owner")
        live.start(told(*events, hangs=True))
        for _ in range(5):
            await asyncio.sleep(0)
        visitor: Any = SimpleNamespace(gateway=gateway)
        await end(visitor, live)
        await live.stop()
        return gateway

    assert asyncio.run(cancelled()).cancelled == []


def opened(meanwhile: bool) -> tuple[Live, Live | None]:
    """A conversation is opened that by the gateway waits for nothing; its answer waited before, or began to meanwhile.

    The answer, and the one that the page shows.
    """

    async def body() -> tuple[Live, Live | None]:
        lives, more = Lives(), asyncio.Event()
        live = lives.add("owner", Turn("t", "s", "hello"))

        async def events() -> AsyncIterator[Event]:
            yield AGENT
            await more.wait()
            yield ASKS

        async def session(_session_id: str) -> Conversation:
            more.set()
            await last(live)
            return Conversation(id="s", items=(), run_id="r" if meanwhile else "")

        live.start(events())
        if not meanwhile:
            more.set()
            await last(live)
        while not live.turn.begun:
            await asyncio.sleep(0)
        return live, (await resumed(lives, "owner", cast(Gateway, SimpleNamespace(session=session)), "s"))[1]

    return asyncio.run(body())


def test_an_answer_that_began_to_wait_while_its_conversation_was_read_is_shown() -> None:
    live, shown = opened(meanwhile=True)
    assert shown is live
    assert live.turn.waiting


def test_a_call_that_was_decided_elsewhere_is_told_to_pages_that_still_show_it() -> None:
    live, shown = opened(meanwhile=False)
    assert shown is None
    assert (live.turn.state, live.turn.error) == ("failed", "this call was decided elsewhere")
