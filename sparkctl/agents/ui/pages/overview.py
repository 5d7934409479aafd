"""The state of everything: nodes, gateway, agents, models, alarms."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from sparkctl.agents.ui import figures
from sparkctl.agents.ui.gateway import GatewayAway, GatewayRefused
from sparkctl.agents.ui.house import Home, House, Signed, Visitor
from sparkctl.agents.ui.rendering import page
from sparkctl.agents.ui.watch import EVERY_SECONDS

router = APIRouter()


@router.get("/")
async def overview(request: Request, house: Home, visitor: Signed) -> Response:
    """The whole page."""
    return page(request, "overview.html", every=EVERY_SECONDS, **await state(house, visitor))


@router.get("/live")
async def live(request: Request, house: Home, visitor: Signed) -> Response:
    """What changes of it."""
    return page(request, "overview_live.html", **await state(house, visitor))


@router.get("/banner")
async def banner(request: Request, _visitor: Signed) -> Response:
    """Whether the gateway answers, on every page."""
    return page(request, "banner.html")


async def state(house: House, visitor: Visitor) -> dict[str, Any]:
    """What the templates show. A gateway that is away leaves its parts empty, and is an alarm."""
    try:
        team, models = await visitor.gateway.agents(), await visitor.gateway.models()
        unread = ""
    except (GatewayAway, GatewayRefused) as error:
        if isinstance(error, GatewayRefused) and error.status == 401:
            raise
        if isinstance(error, GatewayAway):
            house.watch.gateway_is_away(error.what)
        team, models, unread = [], [], error.what
    nodes = house.watch.nodes
    return {
        "team": team,
        "models": models,
        "unread": unread,
        "nodes": nodes,
        "alarms": figures.alarms(house.watch.gateway, nodes, team),
        "figures": figures,
    }
