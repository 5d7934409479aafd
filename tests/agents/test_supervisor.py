"""Who answers: by the calls of a scripted router, and by words where it writes anything else."""

import json
from pathlib import Path
from typing import Any

import pytest
from agent_world import World, world
from conversing import echo, is_router, played, streamed, text_of, to, users
from own_kinds import TEAM
from standins.scripted import Reply

from sparkctl.agent_spec import Agents
from sparkctl.agents.core.fallback import by_words
from sparkctl.agents.core.team import members

PARTS = [{"agent": "librarian", "request": "find a book"}, {"agent": "writer", "request": "note it"}]


def chat(gateway: World, message: str = "anything", **more: Any) -> dict[str, Any]:
    response = gateway.client.post("/chat", json={"message": message, **more})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def split(parts: object) -> Reply:
    return Reply(calls=(("split_request", json.dumps({"parts": parts})),))


def test_what_a_router_writes_beside_its_call_is_not_told(tmp_path: Path) -> None:
    with world(tmp_path, played(to("writer", "I will hand this off."), echo), team=TEAM) as gateway:
        told = streamed(gateway.client, "/chat/stream", {"message": "hello there"})
    assert text_of(told) == told[-1][1]["response"] == "about hello there"
    assert [data["name"] for name, data in told if name == "agent"] == ["supervisor", "writer"]


def test_a_router_that_answers_directly_streams_and_is_the_whole_route(tmp_path: Path) -> None:
    direct = Reply(calls=(("answer_directly", "{}"),))
    with world(tmp_path, played(direct, Reply(text="one two three")), team=TEAM) as gateway:
        told = streamed(gateway.client, "/chat/stream", {"message": "count"})
        asked = gateway.model.bodies
    assert [name for name, _ in told] == ["agent", "token", "token", "token", "done"]
    assert (told[-1][1]["route"], told[-1][1]["agent_name"]) == (["supervisor"], "supervisor")
    assert asked[0]["tool_choice"] == "required"
    assert "tools" not in asked[1]


@pytest.mark.parametrize(
    ("wrote", "agent"),
    [
        (Reply(text="I'll hand off to writer."), "writer"),
        (Reply(text="I cannot choose between librarian and writer."), "librarian"),  # by the words of the message
        (Reply(text="Books are nice."), "librarian"),
        (Reply(), "librarian"),
        (Reply(calls=(("transfer_to_nobody", "{}"),)), "librarian"),
        (Reply(calls=(("split_request", '{"parts": [{"agent": "wri'),)), "librarian"),
        (split([{"agent": "nobody", "request": "a"}, {"agent": "writer", "request": "b"}]), "librarian"),
        (split([]), "librarian"),
        (Reply(status=400), "librarian"),
        (Reply(calls=(("transfer_to_writer", "{not json"),)), "writer"),
        (Reply(calls=(("transfer_to_nobody", "{}"), ("transfer_to_writer", "{}"))), "writer"),
    ],
)
def test_whatever_a_router_writes_somebody_answers(tmp_path: Path, wrote: Reply, agent: str) -> None:
    with world(tmp_path, played(wrote, echo), team=TEAM) as gateway:
        answer = chat(gateway, "a book, please")
    assert answer["route"] == ["supervisor", agent]
    assert answer["response"] == "about a book, please"


def test_a_call_of_nobody_is_asked_again(tmp_path: Path) -> None:
    def router(body: dict[str, Any]) -> Reply:
        return to("writer") if "no valid call" in users(body)[-1] else to("nobody")

    with world(tmp_path, played(router, echo), team=TEAM) as gateway:
        assert chat(gateway, "a book")["route"] == ["supervisor", "writer"]


def test_a_request_of_several_parts_is_answered_by_several_in_turn(tmp_path: Path) -> None:
    with world(tmp_path, played(split(PARTS), echo), team=TEAM) as gateway:
        told = streamed(gateway.client, "/chat/stream", {"message": "find a book and note it", "session_id": "s"})
        last, second = told[-1][1], gateway.model.bodies[-1]
        shown = gateway.client.get("/sessions/s").json()["items"]
    assert last["route"] == ["supervisor", "librarian", "writer"]
    assert last["response"] == text_of(told) == "about find a book\n\nabout note it"
    assert [one["content"] for one in second["messages"][1:]] == ["find a book", "about find a book", "note it"]
    assert [(one["role"], one["text"]) for one in shown] == [
        ("user", "find a book and note it"),
        ("assistant", last["response"]),
    ]


def test_a_router_is_shown_the_conversation_without_its_tool_calls(tmp_path: Path) -> None:
    use = Reply(calls=(("look_up", '{"word": "a"}'),))
    with world(tmp_path, played(to("librarian"), use, Reply(text="done")), team=TEAM) as gateway:
        for message in ("one", "two"):
            chat(gateway, message, session_id="s")
        router = [body for body in gateway.model.bodies if is_router(body)][-1]
    assert [one["role"] for one in router["messages"]] == ["system", "user", "assistant", "user"]


def test_an_agent_that_is_named_is_asked_without_a_router(tmp_path: Path) -> None:
    with world(tmp_path, played(Reply(status=500), echo), team=TEAM) as gateway:
        assert chat(gateway, agent_type="writer")["route"] == ["writer"]
        assert gateway.client.post("/chat", json={"message": "a", "agent_type": "x"}).status_code == 404


def test_fields_of_document_1_that_mean_nothing_here_are_ignored(tmp_path: Path) -> None:
    old: dict[str, Any] = {"stream": False, "enable_consensus": True, "max_decomposition_depth": 3}
    old["context_variables"] = {}
    with world(tmp_path, played(to("writer"), echo), team=TEAM) as gateway:
        answer = chat(gateway, session_id="user123", **old)
    keys = ["response", "agent_name", "session_id", "route", "tool_calls", "citations", "usage", "run_id"]
    assert list(answer) == keys


def test_the_router_without_a_model() -> None:
    team = members(Agents.model_validate({"team": TEAM}))
    for message, agent in {
        "Look up the word": "librarian",
        "WRITE it": "writer",
        "rewrite it": None,
        "hello": None,
        "write about a book": "writer",  # spoken of first
        "a book, look up and write": "librarian",
        "ask the writer to look up a book": "writer",
        "supervisor": None,
    }.items():
        assert by_words(team, message) == agent, message
