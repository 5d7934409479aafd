"""Raw models: what reaches the engine, what comes back, and what happens when either side leaves."""

import json
import re
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from agent_world import KEY, World, document_of, world
from fastapi.testclient import TestClient
from passing import HELLO
from standins.scripted import MODEL, Reply, Script, Scripted, in_turn, running, serving

from sparkctl.agent_spec import AgentsDocument
from sparkctl.agents.api.app import create_app

OWNER = {"Authorization": f"Bearer {KEY}"}


@contextmanager
def listening(folder: Path, script: Script) -> Iterator[tuple[str, Scripted]]:
    """A gateway on a real socket, and its engine."""
    with serving(script) as model, running(create_app(document_of(folder, model.url))) as address:
        yield address, model


def events(body: bytes) -> list[str]:
    """The data of the events of a stream."""
    return [line.removeprefix("data: ") for line in body.decode().split("\n") if line.startswith("data: ")]


def test_the_engine_gets_the_body_as_it_came(gateway: World) -> None:
    body = {**HELLO, "logprobs": True, "tools": [], "chat_template_kwargs": {"enable_thinking": False}, "x": [1.50]}
    answer = gateway.client.post("/v1/chat/completions", json=body).json()
    assert gateway.model.bodies[-1] == body
    assert answer["choices"][0]["message"]["content"] == "scripted answer to: hello"
    assert answer["usage"] == {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


def test_the_name_of_the_profile_becomes_the_engines(gateway: World) -> None:
    gateway.client.post("/v1/chat/completions", json={**HELLO, "model": "main"})
    assert gateway.model.bodies[-1] == HELLO


def test_a_stream_passes_as_it_is(tmp_path: Path) -> None:
    with listening(tmp_path, in_turn(Reply("one two three"))) as (address, model):
        body = json.dumps({**HELLO, "stream": True, "stream_options": {"include_usage": True}})
        direct = httpx2.post(f"{model.url}/chat/completions", content=body, timeout=60)
        passed = httpx2.post(f"{address}/v1/chat/completions", content=body, headers=OWNER, timeout=60)
    assert passed.headers["content-type"] == direct.headers["content-type"]
    without_time = [
        [{**json.loads(one), "created": 0} for one in events(each.content)[:-1]] for each in (direct, passed)
    ]
    assert without_time[0] == without_time[1]
    assert passed.content.endswith(b"data: [DONE]\n\n")


def test_embeddings_come_from_the_engine(gateway: World) -> None:
    answer = gateway.client.post("/v1/embeddings", json={"model": "main", "input": ["a", "b"]}).json()
    assert len(answer["data"]) == 2


def test_what_the_engine_does_not_have_is_its_own_404(gateway: World) -> None:
    answer = gateway.client.post("/v1/responses", json={"model": MODEL, "input": "x"})
    assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"})


def test_the_engines_error_is_passed(tmp_path: Path) -> None:
    with world(tmp_path, in_turn(Reply(status=429))) as made:
        answer = made.client.post("/v1/chat/completions", json=HELLO)
    assert answer.status_code == 429
    assert answer.json()["error"]["message"] == "scripted fault"


def test_an_engine_that_refuses_our_key_is_not_the_clients_fault(tmp_path: Path) -> None:
    with world(tmp_path, in_turn(Reply(status=401))) as made:
        answer = made.client.post("/v1/chat/completions", json=HELLO)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "engine_failed")


def test_an_engine_that_is_away_is_502(tmp_path: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with _before(tmp_path, nobody.getsockname()[1]) as client:
            answer = client.post("/v1/chat/completions", json=HELLO)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["type"]) == (502, "engine_failed", "server_error")


def test_a_stream_whose_engine_dies_ends_in_an_error(tmp_path: Path) -> None:
    with listening(tmp_path, in_turn(Reply("one two three", dies_after=2))) as (address, _model):
        body = {**HELLO, "stream": True}
        answer = httpx2.post(f"{address}/v1/chat/completions", json=body, headers=OWNER, timeout=60)
    told = [json.loads(one) for one in events(answer.content)]
    assert [one["choices"][0]["delta"]["content"] for one in told[:-1]] == ["one ", "two "]
    assert told[-1]["error"]["code"] == "engine_failed"


@pytest.mark.parametrize("delay", [0.05, 60])
def test_a_client_that_leaves_ends_the_engines_stream(tmp_path: Path, delay: float) -> None:
    body = {**HELLO, "stream": True}
    with listening(tmp_path, in_turn(Reply("word " * 1000, delay=delay))) as (address, model):
        with httpx2.stream("POST", f"{address}/v1/chat/completions", json=body, headers=OWNER, timeout=60):
            assert _within(60, lambda: model.open_streams == 1)
        assert _within(60, lambda: model.open_streams == 0)


