"""Runs that are cancelled, that wait for a human, whose client goes away; in one process and in two."""

import json
import threading
from pathlib import Path

import pytest
from agent_world import world
from conversing import Told, echo, played, streamed, text_of, to
from fastapi.testclient import TestClient
from own_kinds import TEAM
from standins.scripted import Reply
from working import LOOK_UP, SLOW, WRITE, at_work, booked, run_of, two_processes, until

WAITS = (LOOK_UP, WRITE, Reply(text="written [1]"))


def test_a_cancelled_run_stops_the_engine(tmp_path: Path) -> None:
    with world(tmp_path, played(to("writer"), SLOW, echo), team=TEAM) as gateway:
        with at_work(gateway.client, gateway.model, {"message": "long", "session_id": "s"}) as told:
            run_id = run_of(gateway.client, "s")
            assert gateway.client.get(f"/runs/{run_id}").json()["state"] == "running"
            assert gateway.client.delete("/sessions/s").status_code == 409
            runs = gateway.client.app.state.platform.runs  # type: ignore[attr-defined]
            until(lambda: runs[run_id].said)
            assert gateway.client.post(f"/runs/{run_id}/cancel").json() == {"run_id": run_id, "state": "cancelled"}
            until(lambda: gateway.model.open_streams == 0)
        assert (told[-1][0], told[-1][1]["code"]) == ("error", "cancelled")
        assert gateway.client.post(f"/runs/{run_id}/cancel").json()["state"] == "cancelled"
        after = gateway.client.post("/chat", json={"message": "next", "session_id": "s"}).json()
        kept = gateway.client.get("/sessions/s").json()["items"][1]["text"]
    assert after["response"] == "about next"
    assert kept.startswith("word")
    assert kept.endswith("(This answer was cut off: the run was cancelled.)")


def test_a_router_at_work_is_cancelled_too(tmp_path: Path) -> None:
    slow = Reply(calls=(("answer_directly", "{}"),), delay=60)
    with world(tmp_path, played(slow, echo), team=TEAM) as gateway:
        told: Told = []
        body = {"message": "long", "session_id": "s"}
        thread = threading.Thread(target=lambda: told.extend(streamed(gateway.client, "/chat/stream", body)))
        thread.start()
        until(lambda: gateway.model.bodies)
        gateway.client.post(f"/runs/{run_of(gateway.client, 's')}/cancel")
        thread.join(30)
    assert (told[-1][0], told[-1][1]["code"]) == ("error", "cancelled")


def test_another_process_cancels(tmp_path: Path, database: str) -> None:
    with two_processes(tmp_path, database, played(to("writer"), SLOW)) as (one, other, model):
        with at_work(one, model, {"message": "long", "session_id": "s"}) as told:
            run_id = run_of(other, "s")
            assert other.post(f"/runs/{run_id}/cancel").json()["state"] == "cancelling"
        assert told[-1][1]["code"] == "cancelled"
        until(lambda: model.open_streams == 0)
        assert other.get(f"/runs/{run_id}").json()["state"] == "cancelled"


def test_a_session_has_one_run_at_a_time(tmp_path: Path, database: str) -> None:
    body = {"message": "long", "session_id": "s"}
    with (
        two_processes(tmp_path, database, played(to("writer"), SLOW)) as (one, other, model),
        at_work(one, model, body),
    ):
        for client in (one, other):
            for path in ("/chat", "/chat/stream"):
                response = client.post(path, json=body)
                assert (response.status_code, response.json()["error"]["code"]) == (409, "busy")
        one.post(f"/runs/{run_of(one, 's')}/cancel")


def test_many_requests_at_once_make_a_session_once(tmp_path: Path, database: str) -> None:
    with two_processes(tmp_path, database, played(to("writer"), echo)) as (one, other, _):
        found: list[int] = []

        def ask(client: TestClient) -> None:
            found.append(client.post("/chat", json={"message": "a", "session_id": "s"}).status_code)

        threads = [threading.Thread(target=ask, args=(client,)) for client in (one, other) * 4]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        items = one.get("/sessions/s").json()["items"]
    assert set(found) <= {200, 409}
    assert len(items) == 2 * found.count(200) > 0


