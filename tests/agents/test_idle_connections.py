"""Connections that nobody uses: uvicorn closes them after 5 s, so clients let them go before that."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from agent_world import document_of
from fastapi import FastAPI, Request
from httpx2 import AsyncClient
from standins.scripted import running

from sparkctl.agents.core import endpoints
from sparkctl.agents.core.endpoints import open_endpoints
from sparkctl.agents.ui import app as ui
from sparkctl.agents.ui.gateway import Gateway

KEPT = 0.05


@pytest.fixture
def heard() -> list[int]:
    """The ports that requests came from: one for each connection."""
    return []


@pytest.fixture
def server(heard: list[int]) -> Iterator[str]:
    """Every list is empty there, and takes its time."""
    app = FastAPI()

    @app.get("/{path:path}")
    async def listed(request: Request) -> dict[str, list[str]]:
        heard.append(request.client.port if request.client else 0)
        await asyncio.sleep(0.5)
        return {"data": []}

    with running(app) as address:
        yield address


async def twice(ask: Callable[[], Awaitable[object]]) -> None:
    """Two requests with a pause between."""
    await ask()
    await asyncio.sleep(10 * KEPT)
    await ask()


def test_one_to_an_engine_is_let_go(
    server: str, heard: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        opened = open_endpoints(document_of(tmp_path, f"{server}/v1"))
        await twice(lambda: _listed(opened))
        await opened.close()

    monkeypatch.setattr(endpoints, "IDLE_SECONDS", KEPT)
    asyncio.run(work())
    assert len(set(heard)) == 2


async def _listed(opened: endpoints.Endpoints) -> None:
    await opened.find("main").client.models.list()


def test_one_to_the_gateway_and_to_a_node_is_let_go(
    server: str, heard: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = document_of(tmp_path, "http://127.0.0.1:9/v1")
    where = document.where.model_copy(update={"gateway": server})

    async def work() -> None:
        async with ui.opened(document.model_copy(update={"where": where}), 60) as house:
            await house.watch.stop()
            heard.clear()
            await twice(lambda: house.client.get("/health", timeout=60))
            await twice(lambda: house.watch.looks.get(f"{server}/facts", timeout=60))

    monkeypatch.setattr(ui, "KEPT_SECONDS", KEPT)
    asyncio.run(work())
    assert len(set(heard)) == 4


def test_a_gateway_that_thinks_for_a_while_is_waited_for(server: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with AsyncClient(base_url=server, timeout=0.1) as client:  # stands for its own limit, 5 s
            assert await Gateway(client, "key").models() == []

    asyncio.run(work())
