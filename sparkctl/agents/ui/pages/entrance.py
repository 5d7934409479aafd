"""Sign in with a key of the gateway, and sign out."""

import re
from secrets import token_urlsafe

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from sparkctl.agents.ui.gateway import Gateway, GatewayRefused
from sparkctl.agents.ui.house import EntranceForm, Home, OwnForm, Signed, cookie_name, login_of
from sparkctl.agents.ui.rendering import page
from sparkctl.agents.ui.signin import LONGEST_SECONDS

router = APIRouter()
SENDABLE = re.compile(r"[!-~]{1,8192}\Z")
"""What can stand in a header."""
ENTRANCE = "sparkctl-entrance"


@router.get("/login")
async def show(request: Request, next: str = "/") -> Response:
    """The form; who is signed in already goes on."""
    if login_of(request):
        return RedirectResponse(inside(next), 303)
    return form(request, next)


@router.post("/login")
async def sign_in(request: Request, house: Home, given: EntranceForm) -> Response:
    """Ask the gateway whether it knows the key. Raises GatewayAway."""
    key, after = str(given.get("key", "")).strip(), inside(str(given.get("next", "/")))
    address = request.client.host if request.client else ""
    if house.attempts.exhausted(address):
        return form(request, after, 429, "Too many tries from your address: wait a minute.")
    if not SENDABLE.match(key) or not await known(Gateway(house.client, key)):
        house.attempts.failed(address)
        return form(request, after, 401, "The gateway does not know this key.")
    old = login_of(request)
    if old:
        house.logins.close(old)
    response = RedirectResponse(after, 303)
    set_cookie(request, response, cookie_name(request), house.logins.open(key).id)
    return response


@router.post("/logout")
async def sign_out(request: Request, house: Home, visitor: Signed, _form: OwnForm) -> Response:
    """End the session, and what it still reads."""
    await house.lives.close(visitor.login.id)
    house.logins.close(visitor.login)
    response = RedirectResponse("/login", 303)
    response.delete_cookie(cookie_name(request), secure=request.url.scheme == "https")
    return response


async def known(gateway: Gateway) -> bool:
    """Whether the gateway accepts the key. One that may not list models is still a key."""
    try:
        await gateway.models()
    except GatewayRefused as error:
        if error.status not in (401, 403):
            raise
        return error.status == 403
    return True


def form(request: Request, after: str, status: int = 200, wrong: str = "") -> Response:
    """The sign-in page with a new token."""
    token = token_urlsafe(32)
    response = page(request, "login.html", status, token=token, next=inside(after), wrong=wrong)
    set_cookie(request, response, cookie_name(request, ENTRANCE), token)
    if status == 429:
        response.headers["Retry-After"] = "60"
    return response


def inside(path: str) -> str:
    """A path of this site, or its first page: nobody is sent elsewhere after signing in."""
    return path if re.match(r"/(?![/\\])[!-~]*\Z", path) else "/"


def set_cookie(request: Request, response: Response, name: str, value: str) -> None:
    """One that scripts cannot read and other sites cannot send."""
    secure = request.url.scheme == "https"
    response.set_cookie(name, value, int(LONGEST_SECONDS), httponly=True, samesite="strict", secure=secure)
