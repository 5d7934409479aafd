"""What surrounds every request: its id, its line in the log, its figures, and the limit of its body. Pure ASGI."""

import asyncio
import logging
import re
import time
from uuid import uuid4

from anyio import BrokenResourceError
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sparkctl.agent_spec import Limits
from sparkctl.agents.api.access import enter
from sparkctl.agents.api.errors import METHODS
from sparkctl.agents.core.failure import Failure
from sparkctl.agents.core.log import REQUEST
from sparkctl.agents.core.metrics import Metrics

LOG = logging.getLogger("sparkctl.agents.access")
ID = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
UPLOADS = ("/documents", "/uploads", "/v1/chat/completions")
"""Paths that take files: the last as data URLs."""
FRAME = 64 * 1024
"""Bytes that multipart puts around a file."""
BODY_SECONDS = 30.0
"""How long a client may be silent before its body is whole."""
DIGITS = 19
"""Those of a Content-Length that are read: more make no difference, and Python refuses to read thousands."""
WATCHED = ("/health", "/metrics", "/logs")
"""What Docker, Prometheus and an open page ask every few seconds: in the log only where it is not well."""


class Envelope:
    """Gives each request an id (the client's, where it is one) and an end: a line of the log, and figures."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; what is no HTTP goes through."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        shown = Headers(scope=scope).get("x-request-id", "")
        state = scope.setdefault("state", {})
        state["request_id"] = shown if ID.match(shown) else uuid4().hex
        REQUEST.set(state["request_id"])
        exchange = Exchange(scope, send)
        try:
            await self.app(scope, receive, exchange.send)
        except* BrokenResourceError:  # FastAPI's stream, when its reader left between two events
            if not exchange.streams:
                raise
        finally:
            exchange.end()


class Exchange:
    """One request and its answer, watched as it goes out."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.scope, self.onward = scope, send
        self.started = time.monotonic()
        self.status, self.streams, self.begun = 500, False, False
        self.metrics: Metrics = scope["app"].state.platform.metrics

    @property
    def route(self) -> str:
        """As it stands in the OpenAPI document; what clients make up is one word."""
        return getattr(self.scope.get("route"), "path", "unmatched")

    async def send(self, message: Message) -> None:
        """Pass it on."""
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = self.scope["state"]["request_id"]
            self.status = message["status"]
            self.streams = headers.get("content-type", "").startswith("text/event-stream")
            if self.streams:
                self.metrics.streams.inc()
        elif self.streams and not self.begun and message.get("body"):
            self.begun = True
            self.metrics.first_byte.labels(self.route).observe(time.monotonic() - self.started)
        await self.onward(message)

    def end(self) -> None:
        """Count it and write its line, however it ended."""
        seconds = time.monotonic() - self.started
        method = self.scope["method"] if self.scope["method"] in METHODS else "other"
        if self.streams:
            self.metrics.streams.dec()
        self.metrics.requests.labels(method, self.route, self.status).inc()
        self.metrics.seconds.labels(self.route).observe(seconds)
        more = {
            "method": method,
            "route": self.route,
            "status": self.status,
            "milliseconds": round(seconds * 1_000, 1),
            "user": self.scope["state"].get("user", ""),
            "client": (self.scope.get("client") or ("",))[0],
        }
        level = logging.DEBUG if self.route in WATCHED and self.status == 200 else logging.INFO
        LOG.log(level, "%s %s %d", method, self.route, self.status, extra=more)


class BodyLimit:
    """Refuses a body above its limit with 413: by its Content-Length at once, else where the limit is passed.

    Nothing is read before the key; 408 where nothing comes for `BODY_SECONDS`. What stops a body has to be an
    HTTPException: FastAPI takes everything else for a body that is no JSON.
    """

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self.app, self.limits = app, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; what is no HTTP goes through."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        upload = scope["path"].rstrip("/") in UPLOADS
        mib = self.limits.upload_mib if upload else self.limits.body_mib
        most = mib * 2**20 + FRAME * upload
        told = Headers(scope=scope).get("content-length", "")
        counted = told.isascii() and told.isdigit()
        read = int(told[:DIGITS]) if counted else 0
        whole = False

        async def limited() -> Message:
            nonlocal read, whole
            if whole:
                return await receive()
            if read > most:
                raise HTTPException(413, f"the body is larger than {mib} MiB")
            await entered(scope)
            message = await next_of(receive)
            whole = not message.get("more_body", False)
            if not counted:
                read += len(message.get("body", b""))
            if read > most:
                raise HTTPException(413, f"the body is larger than {mib} MiB")
            return message

        await self.app(scope, limited, send)


async def entered(scope: Scope) -> None:
    """Who asks must be known. Raises HTTPException, from the failure."""
    try:
        await enter(scope)
    except Failure as failure:
        raise HTTPException(failure.status) from failure


async def next_of(receive: Receive) -> Message:
    """The next piece of a body. Raises HTTPException where it does not come."""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await receive()
    except TimeoutError as error:
        raise HTTPException(408, f"nothing more of the body came for {BODY_SECONDS:g} s") from error
