"""What the gateway wrote of late, for administrators: engines' logs need Docker, which this process does not reach."""

from typing import Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response

from sparkctl.agents.ui.house import Signed
from sparkctl.agents.ui.rendering import page

router = APIRouter(prefix="/logs")
Level = Literal["info", "warning", "error"]


@router.get("")
async def logs(request: Request, visitor: Signed, level: Level = "info") -> Response:
    """The newest lines, of that level or above."""
    return page(request, "logs.html", lines=await visitor.gateway.logs(level), level=level)


@router.get("/lines")
async def lines(request: Request, visitor: Signed, level: Level = "info") -> Response:
    """The lines alone, every few seconds."""
    return page(request, "logs_lines.html", lines=await visitor.gateway.logs(level), level=level)
