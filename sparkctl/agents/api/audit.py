"""`/audit`: who did what."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict

from sparkctl.agents.api.access import Caller, Home
from sparkctl.agents.api.chat import NoNul
from sparkctl.agents.core import audit
from sparkctl.agents.core.principal import Scope

router = APIRouter(tags=["access"])


class AuditEntry(BaseModel):
    """One line; `at` is UTC seconds, `number` grows."""

    model_config = ConfigDict(from_attributes=True)

    number: int
    at: float
    user: str
    action: str
    target: str
    outcome: str
    request_id: str


@router.get("/audit")
async def entries(
    caller: Caller,
    platform: Home,
    user: Annotated[NoNul, Query(max_length=128)] = "",
    action: Annotated[NoNul, Query(max_length=64)] = "",
    before: Annotated[int, Query(ge=0, le=2**62, description="The `number` after which the page goes on.")] = 0,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
) -> list[AuditEntry]:
    """The newest first. Scope admin."""
    caller.require(Scope.ADMIN)
    found = await audit.read(platform.database, user=user, action=action, before=before, limit=limit)
    return [AuditEntry.model_validate(one) for one in found]
