"""The web UI: its pages, its static files, one shape of errors."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path

from fastapi import FastAPI
from httpx2 import AsyncClient, Limits
from starlette.staticfiles import StaticFiles

from sparkctl.agent_spec import AgentsDocument, Where
from sparkctl.agents.ui.errors import add_handlers
from sparkctl.agents.ui.headers import SafeHeaders
from sparkctl.agents.ui.house import House
from sparkctl.agents.ui.live import Lives
from sparkctl.agents.ui.signin import IDLE_SECONDS, Attempts, Logins
from sparkctl.agents.ui.watch import Watch, Watched

PAGES = ("entrance", "overview", "chat", "documents", "team", "audit", "logs")
"""Modules of `pages/` with a `router`."""
STATIC = Path(__file__).parent / "static"
CONNECTIONS = 200
"""Calls to the gateway at a time."""
ANSWERS = 200
"""Answers that are read from the gateway at a time; they take no connection from the calls."""
KEPT_SECONDS = 3.0
"""How long an unused connection is kept: below the 5 s after which uvicorn closes it in mid-request."""


def create_app(document: AgentsDocument, idle_seconds: float = IDLE_SECONDS) -> FastAPI:
    """The application; it looks at nodes and gateway from its start to its end."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with opened(document, idle_seconds) as house:
            app.state.house = house
            yield

    app = FastAPI(title="sparkctl web UI", lifespan=lifespan, openapi_url=None)
    add_handlers(app)
    app.add_middleware(SafeHeaders)
    for name in PAGES:
        app.include_router(import_module(f"sparkctl.agents.ui.pages.{name}").router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    return app


def node_headers(where: Where) -> dict[str, str]:
    """What opens the figures of the nodes, where there is a key for them."""
    key = Path(where.secrets, "node-key")
    return {"Authorization": f"Bearer {key.read_text('utf-8').strip()}"} if key.is_file() else {}


@asynccontextmanager
async def opened(document: AgentsDocument, idle_seconds: float) -> AsyncIterator[House]:
    """Everything that pages stand on, closed at the end."""
    where = document.where
    limits = Limits(max_connections=CONNECTIONS, keepalive_expiry=KEPT_SECONDS)
    more = Limits(max_connections=ANSWERS, keepalive_expiry=KEPT_SECONDS)
    async with (
        AsyncClient(base_url=where.gateway, trust_env=False, limits=limits) as client,
        AsyncClient(base_url=where.gateway, trust_env=False, limits=more) as streams,
        AsyncClient(trust_env=False, headers=node_headers(where), limits=limits) as looker,
    ):
        nodes = [Watched(name, url.rstrip("/")) for name, url in where.nodes.items()]
        watch = Watch(client, looker, Watched("gateway", where.gateway.rstrip("/")), nodes)
        house = House(document, client, streams, Logins(idle_seconds), Attempts(), Lives(), watch)
        watch.start()
        try:
            yield house
        finally:
            await watch.stop()
            await house.lives.close()
