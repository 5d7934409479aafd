"""Our client against a stand-in that streams as OpenAI's API does: what it asks, counts and times."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from loopback import serving

from sparkctl.bench import load
from sparkctl.bench.results import Load
from sparkctl.bench.serve import await_answer
from sparkctl.errors import UnhealthyError

PAUSE = 0.02


class Api(BaseHTTPRequestHandler):
    """A stand-in: three tokens a word, one each PAUSE; refuses the key `wrong` and every `fails`-th request."""

    def do_GET(self) -> None:
        self._say(200, {"object": "list", "data": [{"id": "tiny", "object": "model", "created": 0, "owned_by": "us"}]})

    def do_POST(self) -> None:
        server: Any = self.server
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with server.lock:
            server.asked.append(asked)
            server.at_once += 1
            server.most = max(server.most, server.at_once)
            fails = bool(server.fails) and len(server.asked) > 1 and len(server.asked) % server.fails == 0
        try:
            if "wrong" in self.headers["Authorization"]:
                self._say(401, {"error": {"message": "no such key"}})
            elif fails:
                self._say(500, {"error": {"message": "engine is dead"}})
            else:
                self._stream(asked)
        finally:
            with server.lock:
                server.at_once -= 1

    def _stream(self, asked: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        usage = {"prompt_tokens": 3 * len(asked["prompt"].split()), "completion_tokens": asked["max_tokens"]}
        for _ in range(asked["max_tokens"]):
            time.sleep(PAUSE)
            self._event({"choices": [{"index": 0, "text": "x", "finish_reason": None}]})
        self._event({"choices": [], "usage": {**usage, "total_tokens": sum(usage.values())}})
        self.wfile.write(b"data: [DONE]\n\n")

    def _event(self, data: dict[str, Any]) -> None:
        base = {"id": "1", "object": "text_completion", "created": 0, "model": "tiny"}
        self.wfile.write(b"data: " + json.dumps({**base, **data}).encode() + b"\n\n")

    def _say(self, status: int, data: dict[str, Any]) -> None:
        body = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Api)
        self.lock = threading.Lock()
        self.asked: list[dict[str, Any]] = []
        self.at_once = self.most = self.fails = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


@pytest.fixture
def server() -> Iterator[Server]:
    api = Server()
    with serving(api):
        yield api


def test_so_many_at_a_time_and_no_more(server: Server) -> None:
    level = load.measure(server.url, "key", "tiny", Load(60, 5, 2), 3)
    learning, warming, *asked = server.asked
    assert (level.concurrency, level.requests, level.failed, len(asked)) == (3, 6, 0, 6)
    assert server.most == 3
    assert {request["max_tokens"] for request in asked} == {5}
    assert all(request["ignore_eos"] and request["temperature"] == 0 and request["stream"] for request in asked)
    assert {len(request["prompt"].split()) for request in asked} == {20}
    assert len({request["prompt"] for request in asked}) == 6
    assert len(learning["prompt"].split()) == len(load.WORDS)
    assert {**warming, "prompt": ""} == {**asked[0], "prompt": ""}
    assert (level.input_tokens, level.output_tokens) == (6 * 60, 6 * 5)


def test_times_are_what_the_server_took(server: Server) -> None:
    level = load.measure(server.url, "key", "tiny", Load(30, 5, 2), 1)
    assert level.ttft.median >= PAUSE * 1000 * 0.9
    assert level.e2e.median >= 5 * PAUSE * 1000 * 0.9
    assert level.e2e.mean == pytest.approx(level.ttft.mean + 4 * level.tpot.mean)
    assert level.itl.mean == pytest.approx(level.tpot.mean)
    assert level.seconds * 1000 >= 2 * level.e2e.mean * 0.9


def test_requests_that_fail_are_counted(server: Server) -> None:
    server.fails = 3
    level = load.measure(server.url, "key", "tiny", Load(30, 2, 3), 2)
    assert (level.requests, level.failed) == (6, 2)


def test_a_server_that_answers_nothing(server: Server) -> None:
    with pytest.raises(UnhealthyError, match="no such key"):
        load.measure(server.url, "wrong", "tiny", Load(30, 2, 1), 1)
    server.fails = 1
    with pytest.raises(UnhealthyError, match=r"none of 2 requests: .*engine is dead"):
        server.asked.clear()
        load.measure(server.url, "key", "tiny", Load(30, 2, 1), 2)


def test_another_model_is_not_measured(server: Server) -> None:
    await_answer(server.url, "key", "tiny")
    with pytest.raises(UnhealthyError, match="tiny is served, not large"):
        await_answer(server.url, "key", "large")
    with pytest.raises(UnhealthyError, match="does not answer"):
        await_answer("http://127.0.0.1:9/v1", "key", "tiny")
