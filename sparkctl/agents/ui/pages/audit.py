"""Who did what: the gateway's audit, for administrators."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from sparkctl.agents.ui.gateway import AUDIT_ENTRIES
from sparkctl.agents.ui.house import Signed
from sparkctl.agents.ui.rendering import page

router = APIRouter()


@router.get("/audit")
async def audit(request: Request, visitor: Signed, before: Annotated[int, Query(ge=0)] = 0) -> Response:
    """One page of it, newest first."""
    entries = await visitor.gateway.audit(before)
    older = entries[-1].number if len(entries) == AUDIT_ENTRIES else 0
    return page(request, "audit.html", entries=entries, older=older, before=before)
