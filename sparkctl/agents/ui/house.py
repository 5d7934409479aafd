"""What the web UI's process holds, and who asks it: dependencies of the pages."""

import errno
import hmac
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from httpx2 import AsyncClient
from starlette.datastructures import FormData

from sparkctl.agent_spec import AgentsDocument
from sparkctl.agents.ui.gateway import Gateway
from sparkctl.agents.ui.live import Lives
from sparkctl.agents.ui.signin import Attempts, Login, Logins
from sparkctl.agents.ui.watch import Watch
from sparkctl.errors import SparkctlError

MIB = 2**20
FIELDS_MIB = 1
"""What a form may hold beside its files."""
ENTRANCE_BYTES = 64 * 1024
"""What strangers may send: a key of 8192 characters, each as three at worst, and where to go afterwards."""


@dataclass(frozen=True)
class House:
    """Everything that pages stand on. `client` asks the gateway, `streams` reads the answers that it writes."""

    document: AgentsDocument
    client: AsyncClient
    streams: AsyncClient
    logins: Logins
    attempts: Attempts
    lives: Lives
    watch: Watch


class NotSignedIn(SparkctlError):
    """No session, or one that is over."""


class FormRefused(SparkctlError):
    """A form that is not this session's own, or that is too large."""

    def __init__(self, status: int, what: str, fix: str) -> None:
        super().__init__(what, fix=fix)
        self.status = status


@dataclass(frozen=True)
class Visitor:
    """Who is signed in, and the gateway with their key; `answers` is the same for what is long: answers."""

    login: Login
    gateway: Gateway
    answers: Gateway


def house_of(request: Request) -> House:
    """The house of this process."""
    house: House = request.app.state.house
    return house


def cookie_name(request: Request, name: str = "sparkctl-ui") -> str:
    """`__Host-` where the browser came by https: then no other host or path can set it."""
    return f"__Host-{name}" if request.url.scheme == "https" else name


def login_of(request: Request, *, counts: bool = True) -> Login | None:
    """The session of a request."""
    return house_of(request).logins.find(request.cookies.get(cookie_name(request), ""), counts=counts)


def visitor_of(request: Request) -> Visitor:
    """Who asks. Raises NotSignedIn. A page that renews itself by htmx's timer keeps nobody signed in."""
    login = login_of(request, counts=request.headers.get("X-Renewal") != "yes")
    if login is None:
        raise NotSignedIn("this page is for those who are signed in", fix="sign in")
    house = house_of(request)
    return Visitor(login, Gateway(house.client, login.key), Gateway(house.streams, login.key))


async def form_of(request: Request, most: int) -> FormData:
    """The form of a request from one of our own pages, of so many bytes at most. Raises FormRefused."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        raise FormRefused(403, "this form was sent by another site", "open the page here, and send it again")
    length = request.headers.get("Content-Length", "")
    if not length.isdigit():
        raise FormRefused(411, "this form does not say how long it is", "send it with a browser")
    if int(length) > most:
        what = f"this is larger than {most / MIB:g} MiB"
        raise FormRefused(413, what, "send less at once, or raise limits.upload_mib")
    try:
        return await request.form()
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        what = "there is no room for this on the node's disk"
        raise FormRefused(503, what, "make some, then send it again") from error


async def own_form(request: Request, visitor: "Signed") -> FormData:
    """A form that carries its session's token. Raises FormRefused."""
    form = await form_of(request, (house_of(request).document.agents.limits.upload_mib + FIELDS_MIB) * MIB)
    if not visitor.login.allows(str(form.get("csrf", ""))):
        raise FormRefused(403, "this form is not of this session", "open the page anew, and send it again")
    return form


async def entrance_form(request: Request) -> FormData:
    """The form of the sign-in page, whose token is in a cookie, as there is no session yet. Raises FormRefused."""
    form = await form_of(request, ENTRANCE_BYTES)
    given, kept = str(form.get("csrf", "")), request.cookies.get(cookie_name(request, "sparkctl-entrance"), "")
    if not kept or not hmac.compare_digest(given.encode(), kept.encode()):
        raise FormRefused(403, "this form is not of this browser", "allow cookies, open the page anew, and try again")
    return form


Home = Annotated[House, Depends(house_of)]
Signed = Annotated[Visitor, Depends(visitor_of)]
OwnForm = Annotated[FormData, Depends(own_form)]
EntranceForm = Annotated[FormData, Depends(entrance_form)]
