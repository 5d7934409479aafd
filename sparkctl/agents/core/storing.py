"""What one user may keep on the head's disk: documents and images together."""

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from sparkctl.agent_spec import Limits
from sparkctl.agents.core.failure import TooLarge
from sparkctl.agents.core.tables import Document, Upload

MIB = 2**20


async def ensure_room(session: AsyncSession, user: str, size: int, limits: Limits) -> None:
    """Raises TooLarge where so many bytes more are above what the user may keep. Two at a time may both find room."""
    taken = 0
    for table in (Document, Upload):
        taken += await session.scalar(select(func.sum(table.size)).where(table.user == user)) or 0
    if taken + size > limits.stored_mib * MIB:
        raise TooLarge(
            f"your documents and images take {taken / MIB:.1f} MiB, and with this one they would be above the "
            f"{limits.stored_mib} MiB that a user may keep: delete documents (DELETE /documents/ID) or images "
            f"(GET /uploads lists them, DELETE /uploads/ID)"
        )
