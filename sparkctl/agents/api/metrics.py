"""`/metrics`: the gateway's figures for Prometheus."""

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from sparkctl.agents.api.access import Caller, Home
from sparkctl.agents.core.metrics import scrape
from sparkctl.agents.core.principal import Scope

router = APIRouter(tags=["health"])


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(caller: Caller, platform: Home) -> Response:
    """Figures of this process, in Prometheus' text format. Scope metrics or admin."""
    caller.require(Scope.METRICS, Scope.ADMIN)
    return Response(await scrape(platform), media_type=CONTENT_TYPE_LATEST)
