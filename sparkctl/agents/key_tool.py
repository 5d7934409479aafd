"""`sparkctl agents key`: the keys of a platform from its own shell, where the gateway's API needs a key already."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from sparkctl.agents.core import keys
from sparkctl.agents.core.database import Database, connect, url_of
from sparkctl.agents.core.failure import Unknown
from sparkctl.agents.core.principal import Scope
from sparkctl.agents.core.tables import Key
from sparkctl.agents.document import read_document
from sparkctl.agents.ending import told
from sparkctl.errors import UnknownNameError

BY = "shell"
"""Who made a key here, for the audit."""


def create(path: Path, user: str, name: str, scopes: Sequence[str], days: float | None) -> str:
    """Make a key with scopes that there are, for a user who can be; what that one shows. Raises ConfigError."""
    expires = None if days is None else time.time() + days * 86_400
    wanted = keys.Wanted(user, name, frozenset(map(Scope, scopes)), expires)

    async def work() -> str:
        async with _database(path) as database:
            return (await keys.make(database, BY, wanted))[1]

    return asyncio.run(work())


def listed(path: Path) -> str:
    """Every key as JSON Lines, the newest first, without what is shown. Raises ConfigError, SparkctlError."""

    async def work() -> list[Key]:
        async with _database(path) as database:
            return await keys.listed(database)

    fields = ("id", "user", "name", "scopes", "created", "expires", "revoked")
    return "".join(json.dumps({one: getattr(key, one) for one in fields}) + "\n" for key in asyncio.run(work()))


def revoke(path: Path, key_id: str) -> None:
    """End a key; the gateway knows within seconds. Raises ConfigError, SparkctlError, UnknownNameError."""

    async def work() -> None:
        async with _database(path) as database:
            try:
                await keys.revoke(database, BY, key_id)
            except Unknown as failure:
                raise UnknownNameError(failure.message, fix="sparkctl agents key list") from failure

    asyncio.run(work())


@asynccontextmanager
async def _database(path: Path) -> AsyncIterator[Database]:
    document = read_document(path)
    with told(path):
        database = connect(url_of(document.where))
        try:
            await database.migrate()
            yield database
        finally:
            await database.close()
