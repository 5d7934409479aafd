"""`sparkctl agents node`: a node's figures over HTTP, for who shows the key. It changes nothing."""

import hmac
from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.types import ASGIApp, Receive, Scope, Send

from sparkctl import __version__
from sparkctl.agents.core.log import set_up
from sparkctl.agents.node.facts import Facts
from sparkctl.agents.node.figures import text
from sparkctl.agents.node.look import Place, look
from sparkctl.agents.server import listen
from sparkctl.errors import ConfigError, Problem

DRAIN_SECONDS = 3
"""How long a look that has begun may go on when the process is told to end."""


@dataclass(frozen=True)
class Door:
    """Where the program listens, and the file with the key that opens it."""

    listen: str
    port: int
    key_file: Path


class Locked:
    """Answers 401 to whoever does not show the key; the file is read each time, so that a new key holds at once."""

    def __init__(self, app: ASGIApp, key_file: Path) -> None:
        self.app, self.key_file = app, key_file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "http" and not self._opens(Request(scope).headers.get("authorization", "")):
            error = {"code": "unauthorized", "message": "send the node's key as: Authorization: Bearer KEY"}
            await JSONResponse({"error": error}, 401, {"WWW-Authenticate": "Bearer"})(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _opens(self, shown: str) -> bool:
        try:
            key = self.key_file.read_bytes().strip()
        except OSError:
            return False
        return len(key) > 0 and hmac.compare_digest(shown.encode(), b"Bearer " + key)


def create_app(place: Place, key_file: Path) -> FastAPI:
    """The application."""
    app = FastAPI(title="sparkctl node", version=__version__, openapi_url=None, docs_url=None, redoc_url=None)
    app.add_middleware(Locked, key_file=key_file)

    @app.get("/facts")
    def facts() -> Facts:
        """The node at this moment."""
        return look(place)

    @app.get("/metrics")
    def metrics() -> Response:
        """The same, for Prometheus."""
        return Response(text(look(place)), media_type=CONTENT_TYPE_LATEST)

    return app


def serve(place: Place, door: Door) -> None:
    """Listen until told to end. Raises ConfigError without a key, SparkctlError."""
    try:
        door.key_file.read_bytes()
    except OSError as error:
        problem = Problem(str(door.key_file), "--key-file", error.strerror or "cannot be read", "a file with a key")
        raise ConfigError((problem,), fix="name a file that holds the key with --key-file") from error
    set_up()
    listen(create_app(place, door.key_file), door.listen, door.port, drain_seconds=DRAIN_SECONDS)
