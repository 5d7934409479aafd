"""What asks an Ollama on a node, put to the stand-in for it, and to answers that are none of Ollama's."""

import importlib.util
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from loopback import serving

from sparkctl.facts.ollama import full_name
from sparkctl.node import ollama_client

HERE = ("127.0.0.1", 0)
STANDIN = Path(__file__).parent.parent / "standins/standin.py"


class Odd(BaseHTTPRequestHandler):
    """Answers every request with the same status and text."""

    status, text = 200, ""

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(self.text.encode())

    do_POST = do_GET

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def ollama(tmp_path: Path) -> Iterator[int]:
    spec = importlib.util.spec_from_file_location("standin", STANDIN)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    own = {"store": tmp_path / "models.json", "loaded": {}, "log_message": Odd.log_message}
    with serving(ThreadingHTTPServer(HERE, type("Fresh", (module.Ollama,), own))) as port:
        yield port


def tell(port: int, verb: str, capsys: pytest.CaptureFixture[str], **job: Any) -> tuple[int, list[dict[str, Any]]]:
    """The status, and the news."""
    words = {"port": port, "model": "tiny:1b", "name": "tiny", "context": 512, **job}
    capsys.readouterr()
    status = ollama_client.main([verb, json.dumps(words)])
    return status, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_model_is_pulled_shaped_loaded_and_unloaded(ollama: int, capsys: pytest.CaptureFixture[str]) -> None:
    status, news = tell(ollama, "pull", capsys)
    assert (status, news[-2]) == (0, {"done": 100, "total": 100})
    for verb in ("shape", "load"):
        assert tell(ollama, verb, capsys)[0] == 0
    found = ollama_client.look(ollama, "tiny")
    assert set(found["pulled"]) == {"tiny:1b", full_name("tiny")}
    assert set(found["loaded"]) == {"tiny:latest"}
    assert found["parameters"].split() == ["num_ctx", "512"]
    assert tell(ollama, "unload", capsys)[0] == 0
    assert ollama_client.look(ollama, "tiny")["loaded"] == {}


def test_what_ollama_refuses_is_said_in_its_words(ollama: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert tell(ollama, "shape", capsys) == (1, [{"error": "model 'tiny:1b' not found"}])
    status, news = tell(ollama, "pull", capsys, model="absent:1b")
    assert (status, news[-1]) == (1, {"error": "pull model manifest: file does not exist"})


@pytest.mark.parametrize(
    ("status", "text", "words"),
    [
        (404, "404 page not found", "404: 404 page not found"),
        (502, "<html>\n<body>Bad Gateway", "502: <html>"),
        (500, '["no"]', '500: ["no"]'),
        (200, "<html>", "Ollama does not answer: Expecting value"),
        (200, "[1]", "Ollama does not answer: [1]"),
    ],
)
def test_an_answer_of_somebody_else_is_no_traceback(
    status: int, text: str, words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ollama_client, "wait", lambda _port: None)
    with serving(ThreadingHTTPServer(HERE, type("This", (Odd,), {"status": status, "text": text}))) as port:
        code, (news,) = tell(port, "load", capsys)
        assert code == 1
        assert news["error"].startswith(words)
        assert ollama_client.main(["look", str(port), "tiny"]) == 1
