"""The proofs against a server of their own on the loopback, beside a laptop's proxy that leads nowhere."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from cli_fakes import cluster_of
from stack import config_of

from sparkctl.errors import SparkctlError
from sparkctl.prove import Proof, prove, read_key
from sparkctl.transport.memory import MemoryHost

KEY = "sk-right"
WORDS = ("Hello", ", ", "Sparks")


class Api(BaseHTTPRequestHandler):
    """An OpenAI server of which `open_doors` need no key, nor does a Host that is read as a part of the path."""

    open_doors: tuple[str, ...] = ()
    says = "content"

    def do_GET(self) -> None:
        fooled = "/" in self.headers["Host"] and "host" in self.open_doors
        self._end(200 if fooled or self.path in self.open_doors else 401)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Authorization"] != f"Bearer {KEY}":
            self._end(401)
            return
        chunks = [{"choices": [{"index": 0, "delta": {self.says: word}}]} for word in WORDS]
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


class NoContainers:
    """As much of a Docker client as is asked: it runs nothing."""

    @property
    def containers(self) -> "NoContainers":
        return self

    def list(self) -> list[object]:
        return []


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("FreshApi", (Api,), {}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def proofs(api: ThreadingHTTPServer, key: str) -> dict[str, Proof]:
    config = config_of(cluster_of(1))
    head = config.cluster.head
    place = (config.cluster.api_ip, config.profile.ports.api)
    host = MemoryHost(head, engine=NoContainers(), ports={place: api.server_port})  # type: ignore[arg-type]
    return {proof.name: proof for proof in prove(config, {head.name: host}, key)}


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


def test_no_key_on_the_head() -> None:
    config = config_of(cluster_of(1))
    head = config.cluster.head
    host = MemoryHost(head)
    host.reply(["cat"], "\n")
    with pytest.raises(SparkctlError) as caught:
        read_key(config, {head.name: host})
    assert caught.value.fix == "deploy first: sparkctl up"
