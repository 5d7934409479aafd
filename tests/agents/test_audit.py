"""The audit: who did what, without what was said; it outlives the database's absence, and ends by age."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from agent_world import KEY, World, document_of
from callers import bearer, made
from postgres import Postgres
from sqlalchemy import select

from sparkctl.agents.core import audit
from sparkctl.agents.core.platform import opened
from sparkctl.agents.core.tables import Audit

ENGINE = "http://127.0.0.1:1/v1"


def until(answer: Callable[[], Any]) -> Any:
    """The first answer that is not empty: entries are written a moment later."""
    deadline = time.monotonic() + 30
    while not (found := answer()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def audit_of(gateway: World, **wanted: Any) -> list[dict[str, Any]]:
    """Entries as an administrator reads them."""
    response = gateway.client.get("/audit", params=wanted)
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()
    return found


def test_what_a_user_did_and_nothing_that_was_said(gateway: World) -> None:
    key = made(gateway)["key"]
    headers = bearer(key) | {"X-Request-Id": "the-request"}
    answer = gateway.client.post("/chat", json={"message": "coding canary", "session_id": "s"}, headers=headers).json()
    gateway.client.delete("/sessions/s", headers=headers)
    until(lambda: audit_of(gateway, action="session.delete"))
    mine = audit_of(gateway, user="anna")
    assert [one["action"] for one in mine] == ["session.delete", "run"]
    run = next(one for one in mine if one["action"] == "run")
    assert (run["target"], run["outcome"], run["request_id"]) == (
        answer["run_id"],
        "done: supervisor > coding",
        "the-request",
    )
    created = audit_of(gateway, action="key.create")[0]
    assert (created["user"], created["outcome"]) == ("owner", "for anna: chat code documents")
    text = str(audit_of(gateway))
    assert "canary" not in text
    assert key not in text
    assert KEY not in text


def test_refused_keys_are_written_but_do_not_fill_the_disk(gateway: World) -> None:
    for number in range(3 * audit.REFUSALS_PER_MINUTE):
        gateway.client.get("/keys", headers=bearer(f"sk-spark-guess-{number}"))
    found = until(lambda: audit_of(gateway, action="login"))
    assert 1 <= len(found) <= 2 * audit.REFUSALS_PER_MINUTE  # a minute may end meanwhile
    assert {(one["user"], one["target"]) for one in found} == {("", "testclient")}
    assert "guess" not in str(found)


def test_pages_go_on_after_a_number(gateway: World) -> None:
    for number in range(5):
        made(gateway, name=str(number))
    first = audit_of(gateway, limit=2, action="key.create")
    second = audit_of(gateway, limit=2, action="key.create", before=first[-1]["number"])
    numbers = [one["number"] for one in first + second]
    assert numbers == sorted(numbers, reverse=True)
    assert len(set(numbers)) == 4


@pytest.mark.parametrize("column", ["user", "action"])
def test_what_no_database_keeps_is_not_looked_for(gateway: World, column: str) -> None:
    assert gateway.client.get("/audit", params={column: "a\x00"}).status_code == 422


def test_only_administrators_read_it(gateway: World) -> None:
    assert gateway.client.get("/audit", headers=bearer(made(gateway)["key"])).status_code == 403


def test_old_entries_go(tmp_path: Path, database: str) -> None:
    async def body() -> list[str]:
        document = document_of(tmp_path, ENGINE, database, access={"audit_days": 30})
        async with opened(document) as platform:
            async with platform.database.begin() as session:
                for days in (31, 29):
                    session.add(Audit(user="anna", action=f"{days}-days", at=time.time() - days * 86_400))
            await platform.journal.sweep()
            async with platform.database.begin() as session:
                return list(await session.scalars(select(Audit.action)))

    assert asyncio.run(body()) == ["29-days"]


def test_entries_wait_for_a_database_that_is_away(tmp_path: Path, postgres: Postgres) -> None:
    async def body() -> list[str]:
        async with opened(document_of(tmp_path, ENGINE, postgres.database())) as platform:
            await asyncio.to_thread(postgres.stop)
            try:
                platform.journal.note("anna", "meanwhile")
                assert not await platform.journal.flush()
            finally:
                await asyncio.to_thread(postgres.start)
            async with asyncio.timeout(30):
                while platform.journal.waiting:
                    await asyncio.sleep(0.05)
            return [one.action for one in await audit.read(platform.database)]

    assert asyncio.run(body()) == ["meanwhile"]


def test_a_name_that_a_model_made_up_is_written(tmp_path: Path, database: str) -> None:
    async def body() -> list[str]:
        async with opened(document_of(tmp_path, ENGINE, database)) as platform:
            platform.journal.note("anna", "tool", "a\x00b\ud800c\nd" + "x" * 300)
            assert await platform.journal.flush()
            return [one.target for one in await audit.read(platform.database)]

    assert asyncio.run(body()) == [("a?b?c?d" + "x" * 300)[:200]]


def test_it_waits_without_taking_all_memory(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def body() -> int:
        async with opened(document_of(tmp_path, ENGINE)) as platform:
            for _ in range(audit.WAITING + 3):
                platform.journal.note("anna", "again")
            return len(platform.journal.waiting)

    assert asyncio.run(body()) == audit.WAITING
    assert len([one for one in caplog.records if "is lost" in one.message]) == 3
