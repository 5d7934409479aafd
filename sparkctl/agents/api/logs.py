"""`/logs`: what this process of the gateway wrote of late."""

import logging
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel

from sparkctl.agents.api.access import Caller
from sparkctl.agents.core.log import Remembered
from sparkctl.agents.core.principal import Scope

router = APIRouter(tags=["access"])


class LogLine(BaseModel):
    """One line; `number` grows, `at` is UTC as ISO 8601. Of a request also who asked, and its milliseconds."""

    number: int
    at: str
    level: str
    logger: str
    message: str
    request_id: str = ""
    user: str = ""
    milliseconds: float | None = None
    exception: str = ""


@router.get("/logs")
async def lines(
    request: Request,
    caller: Caller,
    level: Literal["info", "warning", "error"] = "info",
    before: Annotated[int, Query(ge=0, description="The `number` after which the page goes on.")] = 0,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
) -> list[LogLine]:
    """The newest first, of that level or above. Scope admin. Messages of users, keys and tokens are in none."""
    caller.require(Scope.ADMIN)
    remembered: Remembered = request.app.state.lines
    rank = logging.getLevelNamesMapping()[level.upper()]
    return [LogLine.model_validate(one) for one in remembered.newest(rank, before, limit)]
