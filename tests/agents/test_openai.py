"""OpenAI's API over the agents: with the stock client, with Open WebUI's requests, and with bad ones."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from agent_world import KEY, World, document_of, world
from openai import APIError, BadRequestError, NotFoundError, OpenAI
from openai.types.chat import ChatCompletionMessageParam
from pydantic import BaseModel
from standins.scripted import MODEL, Reply, in_turn, routed, running, serving

from sparkctl.agents.api.app import create_app
from sparkctl.agents.api.completion import Chunks
from sparkctl.agents.core.events import ApprovalEvent, DoneEvent, Event, TokenEvent, ToolCallEvent, ToolResultEvent

DOT = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJg"
    "gg=="
)
"""One pixel."""
CODING: list[ChatCompletionMessageParam] = [{"role": "user", "content": "coding, please: a loop"}]

TOLD = {"role": "tool", "tool_call_id": "c1", "content": "seen"}


def user(text: str) -> dict[str, Any]:
    """A message."""
    return {"role": "user", "content": text}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenAI]:
    """The stock client on a gateway's real socket."""
    with (
        serving(routed) as model,
        running(create_app(document_of(tmp_path_factory.mktemp("gateway"), model.url))) as address,
        OpenAI(base_url=f"{address}/v1", api_key=KEY, max_retries=0) as made,
    ):
        yield made


def extra(answered: BaseModel) -> dict[str, Any]:
    """What an answer has beyond OpenAI's members."""
    return answered.model_extra or {}


def test_the_team_is_listed_beside_the_raw_models(client: OpenAI) -> None:
    ids = [one.id for one in client.models.list()]
    assert ids == ["sparkctl/auto", "sparkctl/supervisor", "sparkctl/rag", "sparkctl/coding", MODEL]
    assert client.models.retrieve("sparkctl/coding").owned_by == "sparkctl"
    with pytest.raises(NotFoundError):
        client.models.retrieve("sparkctl/nobody")


def test_auto_is_routed(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="sparkctl/auto", messages=CODING)
    message = answer.choices[0].message
    assert message.content == "scripted answer to: coding, please: a loop"
    assert "[supervisor]" in extra(message)["reasoning_content"]
    assert "[coding]" in extra(message)["reasoning_content"]
    assert answer.choices[0].finish_reason == "stop"
    assert (
        answer.usage and answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0
    )
    assert extra(answer)["sparkctl"]["route"] == ["supervisor", "coding"]


def test_an_agent_is_asked_by_its_name(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="sparkctl/coding", messages=[{"role": "user", "content": "rag"}])
    assert extra(answer)["sparkctl"]["route"] == ["coding"]


def test_a_stream_says_what_the_whole_answer_says(client: OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model="sparkctl/auto", messages=CODING, stream=True, stream_options={"include_usage": True}
        )
    )
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    reasoning = "".join(extra(delta).get("reasoning_content", "") for delta in deltas)
    assert "".join(delta.content or "" for delta in deltas) == "scripted answer to: coding, please: a loop"
    assert reasoning.index("[supervisor]") < reasoning.index("[coding]")
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].choices == [] and chunks[-1].usage and chunks[-1].usage.prompt_tokens > 0
    assert len({chunk.id for chunk in chunks}) == 1


def test_without_being_asked_for_no_usage_is_streamed(client: OpenAI) -> None:
    chunks = client.chat.completions.create(model="sparkctl/coding", messages=CODING, stream=True)
    assert all(chunk.choices for chunk in chunks)


def test_raw_models_answer_the_same_client(client: OpenAI) -> None:
    answer = client.chat.completions.create(model=MODEL, messages=CODING)
    assert answer.choices[0].message.content == "scripted answer to: coding, please: a loop"
    assert (
        "".join(
            chunk.choices[0].delta.content or ""
            for chunk in client.chat.completions.create(model="main", messages=CODING, stream=True)
        )
        == answer.choices[0].message.content
    )
    assert len(client.embeddings.create(model=MODEL, input="text").data[0].embedding) == 64


