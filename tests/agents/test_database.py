"""The database: what a cancelled transaction leaves behind."""

import asyncio
import gc
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from sparkctl.agent_spec import Where
from sparkctl.agents.core import sessions, tables
from sparkctl.agents.core.database import Database, connect, url_of


@pytest.fixture
def uncollected() -> Iterator[None]:
    """The garbage collector does not come to help."""
    gc.disable()
    yield
    gc.enable()


async def take(database: Database, name: str) -> None:
    """A transaction that writes, and reads what it wrote."""
    async with database.begin() as session:
        await sessions.take(session, "anna", name, "run", "title", 60)


async def cancelled(database: Database, file: Path) -> asyncio.Task[None]:
    """A transaction that was cancelled while it waited for its lock, and then got it."""
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    work = asyncio.create_task(take(database, "cancelled"))
    await asyncio.sleep(0.2)
    work.cancel()
    await asyncio.sleep(0)
    other.execute("ROLLBACK")
    other.close()
    await asyncio.wait((work,))
    return work


@pytest.mark.usefixtures("uncollected")
def test_a_cancelled_transaction_keeps_no_lock(tmp_path: Path) -> None:
    async def work() -> list[str]:
        database = connect(url_of(Where(data=str(tmp_path))))
        await database.migrate()
        gone = [await cancelled(database, tmp_path / "platform.sqlite") for _ in range(3)]
        await take(database, "later")
        async with database.begin() as session:
            found = list(await session.scalars(select(tables.Session.id)))
        await database.close()
        assert all(one.cancelled() for one in gone)
        return found

    assert asyncio.run(work()) == ["later"]
