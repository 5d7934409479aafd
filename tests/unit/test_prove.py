"""The proofs against a server of their own on the loopback, beside a laptop's proxy that leads nowhere."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import docker
import pytest
from cli_fakes import FakeLog, cluster_of
from loopback import serving
from stack import config_of

from sparkctl.config.profile import Engine
from sparkctl.errors import SparkctlError
from sparkctl.prove import Proof, prove, read_key
from sparkctl.transport.memory import MemoryHost

KEY = "sk-right"
WORDS = ("Hello", ", ", "Sparks")


class Api(BaseHTTPRequestHandler):
    """An OpenAI server of which `open_doors` need no key, nor does a Host that is read as a part of the path."""

    open_doors: tuple[str, ...] = ()
    says = "content"
    health = 200
    silent: threading.Event | None = None

    def do_GET(self) -> None:
        if self.path == "/health" and self.headers["Host"] != "a/?":
            if self.health:
                self._end(self.health)
            return
        fooled = "/" in self.headers["Host"] and "host" in self.open_doors
        self._end(200 if fooled or self.path in self.open_doors else 401)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.silent:
            self.silent.wait(20)
            return
        if self.headers["Authorization"] != f"Bearer {KEY}":
            self._end(401)
            return
        chunks = [{"choices": [{"index": 0, "delta": {self.says: word}}]} for word in WORDS]
        chunks += [{"choices": [{"index": 0, "finish_reason": "stop"}]}]  # some leave the delta out
        text = "".join(f"data: {json.dumps({'id': '1', 'object': 'chat.completion.chunk', **c})}\n\n" for c in chunks)
        self._end(200, f"{text}data: [DONE]\n\n".encode(), "text/event-stream")

    def log_message(self, format: str, *args: object) -> None:
        """Nothing to print."""

    def _end(self, status: int, body: bytes = b"{}", kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@dataclass(frozen=True)
class Running:
    """As much of a Docker client as is asked: the containers that run."""

    names: tuple[str, ...] = ("vllm",)

    @property
    def containers(self) -> "Running":
        return self

    def list(self, *, ignore_removed: bool = False) -> list[FakeLog]:
        if not ignore_removed:
            raise docker.errors.NotFound("a container has ended meanwhile")
        return [FakeLog(name) for name in self.names]


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("FreshApi", (Api,), {}))
    with serving(server):
        yield server


def proofs(api: ThreadingHTTPServer, key: str, *names: str, **changes: Any) -> dict[str, Proof]:
    config = config_of(cluster_of(1))
    head = config.cluster.head
    served = replace(config.served[0], **changes)
    place = (served.cluster.api_ip, served.ports.api)
    host = MemoryHost(head, engine=Running(names or ("vllm",)), ports={place: api.server_port})  # type: ignore[arg-type]
    return {proof.name: proof for proof in prove(served, {head.name: host}, key)}


def test_a_proxy_is_not_asked_for_our_own_tunnel(api: ThreadingHTTPServer) -> None:
    found = proofs(api, KEY)
    assert (found["key"].passed, found["key"].shows) == (True, "without the key: 401")
    assert found["token"].passed, found["token"].shows
    assert found["token"].shows.startswith("3 tokens, the first after")
    assert found["token"].shows.endswith("'Hello, Sparks'")


def test_a_model_that_reasons_first_answers_too(api: ThreadingHTTPServer) -> None:
    api.RequestHandlerClass.says = "reasoning_content"  # type: ignore[attr-defined]
    assert proofs(api, KEY)["token"].shows.endswith("'Hello, Sparks'")


def test_a_wrong_key_and_an_open_door_are_failures(api: ThreadingHTTPServer) -> None:
    api.RequestHandlerClass.open_doors = ("/invocations",)  # type: ignore[attr-defined]
    found = proofs(api, "sk-wrong")
    assert (found["key"].passed, found["key"].shows) == (False, "without the key: /invocations answers 200")
    assert not found["token"].passed
    assert found["token"].fix == "sparkctl logs vllm"


def test_a_key_that_a_host_of_ours_gets_round_is_a_failure(api: ThreadingHTTPServer) -> None:
    api.RequestHandlerClass.open_doors = ("host",)  # type: ignore[attr-defined]
    assert proofs(api, KEY)["key"].shows == "without the key: /v1/models as Host a/? answers 200"


def test_what_does_not_run_is_not_deployed(api: ThreadingHTTPServer) -> None:
    (found,) = proofs(api, KEY, "ray-head").values()
    assert (found.name, found.passed, found.fix) == ("deployed", False, "sparkctl up")
    assert found.shows == "no container of the API runs on spark-1: not deployed, or stopped"


def test_a_role_and_another_engine_have_a_next_step_of_their_own(api: ThreadingHTTPServer) -> None:
    """`up` starts no role, and there is no container of vLLM."""
    role = {"name": "dev", "on_demand": True, "engine": Engine(name="sglang")}
    (stopped,) = proofs(api, KEY, "vllm", **role).values()
    assert stopped.fix == "sparkctl role launch dev"
    assert proofs(api, "sk-wrong", "sglang-dev", **role)["token-dev"].fix == "sparkctl logs sglang-dev"


@pytest.mark.parametrize(("status", "words"), [(0, "the API does not answer yet"), (503, "/health answers 503")])
def test_an_engine_that_does_not_answer_is_asked_for_nothing_more(
    status: int, words: str, api: ThreadingHTTPServer
) -> None:
    api.RequestHandlerClass.health = status  # type: ignore[attr-defined]
    (found,) = proofs(api, KEY).values()
    assert (found.name, found.passed, found.fix) == ("health", False, "sparkctl logs vllm")
    assert words in found.shows


def test_a_request_that_hangs_is_said_to(api: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sparkctl.prove.TOKEN_SECONDS", 0.3)
    api.RequestHandlerClass.silent = threading.Event()  # type: ignore[attr-defined]
    found = proofs(api, KEY)["token"]
    api.RequestHandlerClass.silent.set()  # type: ignore[attr-defined]
    assert (found.passed, found.shows) == (False, "no token within 0 s: the request hangs")


def test_no_key_on_the_head() -> None:
    config = config_of(cluster_of(1))
    head = config.cluster.head
    host = MemoryHost(head)
    host.reply(["cat"], "\n")
    with pytest.raises(SparkctlError) as caught:
        read_key(config, {head.name: host})
    assert caught.value.fix == "deploy first: sparkctl up"