def test_without_a_session_the_clients_history_is_read_and_nothing_is_kept(gateway: World) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    history = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "yes?", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "seen"},
        {"role": "user", "content": [{"type": "text", "text": "second"}]},
    ]
    gateway.client.post("/v1/chat/completions", json={"model": "sparkctl/coding", "messages": history})
    sent = gateway.model.bodies[-1]["messages"]
    said = [(one["role"], one.get("content")) for one in sent]
    assert said[0][0] == "system" and str(said[0][1]).endswith("\n\nbe brief")
    assert said[1:] == [
        ("user", "first"),
        ("assistant", "yes?"),
        ("assistant", None),
        ("tool", "seen"),
        ("user", "second"),
    ]
    with sqlite3.connect(Path(gateway.document.where.data, "platform.sqlite")) as database:
        assert database.execute("SELECT count(*) FROM items").fetchone() == (0,)


def test_text_from_outside_is_known_again_in_a_clients_history(tmp_path: Path, database: str) -> None:
    find, write = Reply(calls=(("look_up", '{"word": "a"}'),)), Reply(calls=(("write", '{"text": "it"}'),))
    replies: list[Reply] = []
    team = {"writer": {"kind": "own_kinds:WRITER"}}
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}

    def script(_body: dict[str, Any]) -> Reply:
        return replies.pop(0) if replies else Reply("done")

    with world(tmp_path, script, database, team=team, entry="writer") as made:

        def ask(*messages: dict[str, Any], reply: Reply = write) -> Any:
            replies[:] = [reply]
            return made.client.post("/v1/chat/completions", json={"model": "sparkctl/auto", "messages": messages})

        first, answer, then = (
            user("look it up"),
            {"role": "assistant", "content": "as the client likes"},
            user("write"),
        )
        assert ask(first, reply=find).status_code == 200
        asked = ask(first, answer, then)
        outputs = ask(user("x"), {"role": "assistant", "tool_calls": [call]}, TOLD, then)
        cut = ask(answer, first, answer, user("and?"), answer, then)
        other = ask(user("hello"), answer, then)
        assert ask(user("hi"), answer, user("look again"), reply=find).status_code == 200
        trimmed = ask(user("look again"), answer, then)  # what stood before it is forgotten
        elsewhere = ask(user("hello"), answer, user("look again"), answer, then)
    assert (trimmed.status_code, elsewhere.status_code) == (409, 200)
    assert (asked.status_code, outputs.status_code, cut.status_code) == (409, 409, 409)
    assert 'write({"text": "it"}) waits for approval: POST /runs/' in asked.json()["error"]["message"]
    assert (other.status_code, other.json()["choices"][0]["message"]["content"]) == (200, "done")


def test_with_a_session_the_newest_message_counts_and_the_rest_is_remembered(gateway: World) -> None:
    for text in ("first", "second"):
        messages = [{"role": "user", "content": "forged"}, {"role": "user", "content": text}]
        answer = gateway.client.post(
            "/v1/chat/completions",
            json={"model": "sparkctl/coding", "messages": messages},
            headers={"X-Session-Id": "mine"},
        ).json()
    sent = [one["content"] for one in gateway.model.bodies[-1]["messages"] if one["role"] == "user"]
    assert sent == ["first", "second"]
    assert answer["sparkctl"]["session_id"] == "mine"


def test_a_picture_becomes_an_upload(gateway: World) -> None:
    parts = [{"type": "text", "text": "what is it"}, {"type": "image_url", "image_url": {"url": DOT}}]
    body = {"model": "sparkctl/coding", "messages": [{"role": "user", "content": parts}]}
    assert gateway.client.post("/v1/chat/completions", json=body).status_code == 200
    uploads = Path(gateway.document.where.data, "uploads")
    assert len(list(uploads.iterdir())) == 1


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"messages": []}, 422),
        ({"messages": [{"role": "assistant", "content": "x"}]}, 400),
        ({"messages": [{"role": "robot", "content": "x"}]}, 422),
        ({"messages": "x"}, 422),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, 400),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://a/b"}}]}]},
            400,
        ),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:x"}}]}]}, 400),
        ({"messages": [{"role": "user", "content": ""}]}, 400),
        ({"messages": [{"role": "user", "content": "a\0b"}]}, 422),
        ({"n": 2}, 422),
        ({"tools": [{"type": "function"}]}, 422),
        ({"stream": "perhaps"}, 422),
        ({"model": "sparkctl/nobody"}, 404),
        ({"model": "sparkctl/"}, 404),
    ],
)
def test_a_bad_request_is_refused_in_openais_shape(gateway: World, change: dict[str, Any], status: int) -> None:
    body = {"model": "sparkctl/coding", "messages": CODING, "stream": True} | change
    answer = gateway.client.post("/v1/chat/completions", json=body)
    assert answer.status_code == status, answer.text
    assert {"message", "type", "code", "param", "request_id"} == {*answer.json()["error"]}
    assert not gateway.model.bodies


