"""Pages and pieces of pages, from the templates; everything in them is escaped."""

import time
from datetime import UTC, datetime
from functools import cache
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from sparkctl import __version__
from sparkctl.agents.ui.drawing import HEIGHT, WIDTH, sparkline
from sparkctl.agents.ui.house import house_of, login_of
from sparkctl.agents.ui.markup import rendered

PAGES = (
    ("/", "Overview"),
    ("/chat", "Chat"),
    ("/documents", "Documents"),
    ("/agents", "Agents"),
    ("/audit", "Audit"),
    ("/logs", "Logs"),
)
UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
SPANS = ((86_400, "d"), (3_600, "h"), (60, "min"))


@cache
def templates() -> Environment:
    """The templates of this room, with their filters."""
    found = Environment(
        loader=PackageLoader("sparkctl.agents.ui"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters.update(size=size, ago=ago, span=span, clock=clock, markdown=rendered, sentence=sentence)
    found.globals.update(version=__version__, pages=PAGES, sparkline=sparkline, width=WIDTH, height=HEIGHT)
    return found


def piece(name: str, **more: Any) -> str:
    """A template as text."""
    return templates().get_template(name).render(more)


def page(request: Request, name: str, status: int = 200, **more: Any) -> HTMLResponse:
    """A template as an answer; it knows who is signed in, and whether the gateway answers."""
    login = login_of(request, counts=False)
    common = {
        "csrf": login.csrf if login else "",
        "signed_in": login is not None,
        "path": request.url.path,
        "gateway": house_of(request).watch.gateway,
    }
    return HTMLResponse(piece(name, **common | more), status)


def sentence(text: str) -> str:
    """With a capital, and the rest as it is: names keep theirs."""
    return text[:1].upper() + text[1:]


def size(amount: float | None) -> str:
    """Bytes for people."""
    if amount is None:
        return "–"
    power = 0
    while amount >= 1024 and power < len(UNITS) - 1:
        amount, power = amount / 1024, power + 1
    return f"{amount:.0f} {UNITS[power]}" if power == 0 or amount >= 100 else f"{amount:.1f} {UNITS[power]}"


def span(seconds: float) -> str:
    """A length of time for people, in its largest whole unit."""
    for length, unit in SPANS:
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def ago(at: float | None) -> str:
    """How long a Unix time is past."""
    return "never" if at is None else span(time.time() - at)


def clock(at: float | None) -> str:
    """A Unix time in UTC, to the second."""
    return "never" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
