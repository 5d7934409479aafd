"""Quotas: who took too much is told when to come back, and nobody else pays for it."""

import asyncio
import time
from pathlib import Path

from agent_world import document_of

from sparkctl.agents.core import quota, records, sessions
from sparkctl.agents.core.events import Usage
from sparkctl.agents.core.failure import TooMuch
from sparkctl.agents.core.platform import Platform, opened
from sparkctl.agents.core.principal import Principal
from sparkctl.agents.core.run import Run

ANNA, BEN = Principal("anna"), Principal("ben")
ENGINE = "http://127.0.0.1:1/v1"


async def refused(platform: Platform, principal: Principal) -> TooMuch | None:
    """How the next request of that user is refused, if it is."""
    try:
        await quota.count(platform, principal)
        await quota.check(platform, principal)
    except TooMuch as error:
        return error
    return None


def test_requests_of_a_minute_are_counted_for_each_user(tmp_path: Path, database: str) -> None:
    async def body() -> None:
        async with opened(document_of(tmp_path, ENGINE, database, limits={"requests_per_minute": 3})) as platform:
            assert [await refused(platform, ANNA) for _ in range(3)] == [None] * 3
            error = await refused(platform, ANNA)
            assert error and 0 < error.retry_after <= 60
            assert await refused(platform, BEN) is None

    asyncio.run(body())


def test_two_workers_that_count_at_once_lose_no_token(tmp_path: Path, database: str) -> None:
    async def body() -> None:
        document = document_of(tmp_path, ENGINE, database)
        async with opened(document) as one, opened(document) as other:
            await asyncio.gather(*(quota.spend(one, ANNA, Usage(3, 4)) for _ in range(20)))
            work = [quota.spend(each, ANNA, Usage(1, 2)) for each in (one, other) for _ in range(20)]
            await asyncio.gather(*work)
            assert await quota.tokens_today(one, ANNA.user) == 20 * 7 + 40 * 3
            assert await quota.tokens_today(other, ANNA.user) == 20 * 7 + 40 * 3
            assert await quota.tokens_today(other, BEN.user) == 0

    asyncio.run(body())


def test_the_day_of_one_worker_is_used_up_for_the_other(tmp_path: Path, database: str) -> None:
    async def body() -> None:
        document = document_of(tmp_path, ENGINE, database, limits={"tokens_per_day": 10})
        async with opened(document) as one, opened(document) as other:
            assert await refused(one, ANNA) is None
            await quota.spend(one, ANNA, Usage(6, 4))
            for worker in (one, other):  # the one because it counted itself, the other because it reads
                error = await refused(worker, ANNA)
                assert error and 0 < error.retry_after <= 86_400
            assert await refused(other, BEN) is None

    asyncio.run(body())


def test_a_worker_sees_what_another_spends_once_its_figure_is_stale(tmp_path: Path) -> None:
    async def body() -> None:
        document = document_of(tmp_path, ENGINE, limits={"tokens_per_day": 10})
        async with opened(document) as one, opened(document) as other:
            assert await refused(other, ANNA) is None
            await quota.spend(one, ANNA, Usage(6, 4))
            deadline = time.monotonic() + 10 * quota.FRESH_SECONDS
            while await refused(other, ANNA) is None:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)

    asyncio.run(body())


def test_an_end_that_is_written_twice_is_booked_and_kept_once(tmp_path: Path, database: str) -> None:
    async def body() -> None:
        async with opened(document_of(tmp_path, ENGINE, database)) as platform:
            run = Run("r", ANNA, "s", platform, lambda _event: None, message="hello")
            await records.begin(run, "plain", stateless=False)
            run.took(Usage(3, 4))
            for _ in range(2):
                await records.end(run, "failed", "over", [{"role": "user", "content": "hello"}])
            platform.counts.taken.clear()  # what stands in the database
            assert await quota.tokens_today(platform, ANNA.user) == 7
            assert len((await sessions.one(platform.database, ANNA.user, "s"))[1]) == 1

    asyncio.run(body())
