"""The gateway: every router, one shape of errors, one platform behind them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module

from fastapi import FastAPI

from sparkctl import __version__
from sparkctl.agent_spec import AgentsDocument
from sparkctl.agents.api.access import enterable
from sparkctl.agents.api.envelope import BodyLimit, Envelope
from sparkctl.agents.api.errors import DOCUMENTED, add_handlers
from sparkctl.agents.core.log import remembering
from sparkctl.agents.core.platform import opened

ROUTERS = (
    "health",
    "metrics",
    "keys",
    "audit",
    "logs",
    "chat",
    "agents",
    "sessions",
    "runs",
    "openai",
    "proxy",
    "uploads",
    "documents",
)
"""Modules of this room with a `router`."""


def create_app(document: AgentsDocument) -> FastAPI:
    """The application; it opens the platform when it starts and closes it when it ends."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with remembering() as lines:
            async with opened(document) as platform:
                await enterable(platform)
                app.state.platform, app.state.lines = platform, lines
                yield

    app = FastAPI(
        title="sparkctl agents",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,  # their pages load scripts from a CDN
        redoc_url=None,
        responses=DOCUMENTED,
    )
    add_handlers(app)
    app.add_middleware(BodyLimit, limits=document.agents.limits)
    app.add_middleware(Envelope)
    for name in ROUTERS:
        app.include_router(import_module(f"sparkctl.agents.api.{name}").router)
    return app
