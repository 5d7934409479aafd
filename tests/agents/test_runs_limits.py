"""What ends a run early, and that its session goes on after it: limits, engines that die, models that go astray."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from agent_world import KEY, World, document_of, world
from conversing import echo, played, streamed, to
from fastapi.testclient import TestClient
from own_kinds import TEAM
from standins.scripted import Reply, Script
from working import LOOK_UP, SLOW

from sparkctl.agents.api.app import create_app

DIES = Reply(text="one two three", dies_after=2)


def end(gateway: World, message: str = "first") -> dict[str, Any]:
    """The last event of a request in the session `s`."""
    name, data = streamed(gateway.client, "/chat/stream", {"message": message, "session_id": "s"})[-1]
    return {"event": name, **data}


def goes_on(gateway: World) -> list[dict[str, Any]]:
    """The session answers, and what its engine was shown is a conversation that any engine takes; that."""
    assert end(gateway, "then")["event"] == "done"
    shown: list[dict[str, Any]] = gateway.model.bodies[-1]["messages"]
    calls = [call["id"] for one in shown for call in one.get("tool_calls") or ()]
    assert sorted(calls) == sorted(one["tool_call_id"] for one in shown if one["role"] == "tool")
    roles = [one["role"] for one in shown if one["role"] in ("user", "assistant") and not one.get("tool_calls")]
    assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"]
    for call in (call for one in shown for call in one.get("tool_calls") or ()):
        json.loads(call["function"]["arguments"])
    return shown


@pytest.mark.parametrize(
    ("script", "limits", "code", "kept"),
    [
        (lambda: played(to("librarian"), LOOK_UP, LOOK_UP, LOOK_UP, echo), {"turns": 3}, "run_limit", "Looking."),
        (lambda: played(to("librarian"), SLOW, echo), {"seconds": 3}, "run_limit", "word word"),
        (lambda: played(to("librarian"), LOOK_UP, LOOK_UP, echo), {"tokens": 20}, "run_limit", "Looking."),
        (lambda: played(to("librarian"), DIES, echo), {}, "engine_failed", "one two"),
        (lambda: played(to("librarian"), Reply(status=500), echo), {}, "engine_failed", "cut off"),
        (lambda: played(to("librarian"), Reply(), Reply(), echo), {}, "engine_failed", "nothing"),
    ],
    ids=["turns", "seconds", "tokens", "dies", "500", "empty"],
)
def test_a_run_that_ends_early_says_why_and_its_session_goes_on(
    tmp_path: Path, script: Callable[[], Script], limits: dict[str, Any], code: str, kept: str
) -> None:
    said = script()
    with world(tmp_path, said, team=TEAM, limits=limits) as gateway:
        last = end(gateway)
        assert (last["event"], last["code"]) == ("error", code)
    with world(tmp_path, said, team=TEAM) as gateway:
        shown = goes_on(gateway)
        items = gateway.client.get("/sessions/s").json()["items"]
    assert kept in items[1]["text"]
    assert f"cut off: {last['message']}" in items[1]["text"]
    assert kept in str(shown)


def test_chat_answers_with_the_status_of_what_ended_it(tmp_path: Path) -> None:
    with world(tmp_path, played(to("librarian"), LOOK_UP), team=TEAM, limits={"turns": 3}) as gateway:
        response = gateway.client.post("/chat", json={"message": "loop"})
    assert (response.status_code, response.json()["error"]["code"]) == (422, "run_limit")


def test_calls_that_cannot_be_made_are_told_to_the_model_and_never_sent_back_as_they_were(tmp_path: Path) -> None:
    wild = Reply(calls=(("no_such_tool", "{}"), ("look_up", '{"word": '), ("look_up", "[]")))
    with world(tmp_path, played(to("librarian"), wild, echo), team=TEAM) as gateway:
        last = end(gateway)
        shown = goes_on(gateway)
    assert (last["event"], last["response"]) == ("done", "about first")
    assert len([one for one in shown if one["role"] == "tool"]) == 3


def test_a_run_is_on_record(tmp_path: Path) -> None:
    with world(tmp_path, played(to("librarian"), echo, Reply(status=500)), team=TEAM) as gateway:
        done, failed = (end(gateway) for _ in range(2))
        found = gateway.client.get(f"/runs/{done['run_id']}").json()
        assert failed["event"] == "error"
        assert gateway.client.get("/runs/nothing").status_code == 404
    assert (found["state"], found["agent"], found["session_id"]) == ("done", "supervisor", "s")
    assert found["ended"] >= found["started"]


def test_an_engine_that_is_away_is_an_error_with_a_status(tmp_path: Path) -> None:
    app = create_app(document_of(tmp_path, "http://127.0.0.1:9/v1", team=TEAM))
    with TestClient(app, headers={"Authorization": f"Bearer {KEY}"}) as client:
        response = client.post("/chat", json={"message": "anything"})
        agents = client.get("/agents").json()
    assert (response.status_code, response.json()["error"]["code"]) == (502, "engine_failed")
    assert {one["name"]: one["healthy"] for one in agents} == dict.fromkeys(TEAM, False)
