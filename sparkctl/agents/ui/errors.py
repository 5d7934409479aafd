"""Errors as pages that say what and what next; to htmx, as a notice on the page that is there."""

import logging
from typing import cast
from urllib.parse import quote
from uuid import uuid4

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, Response
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from sparkctl.agents.ui.gateway import GatewayAway, GatewayRefused
from sparkctl.agents.ui.house import FormRefused, NotSignedIn, house_of, login_of
from sparkctl.agents.ui.rendering import page

LOG = logging.getLogger("sparkctl.ui")
FIXES = {
    "forbidden": "ask for a key with this scope, then sign in with it",
    "not_found": "it may be deleted, or another user's: go back to the list",
    "busy": "wait until the other answer is there, or cancel it",
    "rate_limited": "wait a minute",
    "too_large": "send less at once, or delete what you no longer need",
    "unavailable": "wait, then try again; `sparkctl status` says what is away",
}


def add_handlers(app: FastAPI) -> None:
    """What can go wrong, each with its page."""
    for kind, handler in HANDLERS.items():
        app.add_exception_handler(kind, handler)


async def away(request: Request, error: Exception) -> Response:
    """The gateway does not answer: the banner need not wait for the next look at it."""
    told = cast(GatewayAway, error)
    house_of(request).watch.gateway_is_away(told.what)
    return shown(request, 503, told.what, told.fix)


async def refused(request: Request, error: Exception) -> Response:
    """The gateway says no. A key that it does not know any more ends its session."""
    told, login = cast(GatewayRefused, error), login_of(request, counts=False)
    if told.status == 401 and login:
        await house_of(request).lives.close(login.id)
        house_of(request).logins.close(login)
        return to_entrance(request)
    return shown(request, told.status, told.what, FIXES.get(told.code, "try again"), told.where)


async def unknown(request: Request, _error: Exception) -> Response:
    """The gateway's answer has another shape."""
    what = "the gateway answered what this web UI does not know"
    return shown(request, 502, what, "bring both to the same version with `sparkctl up`")


async def refused_form(request: Request, error: Exception) -> Response:
    """Not its own form, or one that cannot be taken."""
    told = cast(FormRefused, error)
    return shown(request, told.status, told.what, told.fix)


async def not_signed_in(request: Request, _error: Exception) -> Response:
    """No session."""
    return to_entrance(request)


async def invalid(request: Request, _error: Exception) -> Response:
    """An address that no link of ours has."""
    return shown(request, 422, "this address is not complete", "go back, and take a link of the page")


async def other(request: Request, error: Exception) -> Response:
    """What the framework refuses."""
    told = cast(HTTPException, error)
    what = "there is no such page" if told.status_code == 404 else str(told.detail)
    return shown(request, told.status_code, what, "take one of the pages above")


async def gone(_request: Request, _error: Exception) -> Response:
    """The browser went away while it sent a form: nobody reads this."""
    return Response(status_code=400)


async def bug(request: Request, error: Exception) -> Response:
    """Ours; the log has it under the id that the page shows."""
    name = uuid4().hex
    LOG.error("request %s ended in a bug of ours", name, exc_info=error)
    return shown(request, 500, "a bug of this web UI", "report it with the UI's log", f"request {name}")


HANDLERS = {
    GatewayAway: away,
    GatewayRefused: refused,
    ValidationError: unknown,
    FormRefused: refused_form,
    NotSignedIn: not_signed_in,
    RequestValidationError: invalid,
    HTTPException: other,
    ClientDisconnect: gone,
    Exception: bug,
}


def to_entrance(request: Request) -> Response:
    """To the sign-in page, and back afterwards; htmx does not follow redirects of the page, so it is told."""
    if request.headers.get("HX-Request"):
        return Response(status_code=401, headers={"HX-Redirect": "/login"})
    back = f"?next={quote(request.url.path, safe='/')}" if request.method == "GET" else ""
    return RedirectResponse(f"/login{back}", 303)


def shown(request: Request, status: int, what: str, fix: str, where: str = "") -> Response:
    """An error, as the whole page or as a notice."""
    template = "notice.html" if request.headers.get("HX-Request") else "error.html"
    return page(request, template, status, what=what, fix=fix, where=where)
