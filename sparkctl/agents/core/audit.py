"""The audit: who did what, to what, and how it ended. Never the content of a message, never a secret.

What changes something (keys, documents) adds its `entry` to its own transaction: no change goes without one.
What only happened (tool calls, refused keys) is noted in the `Journal`, which a task writes a moment later.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter
from sqlalchemy import delete, insert, select

from sparkctl.agents.core.database import Database
from sparkctl.agents.core.events import ApprovalEvent, DoneEvent, ErrorEvent, Event, ToolCallEvent
from sparkctl.agents.core.failure import Unavailable
from sparkctl.agents.core.log import current_request
from sparkctl.agents.core.run import Run
from sparkctl.agents.core.tables import Audit

LOG = logging.getLogger("sparkctl.agents.audit")
WAITING = 10_000
"""Entries that wait at most while the database is away; later ones are lost, and the log says so."""
RETRY_SECONDS = 1.0
SWEEP_SECONDS = 3_600.0
REFUSALS_PER_MINUTE = 10
"""Refused keys that are written for one address, so that guessing does not fill the disk."""


def entry(user: str, action: str, target: str = "", outcome: str = "ok") -> Audit:
    """A row for the transaction of what it tells; the request is the current one."""
    return Audit(**_row(user, action, target, outcome))


def _row(user: str, action: str, target: str, outcome: str) -> dict[str, Any]:
    """What a database takes, also of a name that a model made up: no NUL, no half of a character."""
    told = {"user": user[:128], "action": action[:64], "target": target[:200], "outcome": outcome[:200]}
    plain = {name: "".join(c if c.isprintable() else "?" for c in text) for name, text in told.items()}
    return {**plain, "request_id": current_request(), "at": time.time()}


@dataclass(frozen=True)
class Journal:
    """Entries on their way to the database of one process."""

    database: Database
    days: int
    waiting: deque[dict[str, Any]] = field(default_factory=deque)
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)
    more: asyncio.Event = field(default_factory=asyncio.Event)
    refusals: FixedWindowRateLimiter = field(default_factory=lambda: FixedWindowRateLimiter(MemoryStorage()))

    def note(self, user: str, action: str, target: str = "", outcome: str = "ok") -> None:
        """Write this soon; at once for the caller."""
        if len(self.waiting) >= WAITING:
            LOG.error("an entry of the audit is lost, as the database is away: %s by %s", action, user)
            return
        self.waiting.append(_row(user, action, target, outcome))
        self.more.set()

    async def refused(self, address: str, why: str) -> None:
        """A key or token that was not accepted, from there."""
        if await self.refusals.hit(RateLimitItemPerMinute(REFUSALS_PER_MINUTE), address):
            self.note("", "login", address, why)

    def hear(self, run: Run, event: Event) -> None:
        """A listener of runs."""
        user = run.principal.user
        match event:
            case ToolCallEvent():
                self.note(user, "tool", f"{run.id} {event.name}")
            case ApprovalEvent():
                self.note(user, "approval.asked", f"{run.id} {event.name}")
            case DoneEvent():
                self.note(user, "run", run.id, f"done: {' > '.join(event.route)}")
            case ErrorEvent():
                self.note(user, "run", run.id, event.code)
            case _:
                pass

    async def write(self) -> None:
        """Write what waits, and forget what is too old, until cancelled."""
        swept = -SWEEP_SECONDS
        while True:
            await self.more.wait()
            self.more.clear()
            while not await self.flush():
                await asyncio.sleep(RETRY_SECONDS)
            if time.monotonic() - swept >= SWEEP_SECONDS:
                swept = time.monotonic()
                await self.sweep()

    async def flush(self) -> bool:
        """Write what waits, once; False where the database is away."""
        async with self.writing:
            batch = list(self.waiting)
            if not batch:
                return True
            try:
                async with self.database.begin() as session:
                    await session.execute(insert(Audit), batch)
            except Unavailable:
                return False
            for _ in batch:
                self.waiting.popleft()
            return True

    async def sweep(self) -> None:
        """Delete what is older than `days`; where the database is away, the next time."""
        try:
            async with self.database.begin() as session:
                await session.execute(delete(Audit).where(Audit.at < time.time() - self.days * 86_400))
        except Unavailable:
            LOG.warning("the audit is not swept: the database is away")


@asynccontextmanager
async def journal(database: Database, days: int) -> AsyncIterator[Journal]:
    """A journal whose writer runs for the length of the block."""
    made = Journal(database, days)
    writer = asyncio.create_task(made.write())
    try:
        yield made
    finally:
        writer.cancel()
        await asyncio.gather(writer, return_exceptions=True)
        if not await made.flush():
            LOG.error("%d entries of the audit are lost: the database is away", len(made.waiting))


async def read(
    database: Database, *, user: str = "", action: str = "", before: int = 0, limit: int = 100
) -> list[Audit]:
    """The newest entries first; `before` is the number of the oldest that is known, for the next page."""
    query = select(Audit).order_by(Audit.number.desc()).limit(limit)
    for wanted, column in ((user, Audit.user), (action, Audit.action)):
        query = query.where(column == wanted) if wanted else query
    query = query.where(Audit.number < before) if before else query
    async with database.begin() as session:
        return list((await session.scalars(query)).all())
