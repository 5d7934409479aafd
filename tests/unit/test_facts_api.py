"""The look at an engine's API, put to a server on this machine: whatever its names are, the other probes answer."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from test_facts_scripts import ask

from sparkctl.facts.engine import api_probe
from sparkctl.facts.probe import Probe

LATER = Probe("later", "echo here", lambda answer: answer.stdout)
KEY = 'it\'s a "key" $HOME'


class Server(BaseHTTPRequestHandler):
    """A stand-in that streams one token to whoever shows the key, and keeps what it was asked."""

    seen: dict[str, Any]

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/well" else 404)
        self.end_headers()

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.seen |= {"asked": asked, "key": self.headers["Authorization"]}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'data: {"choices": [{"text": "1"}]}\n\ndata: [DONE]\n\n')

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    Server.seen = {}
    with HTTPServer(("127.0.0.1", 0), Server) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()


@pytest.mark.parametrize("model", ["tiny", "it's", "a b; exit 3", '"', "$(touch /tmp/no)`"])
def test_any_served_name_is_asked_for(server: HTTPServer, tmp_path: Path, model: str) -> None:
    file = tmp_path / "it's $1" / "api-key"
    file.parent.mkdir()
    file.write_text(KEY)
    probe = api_probe("127.0.0.1", server.server_port, model, str(file), health="/well")
    facts = ask(probe, LATER)
    assert facts.get("here", probe).serving
    assert facts.get("here", LATER).strip() == "here"
    assert (Server.seen["asked"]["model"], Server.seen["key"]) == (model, f"Bearer {KEY}")


def test_an_engine_without_a_key_is_shown_none(server: HTTPServer) -> None:
    probe = api_probe("127.0.0.1", server.server_port, "tiny", "", health="/well")
    assert ask(probe).get("here", probe).serving
    assert Server.seen["key"] is None


def test_two_engines_of_a_node_are_two_probes() -> None:
    one, other = (api_probe("10.0.0.1", port, "m", "/key") for port in (8000, 8001))
    assert one.name != other.name
