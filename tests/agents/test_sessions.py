"""Sessions over both databases: SQLite, and a real PostgreSQL."""

from pathlib import Path
from typing import Any

import pytest
from agent_world import KEY, World, world
from conversing import echo, played, to
from own_kinds import TEAM
from standins.scripted import Reply

from sparkctl.agents.core import listings
from sparkctl.agents.core.history import fitting, tool_items

LOOK_UP = Reply(calls=(("look_up", '{"word": "a"}'),))


def say(gateway: World, message: str, session_id: str = "mine", key: str = KEY) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {key}"}
    body = {"message": message, "session_id": session_id}
    answer: dict[str, Any] = gateway.client.post("/chat", json=body, headers=headers).json()
    return answer


def test_a_session_remembers(tmp_path: Path, database: str) -> None:
    with world(tmp_path, database=database) as gateway:
        for message in ("coding: one", "coding: two"):
            say(gateway, message)
        said = [one["content"] for one in gateway.model.bodies[-1]["messages"] if one["role"] == "user"]
    assert said == ["coding: one", "coding: two"]


def test_a_session_can_be_read_renamed_and_deleted(tmp_path: Path, database: str) -> None:
    with world(tmp_path, played(to("librarian"), LOOK_UP, echo), database, team=TEAM) as gateway:
        run_id = say(gateway, "look up a")["run_id"]
        say(gateway, "hello", "other")
        named = gateway.client.patch("/sessions/mine", json={"title": "Words"}).json()
        found = gateway.client.get("/sessions").json()
        whole = gateway.client.get("/sessions/mine").json()
        gone = [gateway.client.delete("/sessions/mine").status_code for _ in range(2)]
        left = gateway.client.get("/sessions").json()
    assert (named["title"], named["run_id"]) == ("Words", "")
    assert {one["id"]: one["title"] for one in found} == {"mine": "Words", "other": "hello"}
    question, answer = whole["items"]
    assert (question["role"], question["text"]) == ("user", "look up a")
    assert (answer["role"], answer["text"], answer["agent_name"]) == ("assistant", "about look up a", "librarian")
    assert answer["tool_calls"] == [{"name": "look_up", "arguments": '{"word": "a"}', "output": "a is a word"}]
    assert (answer["route"], answer["run_id"]) == (["supervisor", "librarian"], run_id)
    assert gone == [204, 404]
    assert [one["id"] for one in left] == ["other"]


def test_the_session_used_last_comes_first_and_pages_fit_together(tmp_path: Path, database: str) -> None:
    with world(tmp_path, database=database) as gateway:
        for session_id in ("a", "b", "c", "a"):
            say(gateway, "hello", session_id)
        pages = [gateway.client.get("/sessions", params={"limit": 2, "offset": at}).json() for at in (0, 2)]
    assert [one["id"] for page in pages for one in page] == ["a", "c", "b"]


def test_another_user_sees_nothing_of_it(tmp_path: Path, database: str) -> None:
    with world(tmp_path, played(to("writer"), LOOK_UP, echo), database, team=TEAM) as gateway:
        made = gateway.client.post("/keys", json={"user": "ben", "name": "b", "scopes": ["chat"]}).json()
        run_id, ben = say(gateway, "secret")["run_id"], {"Authorization": f"Bearer {made['key']}"}
        for method, path, body in (
            ("GET", "/sessions/mine", None),
            ("PATCH", "/sessions/mine", {"title": "x"}),
            ("DELETE", "/sessions/mine", None),
            ("GET", f"/runs/{run_id}", None),
            ("POST", f"/runs/{run_id}/cancel", None),
            ("POST", f"/runs/{run_id}/approve", {"call_id": "x", "allow": True}),
            ("POST", f"/runs/{run_id}/approve/stream", {"call_id": "x", "allow": True}),
        ):
            assert gateway.client.request(method, path, json=body, headers=ben).status_code == 404, path
        assert gateway.client.get("/sessions", headers=ben).json() == []
        assert say(gateway, "mine", key=made["key"])["session_id"] == "mine"
        assert "secret" not in str(gateway.model.bodies[-1])


def test_the_team_is_listed_with_its_health(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listings, "WAIT_SECONDS", 60.0)
    with world(tmp_path, team=TEAM) as gateway:
        found = {one["name"]: one for one in gateway.client.get("/agents").json()}
        gateway.client.get("/agents")
    assert {name: one["healthy"] for name, one in found.items()} == dict.fromkeys(TEAM, True)
    assert found["writer"]["tools"] == ["look_up", "write"]
    assert (found["supervisor"]["type"], found["supervisor"]["model"]) == ("supervisor", "scripted")


def test_of_a_long_conversation_the_newest_exchanges_are_shown() -> None:
    items = [{"role": role, "content": f"{role} {number}"} for number in range(9) for role in ("user", "assistant")]
    assert fitting(items, 1_000) == items
    assert fitting(items, 0) == []
    few = fitting(items, 60)
    assert few == items[-len(few) :]
    assert few[0]["role"] == "user"


def test_of_tool_calls_pairs_are_kept_with_arguments_that_are_json() -> None:
    call = {"type": "function_call", "call_id": "1", "name": "a", "arguments": "{broken"}
    output = {"type": "function_call_output", "call_id": "1", "output": "b"}
    lone = [{**call, "call_id": "2"}, {**output, "call_id": "3"}, {"role": "user", "content": "c"}]
    assert tool_items([call, *lone, output]) == [{**call, "arguments": "{}"}, output]
