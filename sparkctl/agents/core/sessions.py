"""Sessions: one conversation of one user, with one run at a time whichever process has it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from sparkctl.agents.core.database import Database
from sparkctl.agents.core.failure import Busy, Unknown
from sparkctl.agents.core.history import read
from sparkctl.agents.core.tables import Item, Run, Session

TITLE = 200
"""Characters of a title: those of the session's first message, until it is renamed."""


@dataclass(frozen=True)
class Hold:
    """A session that a run has for itself: whether it was made for it, when, and whether text from outside came in."""

    new: bool
    created: float
    untrusted: bool


async def take(session: AsyncSession, user: str, session_id: str, run_id: str, title: str, seconds: float) -> Hold:
    """Make the session where there is none, and have it for that run alone, for at most so long.

    Raises Busy where another run has it.
    """
    now = time.time()
    held = {"busy_run": run_id, "busy_until": now + seconds, "updated": now}
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    row = insert(Session).values(user=user, id=session_id, title=_title(title), created=now, untrusted=False, **held)
    free = (Session.busy_run == "") | (Session.busy_until < now)
    mine = row.on_conflict_do_update(index_elements=["user", "id"], set_=held, where=free)
    found = (await session.execute(mine.returning(Session.created, Session.untrusted))).first()
    if found is None:
        raise Busy("another request is at work in this session")
    return Hold(found.created == now, found.created, found.untrusted)


async def release(session: AsyncSession, user: str, session_id: str, run_id: str, *, untrusted: bool) -> None:
    """Let the session go, if that run still has it; what it brought in stays, whoever has it."""
    mine = (*_own(user, session_id), Session.busy_run == run_id)
    await session.execute(update(Session).where(*mine).values(busy_run="", updated=time.time()))
    if untrusted:
        await session.execute(update(Session).where(*_own(user, session_id)).values(untrusted=True))


async def of_user(database: Database, user: str, limit: int, offset: int) -> Sequence[Session]:
    """The sessions of a user, the one used last first."""
    newest = select(Session).where(Session.user == user).order_by(Session.updated.desc(), Session.id)
    async with database.begin() as session:
        return (await session.scalars(newest.limit(limit).offset(offset))).all()


async def one(database: Database, user: str, session_id: str) -> tuple[Session, list[Item]]:
    """A session with all that is kept of its conversation. Raises Unknown."""
    async with database.begin() as session:
        found = await session.get(Session, (user, session_id))
        if found is None:
            raise _unknown(session_id)
        return found, await read(session, user, session_id)


async def rename(database: Database, user: str, session_id: str, title: str) -> Session:
    """Give it another title. Raises Unknown."""
    named = update(Session).where(*_own(user, session_id)).values(title=_title(title)).returning(Session)
    async with database.begin() as session:
        found = (await session.scalars(named)).first()
    if found is None:
        raise _unknown(session_id)
    return found


async def remove(database: Database, user: str, session_id: str) -> float:
    """Forget it, its conversation, and what waits in it; when it was made. Raises Unknown; Busy where a run has it."""
    mine = _own(user, session_id)
    free = (Session.busy_run == "") | (Session.busy_until < time.time())
    async with database.begin() as session:
        gone = (await session.scalars(delete(Session).where(*mine, free).returning(Session.created))).first()
        if gone is None and await session.get(Session, (user, session_id)) is None:
            raise _unknown(session_id)
        waiting = (Run.user == user, Run.session_id == session_id, Run.state == "waiting")
        if gone is not None:
            await session.execute(
                update(Run).where(*waiting).values(state="cancelled", ended=time.time(), paused=None)
            )
    if gone is None:
        raise Busy("a request is at work in this session; cancel its run first")
    return gone


def _title(text: str) -> str:
    """As much as fits, without NUL, which PostgreSQL keeps in no text."""
    return text.replace("\x00", "")[:TITLE]


def _own(user: str, session_id: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return Session.user == user, Session.id == session_id


def _unknown(session_id: str) -> Unknown:
    return Unknown(f"no session is named {session_id}")
