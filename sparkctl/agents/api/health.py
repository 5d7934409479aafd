"""`/health`: whether this process and what it stands on answer. Public, and says nothing that is secret."""

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import text

from sparkctl import __version__
from sparkctl.agents.api.access import Home

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """The names of document 1, and nothing about who asks."""

    status: Literal["healthy"]
    agents_loaded: int
    version: str


@router.get("/health")
async def health(platform: Home) -> Health:
    """Answers 200 when the platform can work, 503 when its database is away."""
    async with platform.database.begin() as session:
        await session.execute(text("SELECT 1"))
    return Health(status="healthy", agents_loaded=len(platform.document.agents.team), version=__version__)