def test_the_clients_key_does_not_reach_the_engine_and_ours_does(tmp_path: Path) -> None:
    heard: list[bytes] = []
    with _ear(heard) as port, _before(tmp_path, port) as client:
        headers = {"Cookie": "a=b", "X-Forwarded-For": "192.0.2.1", "Traceparent": "00-1-2-01"}
        answer = client.post("/v1/chat/completions", json=HELLO, headers=headers)
    assert answer.json() == {}
    assert "set-cookie" not in answer.headers
    head = heard[0].split(b"\r\n\r\n")[0].lower()
    assert b"authorization: bearer none\r\n" in head
    assert b"traceparent: 00-1-2-01" in head
    assert KEY.encode() not in head
    assert not any(word in head for word in (b"cookie", b"forwarded", b"testserver"))


def test_no_two_requests_have_the_same_id_at_the_engine(tmp_path: Path) -> None:
    found = []
    for shown in ("mine", "mine", "no id: é"):
        heard: list[bytes] = []
        with _ear(heard) as port, _before(tmp_path, port) as client:
            client.post("/v1/chat/completions", json=HELLO, headers={b"X-Request-Id": shown.encode()})
        lines = [line for line in heard[0].decode().split("\r\n") if line.lower().startswith("x-request-id: ")]
        assert len(lines) == 1
        found.append(lines[0].partition(": ")[2])
    assert len(set(found)) == 3
    assert [one.startswith("mine-") for one in found] == [True, True, False]
    assert all(re.fullmatch(r"[A-Za-z0-9-]{1,80}", one) for one in found)


@pytest.mark.parametrize("stream", [True, False])
def test_the_tokens_of_an_answer_are_counted(tmp_path: Path, stream: bool) -> None:
    with world(tmp_path, in_turn(Reply("one two", tokens=(100, 20)))) as made:
        options = {"stream_options": {"include_usage": True}} if stream else {}
        made.client.post("/v1/chat/completions", json={**HELLO, "stream": stream, **options})
        assert _spent(made) == (100, 20)


def test_a_stream_without_usage_counts_its_events(tmp_path: Path) -> None:
    body = json.dumps({**HELLO, "stream": True}).encode()
    with world(tmp_path, in_turn(Reply("one two three"))) as made:
        made.client.post("/v1/chat/completions", content=body)
        assert _spent(made) == (len(body) // 3, 5)  # three words, the finish, [DONE]


def test_a_request_that_is_left_before_its_answer_counts_what_it_asked(tmp_path: Path) -> None:
    body = json.dumps(HELLO).encode()
    with socket.create_server(("127.0.0.1", 0)) as engine:
        engine.settimeout(30)
        document = document_of(tmp_path, f"http://127.0.0.1:{engine.getsockname()[1]}/v1")
        with running(create_app(document)) as address:
            place = urlsplit(address)
            with socket.create_connection((str(place.hostname), int(place.port or 0))) as client:
                head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
                client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
                asked, _ = engine.accept()
            with asked:
                assert _within(30, lambda: _rows(document) == [(len(body) // 3, 0)])


def test_a_request_whose_engine_never_answers_counts_nothing(tmp_path: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with _before(tmp_path, nobody.getsockname()[1]) as client:
            client.post("/v1/chat/completions", json=HELLO)
            assert _rows(client.app.state.platform.document) == []  # type: ignore[attr-defined]


@contextmanager
def _before(folder: Path, port: int) -> Iterator[TestClient]:
    """A gateway whose engine is whatever has that port."""
    app = create_app(document_of(folder, f"http://127.0.0.1:{port}/v1"))
    with TestClient(app, headers=OWNER, raise_server_exceptions=False) as client:
        yield client


@contextmanager
def _ear(heard: list[bytes]) -> Iterator[int]:
    """A port on which one request is heard and answered with an empty object."""

    def listen() -> None:
        connection, _ = server.accept()
        with connection, connection.makefile("rb") as request:
            head = b"".join(iter(request.readline, b"\r\n"))
            length = re.search(rb"(?i)content-length: (\d+)", head)
            heard.append(head + b"\r\n" + request.read(int(length[1]) if length else 0))
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: a=b\r\n\r\n{}")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=listen)
        thread.start()
        yield server.getsockname()[1]
        thread.join(10)


def _within(seconds: float, true: Callable[[], bool]) -> bool:
    """Whether that becomes true in time."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def _spent(made: World) -> tuple[int, int]:
    """What the database says of today's tokens."""
    (row,) = _rows(made.document)
    return row


def _rows(document: AgentsDocument) -> list[tuple[int, int]]:
    """The tokens read and written of each user's day."""
    with sqlite3.connect(Path(document.where.data, "platform.sqlite")) as database:
        return database.execute("SELECT prompt_tokens, completion_tokens FROM spent").fetchall()