def test_agents_answer_chat_alone(client: OpenAI) -> None:
    with pytest.raises(BadRequestError, match="chat/completions"):
        client.embeddings.create(model="sparkctl/auto", input="x")


def test_an_engine_that_fails_is_an_error_of_the_stream(tmp_path: Path) -> None:
    with (
        serving(in_turn(Reply(status=500))) as model,
        running(create_app(document_of(tmp_path, model.url))) as address,
        OpenAI(base_url=f"{address}/v1", api_key=KEY, max_retries=0) as client,
    ):
        with pytest.raises(APIError) as streamed:
            list(client.chat.completions.create(model="sparkctl/coding", messages=CODING, stream=True))
        with pytest.raises(APIError) as at_once:
            client.chat.completions.create(model="sparkctl/coding", messages=CODING)
    assert streamed.value.code == at_once.value.code == "engine_failed"


@pytest.mark.parametrize("model", ["sparkctl/auto", MODEL])
def test_open_webui_is_answered(gateway: World, model: str) -> None:
    """What Open WebUI 0.6 sends: the list of models, a chat with members of its own, and a request for a title."""
    assert model in [one["id"] for one in gateway.client.get("/v1/models").json()["data"]]
    chat = {
        "model": model,
        "stream": True,
        "stream_options": {"include_usage": True},
        "messages": [{"role": "system", "content": "User Context"}, *CODING],
        "params": {},
        "tool_servers": [],
        "features": {"image_generation": False, "code_interpreter": False, "web_search": False, "memory": False},
        "variables": {"{{USER_NAME}}": "Ada"},
        "metadata": {"chat_id": "c", "session_id": "s"},
        "background_tasks": {"title_generation": True, "tags_generation": True},
        "session_id": "s",
        "chat_id": "c",
        "id": "m",
    }
    streamed = gateway.client.post("/v1/chat/completions", json=chat, headers={"X-OpenWebUI-User-Id": "u"})
    lines = [line.removeprefix("data: ") for line in streamed.text.split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    assert "usage" in json.loads(lines[-2])
    title = "### Task:\nGenerate a concise, 3-5 word title with an emoji summarizing the chat history.\n"
    asked = {
        "model": model,
        "messages": [{"role": "user", "content": title}],
        "stream": False,
        "max_completion_tokens": 1000,
    }
    assert gateway.client.post("/v1/chat/completions", json=asked).json()["choices"][0]["message"]["content"]


def test_what_tools_do_is_told_as_reasoning() -> None:
    chunks = Chunks("c", "sparkctl/auto")
    happened: list[Event] = [
        ToolCallEvent("1", "execute_code", "x" * 1000),
        ToolResultEvent("1", "execute_code", "42"),
        ApprovalEvent("r", "2", "write_file", "{}"),
    ]
    told = [chunk["choices"][0]["delta"]["reasoning_content"] for event in happened for chunk in chunks.of(event)]
    assert told == [
        f"execute_code({'x' * 400}...)\n",
        "= 42\n",
        'write_file({}) waits for approval: POST /runs/r/approve {"call_id": "2", "allow": true}\n',
    ]


@pytest.mark.parametrize(
    ("tokens", "response", "content"),
    [
        (["a", "b"], "ab", "ab"),
        ([], "direct", "direct"),
        (["a"], "ab", "ab"),
        (["before the handoff. ", "ab"], "ab", "before the handoff. ab"),
        (["one"], "other", "one"),
    ],
)
def test_a_stream_holds_the_whole_answer(tokens: list[str], response: str, content: str) -> None:
    chunks = Chunks("c", "sparkctl/auto")
    happened: list[Event] = [*map(TokenEvent, tokens), DoneEvent(response, "coding", "s", "r")]
    deltas = [chunk["choices"][0]["delta"] for event in happened for chunk in chunks.of(event)]
    assert "".join(delta.get("content", "") for delta in deltas) == content
