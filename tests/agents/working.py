"""Runs that are at work: slow engines, processes side by side, clients in the middle of an answer."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from agent_world import KEY, document_of
from conversing import Told, streamed
from fastapi.testclient import TestClient
from own_kinds import TEAM
from sqlalchemy import select
from standins.scripted import Reply, Script, Scripted, serving

from sparkctl.agents.api.app import create_app
from sparkctl.agents.core.tables import Spent

SLOW = Reply(text="word " * 4_000, delay=0.05)


LOOK_UP = Reply(text="Looking.", calls=(("look_up", '{"word": "a"}'),))


WRITE = Reply(calls=(("write", '{"text": "it"}'),))


AUTHORIZED = {"Authorization": f"Bearer {KEY}"}


def until(true: Callable[[], object]) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.01)


@contextmanager
def two_processes(folder: Path, database: str, script: Script) -> Iterator[tuple[TestClient, TestClient, Scripted]]:
    """Two gateways, each with its own loop and connections, on one database."""
    with serving(script) as model, ExitStack() as stack:
        document = document_of(folder, model.url, database, team=TEAM)
        one, other = (stack.enter_context(TestClient(create_app(document), headers=AUTHORIZED)) for _ in range(2))
        yield one, other, model


@contextmanager
def at_work(client: TestClient, model: Scripted, body: dict[str, Any]) -> Iterator[Told]:
    """A streamed request that is at work during the block, and has ended after it; its events, then."""
    told: Told = []
    thread = threading.Thread(target=lambda: told.extend(streamed(client, "/chat/stream", body)))
    thread.start()
    until(lambda: model.open_streams)
    yield told
    thread.join(30)
    assert not thread.is_alive()


def run_of(client: TestClient, session_id: str) -> str:
    """The run that has a session."""
    return str(client.get(f"/sessions/{session_id}").json()["run_id"])


def booked(client: TestClient) -> list[tuple[int, int, int]]:
    """Requests, tokens read and tokens written of each user's day, as they stand in the database."""
    database = client.app.state.platform.database  # type: ignore[attr-defined]

    async def read() -> list[tuple[int, int, int]]:
        async with database.begin() as session:
            rows = await session.scalars(select(Spent))
            return [(row.requests, row.prompt_tokens, row.completion_tokens) for row in rows]

    assert client.portal
    return client.portal.call(read)
