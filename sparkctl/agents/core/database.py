"""The platform's database: SQLite in its data folder, or PostgreSQL. `migrate` brings it to the newest tables."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import URL, Connection, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from sparkctl.agent_spec import Where
from sparkctl.agents.core.failure import Refused, Unavailable
from sparkctl.agents.core.secret_file import read_secret

DRIVERS = ("sqlite+aiosqlite", "postgresql+asyncpg")
PASSWORD = "database-password"  # noqa: S105 - the name of a file
AWAY = ("08", "57P", "53")
"""How SQLSTATEs of PostgreSQL begin that tell of the server: connection, shutdown or start, resources."""
BUSY_MS = 10_000
"""How long a writer of SQLite waits for another."""


def url_of(where: Where) -> URL:
    """Where the database is; its password is a file, if there is one. Raises Refused for no URL, or folder."""
    if not where.database:
        if not Path(where.data).is_dir():
            raise Refused(f"where.data: {where.data} is no folder; the gateway makes it when it starts")
        return make_url(f"sqlite+aiosqlite:///{Path(where.data, 'platform.sqlite')}")
    try:
        url = make_url(where.database)
    except (ArgumentError, ValueError) as error:
        raise Refused("where.database is no URL of SQLAlchemy") from error
    if url.drivername not in DRIVERS:
        raise Refused(f"where.database begins with {' or '.join(DRIVERS)}, not {url.drivername}")
    password = Path(where.secrets, PASSWORD)
    return url.set(password=read_secret(password).decode(errors="replace")) if password.exists() else url


class LettingGo(sqlite3.Connection):
    """Lets its locks go when it is closed. SQLite does so once every cursor is gone, too: those of a task that was
    cancelled within a transaction live until the garbage collector comes, and nobody could write until then.
    """

    def close(self) -> None:
        """Roll back, and close."""
        with suppress(sqlite3.Error):
            self.rollback()
        super().close()


@dataclass(frozen=True)
class Database:
    """An engine with its sessions. Raises Unavailable, from `begin`, where the database is away."""

    engine: AsyncEngine
    sessions: async_sessionmaker[AsyncSession]

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncSession]:
        """One transaction: committed at the end of the block, rolled back by an exception."""
        try:
            async with self.sessions.begin() as session:
                yield session
        except (OSError, DBAPIError) as error:
            if isinstance(error, DBAPIError) and not _away(error):
                raise
            raise Unavailable("the database does not answer") from error

    async def migrate(self) -> None:
        """Make or renew the tables. Raises Unavailable."""
        try:
            async with self.engine.begin() as connection:
                await connection.run_sync(_upgrade)
        except (OSError, DBAPIError) as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            raise Unavailable(f"the database at {self.engine.url!r} cannot be prepared: {cause}") from error

    async def close(self) -> None:
        """Give back every connection."""
        await self.engine.dispose()


def connect(url: URL) -> Database:
    """The database at that URL; nothing is opened yet."""
    sqlite: dict[str, Any] = {"connect_args": {"factory": LettingGo}}
    more = sqlite if url.get_backend_name() == "sqlite" else {"pool_pre_ping": True, "pool_size": 10}
    engine = create_async_engine(url, hide_parameters=True, **more)  # messages of users do not go into the log
    if url.get_backend_name() == "sqlite":
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    return Database(engine, async_sessionmaker(engine, expire_on_commit=False))


def _away(error: DBAPIError) -> bool:
    """Whether the connection or the server is at fault, and not what was asked."""
    broken = error.connection_invalidated or isinstance(error.orig, OSError)
    state = getattr(error.orig, "sqlstate", None) or ""
    return broken or "OperationalError" in type(error).__name__ or state.startswith(AWAY)


def _prepare_sqlite(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in (f"busy_timeout = {BUSY_MS}", "journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", "sparkctl.agents.core:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
