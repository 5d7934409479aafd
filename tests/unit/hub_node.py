"""A node that downloads models: its folders, and the script that its own python3 runs there."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loopback import serving

from sparkctl.data import template
from sparkctl.lab import hub

WEIGHTS = bytes(range(256)) * 100
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


def node_at(root: Path, endpoint: str) -> Node:
    """A node with an empty cache, whose hub is at `endpoint`."""
    (root / "cache" / "hub").mkdir(parents=True)
    node = Node(root, endpoint)
    node.state.mkdir(parents=True)
    return node


def at_a_hub(tmp_path: Path) -> Iterator[Node]:
    """A node whose hub is the lab's, which has a small model; a test file makes its fixture of it."""
    repo = tmp_path / "served/repos/lab/tiny"
    repo.mkdir(parents=True)
    (repo / "config.json").write_text("{}")
    (repo / "model.safetensors").write_bytes(WEIGHTS)
    with serving(hub.make_server(tmp_path / "served", "127.0.0.1", 0)) as port:
        yield node_at(tmp_path / "node", f"http://127.0.0.1:{port}")
