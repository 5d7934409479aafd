"""How runs end that nobody ended: clients that leave, processes that end or die, databases that go away."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from agent_world import KEY, document_of, world
from conversing import echo, played, streamed, to
from fastapi.testclient import TestClient
from own_kinds import TEAM
from postgres import Postgres
from sqlalchemy import URL, select, update
from standins.scripted import Reply, running, serving
from working import AUTHORIZED, LOOK_UP, SLOW, WRITE, at_work, booked, run_of, two_processes, until

from sparkctl.agents.api.app import create_app
from sparkctl.agents.core import platform
from sparkctl.agents.core.database import connect, url_of
from sparkctl.agents.core.platform import Platform, opened
from sparkctl.agents.core.principal import Principal
from sparkctl.agents.core.records import find
from sparkctl.agents.core.runtime import Request, run
from sparkctl.agents.core.tables import Run, Session


def test_text_from_outside_stays_in_a_session(tmp_path: Path) -> None:
    script = played(to("writer"), WRITE, Reply(text="free"), LOOK_UP, Reply(text="read"), WRITE, Reply(text="x"))
    with world(tmp_path, script, team=TEAM) as gateway:
        answers = [gateway.client.post("/chat", json={"message": "a", "session_id": "s"}).json() for _ in range(3)]
    assert ["approval" in answer for answer in answers] == [False, False, True]


ASKED = {"message": "long", "session_id": "s"}
COMPLETION = {"model": "sparkctl/auto", "messages": [{"role": "user", "content": "long"}]}


@pytest.mark.parametrize(
    ("path", "body"),
    [("/chat/stream", ASKED), ("/chat", ASKED), ("/v1/chat/completions", COMPLETION)],
)
def test_a_client_that_goes_away_ends_the_work(tmp_path: Path, path: str, body: dict[str, Any]) -> None:
    with serving(played(to("writer"), Reply("word", delay=3_600))) as model:
        app = create_app(document_of(tmp_path, model.url, team=TEAM))
        with running(app) as address:
            hung_up(address, path, body, lambda: model.open_streams)
            until(lambda: model.open_streams == 0)
            until(lambda: not app.state.platform.runs)


def test_whenever_a_run_is_closed_its_end_is_on_record(tmp_path: Path, database: str) -> None:
    async def close_at_many_moments() -> list[str]:
        async with opened(document_of(tmp_path, model.url, database, team=TEAM)) as platform:
            ids = [await closed_after(platform, step / 1_000) for step in range(0, 60, 5)]
            return [(await find(platform.database, "owner", run_id)).state for run_id in ids]

    with serving(played(to("writer"), echo)) as model:
        states = asyncio.run(close_at_many_moments())
    assert set(states) <= {"cancelled", "done"}
    assert states[0] == "cancelled"


async def closed_after(platform: Platform, seconds: float) -> str:
    """A run in the session `s` whose events nobody wants any more after so long, read or not; its id."""
    events = run(platform, Principal("owner"), Request("a", "s"))
    await anext(events)
    (run_id,) = platform.runs
    await asyncio.sleep(seconds)
    await events.aclose()
    while platform.runs:
        await asyncio.sleep(0.001)
    return run_id


def test_a_call_that_is_broken_off_is_booked_by_a_guess(tmp_path: Path) -> None:
    with world(tmp_path, played(to("writer"), SLOW), team=TEAM) as gateway:
        with at_work(gateway.client, gateway.model, {"message": "long " * 100, "session_id": "s"}):
            run_id = run_of(gateway.client, "s")
            runs = gateway.client.app.state.platform.runs  # type: ignore[attr-defined]
            until(lambda: len(runs[run_id].said) > 4)
            gateway.client.post(f"/runs/{run_id}/cancel")
        ((requests, prompt, completion),) = booked(gateway.client)
    assert requests == 1
    assert 10 + 500 // 3 <= prompt < 1_000  # the router's call as its engine counted it, and the writer's
    assert 5 + 5 <= completion < 5 + 400


def test_a_router_that_is_broken_off_is_booked_by_a_guess(tmp_path: Path) -> None:
    slow = Reply(calls=(("answer_directly", "{}"),), delay=60)
    with world(tmp_path, played(slow), team=TEAM) as gateway:
        told: list[Any] = []
        body = {"message": "long " * 100, "session_id": "s"}
        thread = threading.Thread(target=lambda: told.extend(streamed(gateway.client, "/chat/stream", body)))
        thread.start()
        until(lambda: gateway.model.bodies)
        gateway.client.post(f"/runs/{run_of(gateway.client, 's')}/cancel")
        thread.join(30)
        ((requests, prompt, completion),) = booked(gateway.client)
    assert (requests, completion) == (1, 0)
    assert 500 // 3 <= prompt < 1_000


def hung_up(address: str, path: str, body: dict[str, Any], then: Callable[[], object]) -> None:
    """Send a request over a socket, and close it as soon as it is so."""
    text, place = json.dumps(body), urlsplit(address)
    with socket.create_connection((str(place.hostname), int(place.port or 0))) as client:
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Type: application/json\r\n"
        client.sendall(f"{head}Content-Length: {len(text)}\r\n\r\n{text}".encode())
        until(then)


def test_a_process_that_is_told_to_end_puts_its_runs_on_record(tmp_path: Path) -> None:
    with serving(played(to("writer"), SLOW)) as model:
        document = document_of(tmp_path, model.url, team=TEAM)
        body = {"message": "long", "session_id": "s"}
        with TestClient(create_app(document), headers=AUTHORIZED) as client:
            ended = threading.Event()
            with running(create_app(document)) as address:
                threading.Thread(target=hung_up, args=(address, "/chat/stream", body, ended.is_set)).start()
                until(lambda: model.open_streams)
                run_id = run_of(client, "s")
            ended.set()
            assert client.get(f"/runs/{run_id}").json()["state"] == "cancelled"
            assert run_of(client, "s") == ""
        until(lambda: model.open_streams == 0)


def test_runs_of_a_process_that_died_are_buried(tmp_path: Path, database: str) -> None:
    with two_processes(tmp_path, database, played(to("writer"), echo)) as (one, other, model):
        run_id = one.post("/chat", json={"message": "a", "session_id": "s"}).json()["run_id"]
        long_ago = {"state": "running", "started": time.time() - 400, "ended": None}
        document = one.app.state.platform.document  # type: ignore[attr-defined]
        asyncio.run(change(url_of(document.where), run_id, long_ago))
        with TestClient(create_app(document), headers=AUTHORIZED) as third:
            found = third.get(f"/runs/{run_id}").json()
            assert (found["state"], found["error"]) == ("failed", "the process that had it ended")
            assert other.post("/chat", json={"message": "b", "session_id": "s"}).status_code == 200
        until(lambda: model.open_streams == 0)


def test_runs_of_a_process_that_died_are_buried_by_those_that_live(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "BURY_SECONDS", 0.1)
    with world(tmp_path, played(to("writer"), echo), database, team=TEAM) as gateway:
        run_id = gateway.client.post("/chat", json={"message": "a", "session_id": "s"}).json()["run_id"]
        long_ago = {"state": "running", "started": time.time() - 400, "ended": None}
        asyncio.run(change(url_of(gateway.document.where), run_id, long_ago))
        assert run_of(gateway.client, "s") == ""  # nobody has it, though its row says so
        until(lambda: gateway.client.get(f"/runs/{run_id}").json()["state"] == "failed")


def test_a_run_without_a_session_waits_for_a_day(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "BURY_SECONDS", 0.1)
    asked = {"model": "sparkctl/writer", "messages": [{"role": "user", "content": "secret"}]}
    with world(tmp_path, played(to("writer"), LOOK_UP, WRITE, LOOK_UP, WRITE), database, team=TEAM) as gateway:
        kept = gateway.client.post("/chat", json={"message": "a", "agent_type": "writer"}).json()["run_id"]
        assert gateway.client.post("/v1/chat/completions", json=asked).status_code == 409
        url = url_of(gateway.document.where)
        (run_id,) = (one.id for one in asyncio.run(waiting(url)) if one.id != kept)
        for name in (run_id, kept):
            asyncio.run(change(url, name, {"started": time.time() - 90_000}))
        until(lambda: gateway.client.get(f"/runs/{run_id}").json()["state"] == "cancelled")
        assert [one.id for one in asyncio.run(waiting(url))] == [kept]  # it is in the list of sessions
        found = gateway.client.get(f"/runs/{run_id}").json()
    assert (found["approval"], found["error"], found["ended"] is None) == (None, "it waited for a day", False)


async def waiting(url: URL) -> list[Run]:
    """The runs that keep a conversation until a human decides."""
    database = connect(url)
    async with database.begin() as session:
        found = list(await session.scalars(select(Run).where(Run.paused.is_not(None) & (Run.state == "waiting"))))
    await database.close()
    return found


def test_a_run_that_is_cancelled_by_another_process_does_not_wait_instead(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "WATCH_SECONDS", 3_600)  # it pauses before it looks
    cancelled = threading.Event()

    def write(_body: dict[str, Any]) -> Reply:
        cancelled.wait(30)
        return WRITE

    with two_processes(tmp_path, database, played(to("writer"), LOOK_UP, write)) as (one, other, model):
        told: list[Any] = []
        body = {"message": "write", "session_id": "s"}
        thread = threading.Thread(target=lambda: told.extend(streamed(one, "/chat/stream", body)))
        thread.start()
        until(lambda: len(model.bodies) == 3)
        run_id = run_of(other, "s")
        assert other.post(f"/runs/{run_id}/cancel").json()["state"] == "cancelling"
        cancelled.set()
        thread.join(30)
        found = other.get(f"/runs/{run_id}").json()
        items = other.get("/sessions/s").json()["items"]
        assert booked(one) == [(1, 30, 15)]
    assert (told[-1][0], told[-1][1]["code"]) == ("error", "cancelled")
    assert (found["state"], found["approval"], found["ended"] is None) == ("cancelled", None, False)
    assert "cut off" in items[1]["text"]


async def change(url: URL, run_id: str, values: dict[str, Any]) -> None:
    """Make a run in the database what it is not."""
    database = connect(url)
    async with database.begin() as session:
        await session.execute(update(Run).where(Run.id == run_id).values(values))
        held = {"busy_run": run_id, "busy_until": time.time() - 1}
        await session.execute(update(Session).values(held))
    await database.close()


def test_a_database_that_goes_away_and_returns(tmp_path: Path, postgres: Postgres) -> None:
    with world(tmp_path, played(to("writer"), SLOW, echo), postgres.database(), team=TEAM) as gateway:
        with at_work(gateway.client, gateway.model, {"message": "long", "session_id": "s"}) as told:
            run_id = run_of(gateway.client, "s")
            postgres.stop()
            try:
                assert gateway.client.get("/sessions").status_code == 503
                assert gateway.client.post("/chat", json={"message": "a"}).status_code == 503
                assert gateway.client.get("/health").status_code == 503
                next(iter(gateway.client.app.state.platform.runs.values())).task.cancel()  # type: ignore[attr-defined]
                until(lambda: gateway.model.open_streams == 0)
            finally:
                postgres.start()
        assert (told[-1][0], told[-1][1]["code"]) == ("error", "unavailable")
        until(lambda: gateway.client.get(f"/runs/{run_id}").json().get("state") == "failed")
        ((requests, prompt, completion),) = booked(gateway.client)
        assert (requests, prompt < 100, completion < 4_000) == (1, True, True)  # written later, and once
        assert len(gateway.client.get("/sessions/s").json()["items"]) == 2
        assert gateway.client.post("/chat", json={"message": "next", "session_id": "s"}).status_code == 200
