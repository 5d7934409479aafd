"""The very scripts by which a role sleeps and wakes, put to a stand-in for vLLM on this machine."""

import json
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from loopback import serving
from test_facts_scripts import ask

from sparkctl.core.step import Absent, Ok, Pending
from sparkctl.steps.sleep import SleepStep
from sparkctl.topology import Cluster, Node, Role


class Sleeper(BaseHTTPRequestHandler):
    """A stand-in that speaks the three routes of vLLM's sleep mode to whoever shows the key."""

    asleep = False
    seen: list[str]

    def do_GET(self) -> None:
        self.answer({"is_sleeping": type(self).asleep})

    def do_POST(self) -> None:
        self.seen.append(self.path)
        type(self).asleep = self.path.startswith("/sleep")
        self.answer({"status": "fine"})

    def answer(self, data: object) -> None:
        self.send_response(200 if self.headers["Authorization"] == "Bearer s3cret" else 401)
        self.end_headers()
        self.wfile.write(json.dumps(data).encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def sleeper() -> Iterator[int]:
    Sleeper.seen, Sleeper.asleep = [], False
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Sleeper)) as port:
        yield port


def test_sleep_and_wake_speak_vllm_s_protocol(sleeper: int, tmp_path: Path) -> None:
    """The very scripts that run on a node, put to a stand-in for vLLM."""
    key = tmp_path / "api-key"
    key.write_text("s3cret")
    cluster = Cluster("demo", Node("here", Role.HEAD, "127.0.0.1", "u"), (), "127.0.0.1")
    asleep, awake = (SleepStep(cluster, "vllm-dev", sleeper, str(key), wish) for wish in (True, False))
    assert isinstance(awake.check(ask(awake.probe)), Ok)
    for step, other in ((asleep, awake), (awake, asleep)):
        finding = step.check(ask(step.probe))
        assert isinstance(finding, Absent)
        ask_script(finding.actions[0].detail)
        assert isinstance(step.check(ask(step.probe)), Ok)
        assert isinstance(other.check(ask(other.probe)), Absent)
    assert Sleeper.seen == ["/sleep?level=1&mode=wait", "/wake_up"]
    key.write_text("wrong")
    refused = asleep.check(ask(asleep.probe))
    assert isinstance(refused, Pending)
    assert "does not say whether it sleeps" in refused.note


def ask_script(text: str) -> None:
    subprocess.run(["bash", "-c", text], check=True, timeout=20)
