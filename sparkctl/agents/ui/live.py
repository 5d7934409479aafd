"""Answers that are being written: each is read from the gateway once, and shown to every page that follows it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from sparkctl.agents.ui.gateway import GatewayAway, GatewayRefused
from sparkctl.agents.ui.shapes import Event
from sparkctl.agents.ui.turns import Call, Turn

OVER = (404, 409)
"""Statuses of a decision that comes too late: the call does not wait any more."""
BEAT_SECONDS = 0.1
"""Between two looks of a page at an answer that grows: a model may write faster than anybody reads."""
MOST_ANSWERS = 8
"""Answers that are read from the gateway for one login at a time: each holds a connection."""
KEPT = 200
"""Answers that are kept, for pages that come back; the conversation has them anyway."""


class Live:
    """A turn that goes on, whoever looks; its page may be closed and opened again."""

    def __init__(self, turn: Turn, owner: str) -> None:
        self.turn, self.owner = turn, owner
        self._version, self._changed = 0, asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self, events: AsyncIterator[Event]) -> None:
        """Read these events, in the background."""
        self._task = asyncio.create_task(self._follow(events))

    def decide(self, call: Call, events: AsyncIterator[Event]) -> None:
        """Its user has allowed or denied a call: read what comes of that, and no more of what came before."""
        if self._task is not None:
            self._task.cancel()
        self.turn.decided(call)
        self._task = asyncio.create_task(self._follow(events, call))
        self.wake()

    @property
    def quiet(self) -> bool:
        """Whether nothing is read for it: it is over, or waits for its user."""
        return self._task is None or self._task.done()

    async def stop(self) -> None:
        """Hang up, which ends the run's work."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self.turn.cancel()
        self.wake()

    def wake(self) -> None:
        """Tell every page that something changed."""
        self._version += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def changes(self) -> AsyncIterator[None]:
        """Once at first, then after changes, until it is over."""
        seen = -1
        while True:
            changed, goes_on = self._changed, self.turn.goes_on
            if seen != self._version:
                seen = self._version
                yield
                await asyncio.sleep(BEAT_SECONDS)
            elif goes_on:
                await changed.wait()
            else:
                return

    async def _follow(self, events: AsyncIterator[Event], decided: Call | None = None) -> None:
        try:
            async for event in events:
                decided = None  # the decision has arrived
                self.turn.take(event)
                self.wake()
            if self.turn.goes_on and not self.turn.waiting:
                self.turn.fail("the answer broke off", "ask again")
        except (GatewayAway, GatewayRefused) as error:
            if decided and not (isinstance(error, GatewayRefused) and error.status in OVER):
                self.turn.ask_again(decided, error.what, error.fix)
            else:
                self.turn.fail(error.what, error.fix)
        except ValueError:
            self.turn.fail("the gateway sent an event that this page does not know", "bring both to the same version")
        finally:
            self.wake()


@dataclass
class Lives:
    """The live turns of this process, by id."""

    by_id: dict[str, Live] = field(default_factory=dict)

    def add(self, owner: str, turn: Turn) -> Live:
        """A new one."""
        quiet = [one for one in self.by_id.values() if one.quiet]
        for one in quiet[: max(0, len(self.by_id) - KEPT)]:
            self.drop(one)
        live = self.by_id[turn.id] = Live(turn, owner)
        return live

    def drop(self, live: Live) -> None:
        """Forget one that is quiet."""
        self.by_id.pop(live.turn.id, None)

    def find(self, owner: str, turn_id: str) -> Live | None:
        """One of this owner's."""
        live = self.by_id.get(turn_id)
        return live if live and live.owner == owner else None

    def running(self, owner: str, session_id: str) -> Live | None:
        """The one that goes on in a conversation."""
        return next((one for one in self.of(owner, session_id) if one.turn.goes_on), None)

    def full(self, owner: str) -> bool:
        """Whether as many answers as may be are read for an owner."""
        return sum(one.owner == owner and not one.quiet for one in self.by_id.values()) >= MOST_ANSWERS

    def of(self, owner: str, session_id: str) -> list[Live]:
        """All of a conversation, the oldest first."""
        return [one for one in self.by_id.values() if (one.owner, one.turn.session_id) == (owner, session_id)]

    async def close(self, owner: str | None = None) -> None:
        """Hang up all, or all of one owner."""
        for live in [one for one in self.by_id.values() if owner in (None, one.owner)]:
            await live.stop()
            self.drop(live)
