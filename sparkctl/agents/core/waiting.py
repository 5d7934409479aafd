"""Runs that wait for a human, found again by the sessions that they are in."""

from sqlalchemy import select

from sparkctl.agents.core.database import Database
from sparkctl.agents.core.tables import Run


async def in_session(database: Database, user: str, session_id: str) -> Run | None:
    """The run of a session that waits: one at most, as the next message gives it up. Raises Unavailable."""
    waits = (Run.user == user, Run.session_id == session_id, Run.state == "waiting")
    async with database.begin() as session:
        return (await session.scalars(select(Run).where(*waits))).first()


async def sessions_of(database: Database, user: str) -> frozenset[str]:
    """The ids of all sessions of a user in which a run waits. Raises Unavailable."""
    waits = (Run.user == user, Run.session_id != "", Run.state == "waiting")
    async with database.begin() as session:
        return frozenset(await session.scalars(select(Run.session_id).where(*waits)))
