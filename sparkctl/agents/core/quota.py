"""What one user may take: requests in a minute, and tokens on one UTC day.

The minute is counted in each process by itself: with N workers a user has at most N times the limit. The day is
counted in the database, for all workers together; a process believes what it read for `FRESH_SECONDS`, and runs that
are under way when a quota ends are not cut off.
"""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from sparkctl.agents.core.events import Usage
from sparkctl.agents.core.failure import TooMuch
from sparkctl.agents.core.principal import Principal
from sparkctl.agents.core.tables import Spent

if TYPE_CHECKING:
    from sparkctl.agents.core.platform import Platform

FRESH_SECONDS = 2.0
"""How long a process believes the tokens that it read for a user: what other workers spend is seen after that."""
DAY_SECONDS = 86_400


@dataclass(frozen=True)
class Taken:
    """Tokens of a user on a day, as read at `read` (monotonic seconds)."""

    day: str
    tokens: int
    read: float


@dataclass(frozen=True)
class Counts:
    """What this process has counted. `taken` is by user."""

    minute: MovingWindowRateLimiter = field(default_factory=lambda: MovingWindowRateLimiter(MemoryStorage()))
    taken: dict[str, Taken] = field(default_factory=dict)


async def count(platform: "Platform", principal: Principal) -> None:
    """Count a request of that user. Raises TooMuch where the minute is used up."""
    most, minute = platform.document.agents.limits.requests_per_minute, platform.counts.minute
    window = RateLimitItemPerMinute(most)
    if not await minute.hit(window, principal.user):
        wait = (await minute.get_window_stats(window, principal.user)).reset_time - time.time()
        raise TooMuch(f"more than {most} requests in a minute", retry_after=wait)


async def check(platform: "Platform", principal: Principal) -> None:
    """Before a model works for that user. Raises TooMuch where the day is used up, and Unavailable."""
    most = platform.document.agents.limits.tokens_per_day
    if await tokens_today(platform, principal.user) >= most:
        wait = DAY_SECONDS - time.time() % DAY_SECONDS
        raise TooMuch(f"the {most} tokens of today (UTC) are used up", retry_after=wait)


async def tokens_today(platform: "Platform", user: str) -> int:
    """Tokens that the user took today, at most FRESH_SECONDS old. Raises Unavailable."""
    known, day = platform.counts.taken.get(user), today()
    if known and known.day == day and time.monotonic() - known.read < FRESH_SECONDS:
        return known.tokens
    async with platform.database.begin() as session:
        row = await session.get(Spent, (user, day))
    tokens = row.prompt_tokens + row.completion_tokens if row else 0
    platform.counts.taken[user] = Taken(day, tokens, time.monotonic())
    return tokens


async def spend(platform: "Platform", principal: Principal, usage: Usage) -> None:
    """Count what a request took that is no run, for all workers. Raises Unavailable."""
    async with platform.database.begin() as session:
        await add(session, principal.user, usage)
    counted(platform, principal.user, usage)


async def add(session: AsyncSession, user: str, usage: Usage) -> None:
    """Count what was taken within a transaction; `counted` follows when that has ended."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    added = {"requests": 1, "prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens}
    row = insert(Spent).values(user=user, day=today(), **added)
    sums = {name: getattr(Spent, name) + getattr(row.excluded, name) for name in added}
    await session.execute(row.on_conflict_do_update(index_elements=["user", "day"], set_=sums))


def counted(platform: "Platform", user: str, usage: Usage) -> None:
    """What was taken is on record: it shows in the figures, and in what this process believes of the user's day."""
    platform.metrics.count(usage)
    known = platform.counts.taken.get(user)
    if known and known.day == today():
        platform.counts.taken[user] = Taken(known.day, known.tokens + usage.total_tokens, known.read)


def today() -> str:
    """The UTC day as YYYY-MM-DD."""
    return datetime.now(UTC).date().isoformat()
