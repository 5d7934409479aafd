"""The script that a node's own python3 runs to download a model, against hubs over real HTTP, good and bad."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from homes import HomeNode

from sparkctl.core.actions import Script
from sparkctl.core.step import Absent, Drifted, Ok
from sparkctl.data import template
from sparkctl.facts.probe import Facts, frame, unframe
from sparkctl.lab import hub
from sparkctl.steps.model import ModelSource, ModelStep
from sparkctl.topology import Cluster, Role

WEIGHTS = bytes(range(256)) * 100
FILES = {"config.json", "model.safetensors"}
MODEL = "hub/models--lab--tiny"


@dataclass
class Node:
    """A node's folders, and the script run on them."""

    root: Path
    endpoint: str

    @property
    def model(self) -> Path:
        return self.root / "cache" / MODEL

    @property
    def state(self) -> Path:
        return self.root / ".sparkctl/lab"

    def job(self, **changes: Any) -> str:
        state = self.state
        revision = changes.get("revision", "main")
        values = {
            "endpoint": self.endpoint,
            "repo": "lab/tiny",
            "revision": revision,
            "cache": str(self.root / "cache"),
            "token_file": str(state / "token"),
            "allow": ["*"],
            "workers": 4,
            "marker": f"{state}/models--lab--tiny@{revision}.json",
            "records": f"{state}/models--lab--tiny@*.json",
        }
        return json.dumps(values | changes)

    def download(self, **changes: Any) -> dict[str, Any]:
        """The words of every line, later ones over earlier ones, with the status and how long it took."""
        began = time.monotonic()
        argv = [sys.executable, "-c", template("hub_download.py"), self.job(**changes)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
        assert done.stderr == ""
        words = {key: value for line in done.stdout.splitlines() for key, value in json.loads(line).items()}
        return {**words, "rc": done.returncode, "seconds": time.monotonic() - began}

    def record(self, revision: str = "main") -> dict[str, Any]:
        return dict(json.loads((self.state / f"models--lab--tiny@{revision}.json").read_text()))


@contextmanager
def serving(server: HTTPServer) -> Iterator[str]:
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def node_at(root: Path, endpoint: str) -> Node:
    (root / "cache" / "hub").mkdir(parents=True)
    node = Node(root, endpoint)
    node.state.mkdir(parents=True)
    return node


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    repo = tmp_path / "served/repos/lab/tiny"
    repo.mkdir(parents=True)
    (repo / "config.json").write_text("{}")
    (repo / "model.safetensors").write_bytes(WEIGHTS)
    with serving(hub.make_server(tmp_path / "served", "127.0.0.1", 0)) as endpoint:
        yield node_at(tmp_path / "node", endpoint)


def test_a_model_comes_whole_and_is_ours(node: Node) -> None:
    words = node.download()
    assert (words["rc"], words["total"]) == (0, len(WEIGHTS) + 2)
    snapshot = node.model / "snapshots" / words["commit"]
    assert {path.name for path in snapshot.iterdir()} == FILES
    assert (snapshot / "model.safetensors").read_bytes() == WEIGHTS
    assert node.record()["ours"] is True


def test_a_model_of_ours_stays_ours_when_it_is_mended(node: Node) -> None:
    node.download()
    max((node.model / "blobs").iterdir(), key=lambda path: path.stat().st_size).unlink()
    assert node.download()["rc"] == 0
    assert node.record()["ours"] is True


def test_a_second_revision_in_a_folder_of_ours_is_ours(node: Node) -> None:
    commit = node.download()["commit"]
    assert node.download(revision=commit)["rc"] == 0
    assert node.record(commit)["ours"] is True


def test_a_folder_that_was_there_is_not_ours_however_often_we_come(node: Node) -> None:
    node.model.mkdir()
    node.download()
    commit = node.download()["commit"]
    node.download(revision=commit)
    assert node.record()["ours"] is False
    assert node.record(commit)["ours"] is False


def test_what_was_there_is_checked_by_its_hash_and_not_by_its_size(node: Node) -> None:
    commit = node.download()["commit"]
    weights = node.model / "snapshots" / commit / "model.safetensors"
    weights.resolve().write_bytes(b"X" * len(WEIGHTS))
    assert node.download()["rc"] == 0
    assert weights.read_bytes() == WEIGHTS


def test_what_is_too_long_is_thrown_away(node: Node) -> None:
    blob = (node.model / "snapshots" / node.download()["commit"] / "model.safetensors").resolve()
    blob.rename(f"{blob}.incomplete")
    with Path(f"{blob}.incomplete").open("ab") as file:
        file.write(b"more")
    assert node.download()["rc"] == 0
    assert blob.read_bytes() == WEIGHTS


def test_a_commit_that_came_as_a_branch_is_there(node: Node) -> None:
    commit = node.download()["commit"]
    for revision in (commit, "main"):
        step = step_at(node, revision)
        assert isinstance(step.check(facts_of(step)), Ok)
    for revision in ("v1", "f" * 40, commit[:12]):
        step = step_at(node, revision)
        assert isinstance(step.check(facts_of(step)), Absent)


def test_what_a_profile_asks_for_beyond_the_last_download_is_fetched(node: Node) -> None:
    node.download(allow=["config.json"])
    for allow, found in ((("config.json",), Ok), (("*.safetensors",), Drifted), (("*",), Drifted)):
        step = step_at(node, "main", allow)
        assert isinstance(step.check(facts_of(step)), found)
    node.download(allow=["*"])
    for allow in (("config.json",), ("*",)):
        step = step_at(node, "main", allow)
        assert isinstance(step.check(facts_of(step)), Ok)


def test_purge_under_another_revision_takes_what_the_first_one_brought(node: Node) -> None:
    node.download()
    step = step_at(node, "v1")
    (removal,) = step.undo(facts_of(step))
    assert isinstance(removal, Script)
    subprocess.run(["bash", "-c", removal.detail], check=True)
    assert step.undo(facts_of(step)) == ()
    assert list((node.root / "cache/hub").iterdir()) == []
    assert not node.state.exists()


def step_at(node: Node, revision: str, allow: tuple[str, ...] = ("*",)) -> ModelStep:
    head = HomeNode("spark-1", Role.HEAD, "127.0.0.1", "nvidia", root=str(node.root))
    source = ModelSource("lab/tiny", revision, node.endpoint, str(node.root / "cache"), allow)
    return ModelStep(Cluster("lab", head), source, "")


def facts_of(step: ModelStep) -> Facts:
    script = frame((want.probe for want in step.wants), "@m")
    told = subprocess.run(["bash", "-s"], input=script, capture_output=True, text=True, check=True)
    return Facts({step.node: unframe(told.stdout, "@m")})


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
    with serving(server) as endpoint:
        yield node_at(root, endpoint), handler.asked  # type: ignore[attr-defined]


def test_one_refused_file_ends_all_others_at_once(tmp_path: Path) -> None:
    with bad_hub(tmp_path, json.dumps(LISTING).encode()) as (node, asked):
        words = node.download(workers=2)
    assert words["rc"] == 1
    assert "gated or private" in words["error"]
    assert words["seconds"] < 10
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
        words = node.download()
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
        words = node.download()
    assert (words["rc"], "a hash that is none" in words["error"]) == (1, True)


def run_without_pauses(node: Node) -> dict[str, Any]:
    """One try: the pauses between tries would take 15 seconds."""
    text = template("hub_download.py").replace("TRIES = 5", "TRIES = 1")
    done = subprocess.run([sys.executable, "-c", text, node.job()], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return {"rc": done.returncode, **json.loads(done.stdout.splitlines()[-1])}
