"""The team: who it is, on which models, with which tools."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from sparkctl.agents.ui.house import Home, Signed
from sparkctl.agents.ui.rendering import page

router = APIRouter()


@router.get("/agents")
async def team(request: Request, house: Home, visitor: Signed) -> Response:
    """Every agent, the one that takes requests first marked."""
    members = await visitor.gateway.agents()
    return page(request, "agents.html", team=members, entry=house.document.agents.entry)
