"""How answers of OpenAI's shape end: runs that wait or are cancelled, and answers that are mended at their end."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from agent_world import KEY, document_of
from conversing import echo, played, to
from fastapi import FastAPI
from openai import ConflictError, OpenAI
from openai.types.chat import ChatCompletionChunk
from own_kinds import TEAM
from standins.scripted import Reply, Script, Scripted, running, serving
from working import LOOK_UP, SLOW, WRITE, until

from sparkctl.agents.api.app import create_app
from sparkctl.agents.api.completion import Chunks
from sparkctl.agents.core.events import DoneEvent, Event, TokenEvent, ToolResultEvent

PARTS = {"parts": [{"agent": "writer", "request": "a"}, {"agent": "librarian", "request": "b"}]}
SPLIT = Reply(calls=(("split_request", json.dumps(PARTS)),))
ASKED: dict[str, Any] = {"model": "sparkctl/auto", "messages": [{"role": "user", "content": "do it"}]}


@contextmanager
def asking(folder: Path, script: Script) -> Iterator[tuple[OpenAI, Scripted, FastAPI]]:
    """The stock client, which repeats by itself what it is not told to leave; the engine; the gateway."""
    with serving(script) as model:
        app = create_app(document_of(folder, model.url, team=TEAM))
        with running(app) as address, OpenAI(base_url=f"{address}/v1", api_key=KEY) as client:
            yield client, model, app


def streamed(client: OpenAI) -> list[ChatCompletionChunk]:
    """The chunks of an answer, with usage."""
    return list(client.chat.completions.create(**ASKED, stream=True, stream_options={"include_usage": True}))


def content(chunks: list[ChatCompletionChunk]) -> str:
    """The answer, as a client shows it."""
    return "".join(one.choices[0].delta.content or "" for one in chunks if one.choices)


def ours(chunk: ChatCompletionChunk) -> dict[str, Any]:
    """What a chunk has beyond OpenAI's members."""
    found: dict[str, Any] = (chunk.model_extra or {})["sparkctl"]
    return found


def test_an_answer_that_waits_for_a_human_is_not_asked_for_again(tmp_path: Path) -> None:
    with (
        asking(tmp_path, played(to("writer"), LOOK_UP, WRITE)) as (client, model, _),
        pytest.raises(ConflictError, match="waits for approval") as refused,
    ):
        client.chat.completions.create(**ASKED)
    assert refused.value.code == "busy"
    assert len(model.bodies) == 3


def test_a_run_that_was_cancelled_does_not_start_again(tmp_path: Path) -> None:
    with asking(tmp_path, played(to("writer"), SLOW)) as (client, model, app):
        told: list[Exception] = []

        def ask() -> None:
            with pytest.raises(ConflictError) as refused:
                client.chat.completions.create(**ASKED)
            told.append(refused.value)

        thread = threading.Thread(target=ask)
        thread.start()
        until(lambda: model.open_streams)
        (run_id,) = app.state.platform.runs
        client.post(f"{str(client.base_url).removesuffix('/v1/')}/runs/{run_id}/cancel", cast_to=object)
        until(lambda: told or len(model.bodies) > 2)
        for run in [*app.state.platform.runs.values()]:
            run.stop()
        thread.join(30)
    assert len(model.bodies) == 2


def test_a_stream_that_waits_for_a_human_ends_as_others_do(tmp_path: Path) -> None:
    with asking(tmp_path, played(to("writer"), LOOK_UP, WRITE)) as (client, _model, _app):
        *_, waits, last, usage = streamed(client)
    approval = ours(last)["approval"]
    assert (last.choices[0].finish_reason, approval["name"]) == ("stop", "write")
    assert {"agent_name", "route", "citations", "session_id", "run_id"} <= {*ours(last)}
    assert ours(last)["run_id"] == approval["run_id"]
    assert approval["call_id"] in (waits.choices[0].delta.model_extra or {})["reasoning_content"]
    assert usage.choices == [] and usage.usage and usage.usage.prompt_tokens == 30


def test_an_answer_whose_markers_are_mended_is_streamed_once(tmp_path: Path) -> None:
    with asking(tmp_path, played(to("writer"), Reply("It is so [7]."))) as (client, _model, _app):
        *chunks, _usage = streamed(client)
    assert content(chunks) == "It is so [7]."
    assert ours(chunks[-1])["response"] == "It is so."


def test_an_answer_in_parts_with_words_before_a_tool_is_streamed_once(tmp_path: Path) -> None:
    with asking(tmp_path, played(SPLIT, echo, LOOK_UP, Reply("read"))) as (client, _model, _app):
        *chunks, _usage = streamed(client)
    assert content(chunks) == "about a\n\nLooking.read"
    assert ours(chunks[-1])["response"] == "about a\n\nread"


def test_an_answer_that_was_streamed_as_it_is_is_not_repeated_beside_it(tmp_path: Path) -> None:
    with asking(tmp_path, played(to("writer"), Reply("so "))) as (client, _model, _app):
        *chunks, _usage = streamed(client)
    assert content(chunks) == "so "
    assert "response" not in ours(chunks[-1])


def test_an_answer_of_which_nothing_was_streamed_comes_at_the_end() -> None:
    chunks = Chunks("c", "sparkctl/auto")
    happened: list[Event] = [TokenEvent("I look."), ToolResultEvent("1", "look", "seen")]
    for event in happened:
        chunks.of(event)
    done = DoneEvent("seen", "coding", "s", "r")
    (told,), (last,) = chunks.of(done), chunks.last(done, usage=False)
    assert told["choices"][0]["delta"]["content"] == "\n\nseen"
    assert "response" not in last["sparkctl"]
