"""The script that downloads a model, against hubs that answer nonsense over real HTTP."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hub_node import Node, node_at
from loopback import serving

from sparkctl.data import template

LISTING = {
    "sha": "c0ffee",
    "siblings": [
        {"rfilename": "big", "size": 1 << 30, "blobId": "b" * 40},
        {"rfilename": "small", "size": 10, "blobId": "a" * 40},
        *({"rfilename": f"later{n}", "size": 5, "blobId": f"{n}" * 40} for n in range(9)),
    ],
}


class BadHub(BaseHTTPRequestHandler):
    """Answers by `words`; each file that is asked for is noted in `asked`."""

    words: bytes = b""
    length: int = 0
    asked: set[str]

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        if self.path.startswith("/api"):
            self._send(self.words, self.length or len(self.words))
            return
        self.asked.add(name)
        if name == "small":
            self.send_error(403)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(1 << 30))
        self.end_headers()
        try:
            for _ in range(600):
                self.wfile.write(b"x" * (1 << 20) if name == "big" else b"x")
                time.sleep(0.1)
        except OSError:
            return

    def _send(self, body: bytes, length: int) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def bad_hub(root: Path, words: bytes, length: int = 0) -> Iterator[tuple[Node, set[str]]]:
    handler = type("Handler", (BadHub,), {"words": words, "length": length, "asked": set()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    with serving(server) as port:
        yield node_at(root, f"http://127.0.0.1:{port}"), handler.asked  # type: ignore[attr-defined]


def run_without_pauses(node: Node) -> dict[str, Any]:
    """One try: the pauses between tries would take 15 seconds."""
    tries = 'TRIES = 1 if JOB.get("look") else 5'
    assert tries in template("hub_download.py")
    text = template("hub_download.py").replace(tries, "TRIES = 1")
    done = subprocess.run([sys.executable, "-c", text, node.job()], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return {"rc": done.returncode, **json.loads(done.stdout.splitlines()[-1])}


def test_one_refused_file_ends_all_others_at_once(tmp_path: Path) -> None:
    with bad_hub(tmp_path, json.dumps(LISTING).encode()) as (node, asked):
        words = node.download(workers=2)
    assert words["rc"] == 1
    assert "gated or private" in words["error"]
    assert words["seconds"] < 45
    assert asked <= {"big", "small", "later0"}


@pytest.mark.parametrize(
    ("body", "length"),
    [
        pytest.param(b"<html>log in to the network", 0, id="not JSON"),
        pytest.param(b'{"sha": "c0ffee"', 500, id="cut short"),
        pytest.param(b'{"sha": "c0ffee"}', 0, id="no files"),
        pytest.param(b'{"sha": "c0ffee", "siblings": [{"rfilename": "x"}]}', 0, id="no sizes"),
        pytest.param(b"[]", 0, id="a list"),
    ],
)
def test_an_answer_that_is_none_is_an_error_and_no_traceback(tmp_path: Path, body: bytes, length: int) -> None:
    with bad_hub(tmp_path, body, length) as (node, _):
        words = run_without_pauses(node)
    assert words["rc"] == 1
    assert words["error"] and node.endpoint in words["fix"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"rfilename": "../../../../../stolen"}, "a file that no model has"),
        ({"rfilename": "/etc/stolen"}, "a file that no model has"),
        ({"rfilename": "a\nb"}, "a file that no model has"),
        ({"blobId": "../../../stolen"}, "a hash that is none"),
        ({"lfs": {"sha256": "/tmp/stolen"}}, "a hash that is none"),
    ],
)
def test_a_listing_reaches_no_file_beside_the_model(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    sibling = {"rfilename": "small", "size": 10, "blobId": "a" * 40, **changes}
    with bad_hub(tmp_path, json.dumps({"sha": "c0ffee", "siblings": [sibling]}).encode()) as (node, asked):
        words = run_without_pauses(node)
    assert (words["rc"], asked) == (1, set())
    assert told in words["error"]
    assert "stolen" not in {path.name.partition(".")[0] for path in tmp_path.rglob("*")}


def test_a_file_that_does_not_end_fills_no_disk(tmp_path: Path) -> None:
    listing = {"sha": "c0ffee", "siblings": [{"rfilename": "big", "size": 5 << 20, "blobId": "a" * 40}]}
    with bad_hub(tmp_path, json.dumps(listing).encode()) as (node, _):
        words = run_without_pauses(node)
    assert (words["rc"], words["error"]) == (1, "big is longer than listed")
    assert sum(path.stat().st_size for path in node.model.rglob("*.incomplete")) < 8 << 20


def test_a_commit_is_no_way_out_of_the_cache(tmp_path: Path) -> None:
    with bad_hub(tmp_path, json.dumps({"sha": "../../../stolen", "siblings": []}).encode()) as (node, _):
        words = run_without_pauses(node)
    assert (words["rc"], "a hash that is none" in words["error"]) == (1, True)