def test_a_call_waits_for_a_human_and_another_process_takes_it_up(tmp_path: Path, database: str) -> None:
    with two_processes(tmp_path, database, played(to("writer"), *WAITS)) as (one, other, _):
        told = streamed(one, "/chat/stream", {"message": "write", "session_id": "s"})
        name, asked = told[-1]
        run_id = asked["run_id"]
        waiting = other.get(f"/runs/{run_id}").json()
        assert (name, asked["name"], json.loads(asked["arguments"])) == ("approval", "write", {"text": "it"})
        assert (waiting["state"], waiting["approval"]) == ("waiting", asked)
        wrong = other.post(f"/runs/{run_id}/approve", json={"call_id": "another", "allow": True})
        answer = other.post(f"/runs/{run_id}/approve", json={"call_id": asked["call_id"], "allow": True}).json()
        again = one.post(f"/runs/{run_id}/approve", json={"call_id": asked["call_id"], "allow": True})
        items = one.get("/sessions/s").json()["items"]
        paid = booked(one)
    assert (wrong.status_code, again.status_code) == (404, 409)
    assert answer["response"] == "written [1]"
    assert [call["output"] for call in answer["tool_calls"]] == ["a is a word", "wrote it"]
    assert [one["doc_id"] for one in answer["citations"]] == ["dictionary"]
    assert answer["route"] == ["supervisor", "writer"]
    assert answer["usage"] == {"prompt_tokens": 40, "completion_tokens": 20}
    assert paid == [(2, 40, 20)]
    assert [(one["role"], len(one["tool_calls"])) for one in items] == [("user", 0), ("assistant", 2)]


def test_chat_names_what_it_waits_for_and_the_rest_can_be_streamed(tmp_path: Path) -> None:
    with world(tmp_path, played(to("writer"), *WAITS), team=TEAM) as gateway:
        answer = gateway.client.post("/chat", json={"message": "write"}).json()
        approval = answer["approval"]
        assert (answer["response"], answer["agent_name"], approval["name"]) == ("", "writer", "write")
        assert [one["name"] for one in answer["tool_calls"]] == ["look_up"]
        decision = {"call_id": approval["call_id"], "allow": False}
        told = streamed(gateway.client, f"/runs/{answer['run_id']}/approve/stream", decision)
    assert [name for name, _ in told] == ["agent", "tool_result", "token", "token", "done"]
    assert "not approved" in told[1][1]["output"]
    assert told[-1][1]["response"] == text_of(told) == "written [1]"


def test_a_call_that_waits_is_found_again_by_its_session(tmp_path: Path, database: str) -> None:
    with world(tmp_path, played(to("writer"), *WAITS), database, team=TEAM) as gateway:
        told = gateway.client.post("/chat", json={"message": "write", "session_id": "s"}).json()
        listed, found = (gateway.client.get(path).json() for path in ("/sessions", "/sessions/s"))
        decision = {"call_id": told["approval"]["call_id"], "allow": True}
        gateway.client.post(f"/runs/{told['run_id']}/approve", json=decision)
        after = gateway.client.get("/sessions/s").json()
        assert [one["waiting"] for one in gateway.client.get("/sessions").json()] == [False]
    assert [one["waiting"] for one in listed] == [True]
    assert found["items"] == []
    assert found["waiting"] == {**told, "message": "write", "images": []}
    assert (after["waiting"], len(after["items"])) == (None, 2)


def test_two_calls_that_wait_are_asked_for_one_after_the_other(tmp_path: Path) -> None:
    both = Reply(calls=(("write", '{"text": "a"}'), ("write", '{"text": "b"}')))
    with world(tmp_path, played(to("writer"), LOOK_UP, both, Reply(text="ok")), team=TEAM) as gateway:
        first = gateway.client.post("/chat", json={"message": "write"}).json()
        path = f"/runs/{first['run_id']}/approve"
        allowed = {"call_id": first["approval"]["call_id"], "allow": True}
        second = gateway.client.post(path, json=allowed).json()
        denied = {"call_id": second["approval"]["call_id"], "allow": False}
        last = gateway.client.post(path, json=denied).json()
    assert first["approval"]["call_id"] != second["approval"]["call_id"]
    assert last["response"] == "ok"
    outputs = {call["arguments"]: call["output"] for call in last["tool_calls"] if call["name"] == "write"}
    assert outputs['{"text": "a"}'] == "wrote a"
    assert "wrote" not in outputs['{"text": "b"}']


@pytest.mark.parametrize("how", ["message", "cancel", "delete"])
def test_a_run_that_waits_is_given_up_when_its_user_goes_on(tmp_path: Path, database: str, how: str) -> None:
    with world(tmp_path, played(to("writer"), LOOK_UP, WRITE, echo), database, team=TEAM) as gateway:
        asked = gateway.client.post("/chat", json={"message": "write", "session_id": "s"}).json()["approval"]
        run = f"/runs/{asked['run_id']}"
        if how == "message":
            later = gateway.client.post("/chat", json={"message": "no matter", "session_id": "s"}).json()
            assert later["response"] == "about no matter"
        elif how == "cancel":
            assert gateway.client.post(f"{run}/cancel").json()["state"] == "cancelled"
        else:
            assert gateway.client.delete("/sessions/s").status_code == 204
        late = gateway.client.post(f"{run}/approve", json={"call_id": asked["call_id"], "allow": True})
        assert late.status_code == 409
        ended = gateway.client.get(run).json()
        assert (ended["state"], ended["ended"] is None) == ("cancelled", False)
        if how != "delete":
            items = gateway.client.get("/sessions/s").json()["items"]
            assert "cut off" in items[1]["text"]
            assert [call["name"] for call in items[1]["tool_calls"]] == ["look_up"]
