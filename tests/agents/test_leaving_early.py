"""Who asks goes away before the run has begun: its session is free all the same."""

import asyncio
import contextlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from agent_world import document_of
from anyio import BrokenResourceError
from sqlalchemy import select
from standins.scripted import serving
from starlette.types import Receive, Scope, Send

from sparkctl.agent_spec import AgentsDocument
from sparkctl.agents.api.envelope import Envelope
from sparkctl.agents.core import runtime, tables
from sparkctl.agents.core.metrics import Metrics
from sparkctl.agents.core.platform import Platform, opened
from sparkctl.agents.core.principal import Principal

MOMENTS = 60
"""Different moments of a run's beginning at which its client goes."""


async def left(platform: Platform, number: int) -> None:
    """Ask, and go away after so many turns of the loop."""
    run = runtime.run(platform, Principal("anna"), runtime.Request("hello", f"session-{number}"))
    asking = asyncio.ensure_future(anext(run))
    for _ in range(number):
        await asyncio.sleep(0.0002)
    asking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asking
    await run.aclose()


async def held(document: AgentsDocument) -> list[str]:
    """Sessions that are busy once nothing is at work any more."""
    async with opened(document) as platform:
        for number in range(MOMENTS):
            await left(platform, number)
        while platform.runs or len(platform.tasks) > 1:  # one of them watches, until the end
            await asyncio.sleep(0.01)
        async with platform.database.begin() as session:
            return list(await session.scalars(select(tables.Session.id).where(tables.Session.busy_run != "")))


async def answered(kind: bytes) -> None:
    """A request whose answer of that kind breaks off as FastAPI's streams do when their reader has left."""

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
        raise ExceptionGroup("of a task group", [BrokenResourceError()])

    async def nothing(*_: object) -> Any:
        return {"type": "http.disconnect"}

    metrics = SimpleNamespace(state=SimpleNamespace(platform=SimpleNamespace(metrics=Metrics())))
    scope = {"type": "http", "method": "POST", "headers": [], "app": metrics}
    await Envelope(app)(scope, nothing, nothing)


def test_a_reader_that_left_its_stream_is_no_bug_of_ours() -> None:
    asyncio.run(answered(b"text/event-stream"))
    with pytest.raises(ExceptionGroup):
        asyncio.run(answered(b"application/json"))


def test_no_session_stays_busy(tmp_path: Path) -> None:
    with serving() as model:
        document = document_of(tmp_path, model.url, limits={"requests_per_minute": 10_000})
        assert asyncio.run(held(document)) == []
