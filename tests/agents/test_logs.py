"""`/logs`: what the gateway wrote, for administrators, without what must not be written."""

import logging
from pathlib import Path
from typing import Any

import pytest
from agent_world import KEY, World, world
from callers import made, status

from sparkctl.agents.core.log import KEPT, remembering

LOG = logging.getLogger("sparkctl.agents")


@pytest.fixture(autouse=True)
def all_lines(caplog: pytest.LogCaptureFixture) -> None:
    """As the gateway's process sets it."""
    caplog.set_level(logging.INFO, "sparkctl")


def lines(gateway: World, **wanted: Any) -> list[dict[str, Any]]:
    response = gateway.client.get("/logs", params=wanted)
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()
    return found


def test_a_request_is_a_line_with_its_user_and_id(gateway: World) -> None:
    gateway.client.post("/chat", json={"message": "canary"}, headers={"X-Request-Id": "mine"})
    line = next(one for one in lines(gateway) if one["request_id"] == "mine")
    assert (line["message"], line["level"], line["user"]) == ("POST /chat 200", "info", "owner")
    assert line["milliseconds"] > 0
    assert "canary" not in str(lines(gateway))


def test_a_level_and_a_number_choose(gateway: World) -> None:
    LOG.info("one")
    LOG.warning("two")
    LOG.error("three, shown by Bearer %s", KEY, exc_info=ValueError("inner"))
    LOG.error("four")
    errors = lines(gateway, level="error")
    assert [one["message"] for one in errors] == ["four", "three, shown by Bearer …"]
    assert "ValueError: inner" in errors[1]["exception"]
    assert [one["message"] for one in lines(gateway, level="warning", before=errors[1]["number"])] == ["two"]
    assert len(lines(gateway, limit=2)) == 2


def test_only_administrators_read_them(gateway: World) -> None:
    assert status(gateway, "/logs", made(gateway, scopes=["chat", "documents", "code"])["key"]) == 403
    assert gateway.client.get("/logs", params={"level": "all"}).status_code == 422


def test_old_lines_go() -> None:
    with remembering() as kept:
        for number in range(KEPT + 5):
            LOG.warning("line %d", number)
        found = kept.newest(logging.INFO, 0, KEPT * 2)
    assert (len(found), found[-1]["message"]) == (KEPT, "line 5")
    LOG.warning("after")
    assert kept.newest(logging.INFO, 0, 1)[0]["message"] != "after"


def test_what_asks_every_few_seconds_is_written_where_it_is_not_well(tmp_path: Path) -> None:
    with world(tmp_path) as gateway:
        for path in ("/health", "/metrics", "/logs", "/agents"):
            assert gateway.client.get(path).status_code == 200
        assert gateway.client.get("/logs", params={"level": "all"}).status_code == 422
        said = {one["message"] for one in lines(gateway)}
    assert said & {f"GET {path} {status}" for path in ("/health", "/metrics", "/logs") for status in (200, 422)} == {
        "GET /logs 422"
    }
    assert "GET /agents 200" in said
