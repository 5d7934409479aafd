"""The keeper as a process of its own, between a stand-in for `docker` on two nodes and an API that answers for it."""

import getpass
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

from keeper_programs import CUT, CUT_SHORT, api_while, install

from sparkctl.data import node_program
from sparkctl.facts.engine import api_probe
from sparkctl.facts.kept import MODULES

SERVICES = (
    ("ray-head", "spark-1", ()),
    ("ray-worker", "spark-2", ("ray-head",)),
    ("vllm", "spark-1", ("ray-head", "ray-worker")),
)
PLACES = {service: node for service, node, _ in SERVICES}


class World:
    """Two nodes on which the generation `digest` serves, and the keeper that knows it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "keeper-home"
        for name in MODULES:
            file = self.home / "keeper" / f"{name}.py"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(node_program(f"keeper/{name}"))
        install(folder / "bin", folder)
        (folder / "secret").write_text("the key")
        for node in ("spark-1", "spark-2"):
            self.boot(node, "first")
        self.put({})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), api_while(self.serves))
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def boot(self, node: str, name: str) -> None:
        """From now on the node says that this is its boot; a new one finds its containers ended."""
        (self.folder / f"boot-{node}").write_text(f"{name}\n")
        if name != "first":
            self.put({i: c | ({"status": "exited"} if c["node"] == node else {}) for i, c in self.containers.items()})

    def keep(self) -> dict[Path, str]:
        """All that is on the nodes' disks."""
        return {path: path.read_text() for path in self.folder.rglob("*") if path.is_file()}

    def put_back(self, kept: dict[Path, str]) -> None:
        """As it was then."""
        for path in self.folder.rglob("*"):
            if path.is_file() and path not in kept:
                path.unlink()
        for path, text in kept.items():
            if not path.exists() or path.read_text() != text:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)

    @property
    def containers(self) -> dict[str, Any]:
        found = json.loads((self.folder / "containers.json").read_text())
        assert isinstance(found, dict)
        return found

    def put(self, containers: dict[str, Any]) -> None:
        (self.folder / "containers.json").write_text(json.dumps(containers))

    def make(self, generation: str, *, works: bool = True, serves: bool = True, only: tuple[str, ...] = ()) -> None:
        """Containers of a generation, running where they work."""
        made = {
            f"{generation}-{service}": {
                "name": f"sparkctl-lab-{service}",
                "node": node,
                "status": "running" if works else "exited",
                "started": "2026-11-21T09:00:00.1",
                "code": 0,
                "spec": generation,
                "works": works,
                "serves": serves,
            }
            for service, node, _ in SERVICES
            if service in (only or PLACES)
        }
        self.put({**self.containers, **made})

    def set_aside(self, generation: str) -> None:
        """As `up` does with what it replaces."""
        changed = {"status": "exited"}
        self.put(
            {
                i: c | changed | {"name": c["name"] + "-previous"} if i.startswith(f"{generation}-") else c
                for i, c in self.containers.items()
            }
        )

    def wish(self, digest: str, **values: object) -> None:
        """A change is on record."""
        file = self.home / "units" / "serving" / "wish.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({**self.record(digest), **values}))

    def record(self, digest: str) -> dict[str, Any]:
        look = api_probe("127.0.0.1", self.server.server_address[1], "m", str(self.folder / "secret"))
        patient = look.script.replace("--connect-timeout 2", "--connect-timeout 60").replace(" -m 5 ", " -m 60 ")
        ask = {"argv": ["docker", "exec"], "addresses": ["10.0.0.1", "10.0.0.2"], "seconds": 60}
        return {
            "unit": "serving",
            "cluster": "lab",
            "lock": str(self.folder / "cluster.lock"),
            "digest": digest,
            "nodes": {"spark-1": [], "spark-2": ["ssh", "spark-2"]},
            "users": dict.fromkeys(("spark-1", "spark-2"), getpass.getuser()),
            "memory": {"spark-1": 1 << 20, "spark-2": 1 << 20},
            "secrets": [["spark-1", str(self.folder / "secret")]],
            "containers": [
                {
                    "service": service,
                    "node": node,
                    "name": f"sparkctl-lab-{service}",
                    "spec": digest,
                    "group": service,
                    "stands_on": [[under, PLACES[under]] for under in stands_on],
                    "drop_caches": [],
                    "joined": ask if service == "vllm" else None,
                }
                for service, node, stands_on in SERVICES
            ],
            "api": {"node": "spark-1", "look": patient, "seconds": 60},
            "services": [{"node": node, "volumes": [f"sparkctl-lab-{service}-tmp"]} for service, node, _ in SERVICES],
            "by": "tester@laptop",
            "changes": [],
        }

    def serve(self, digest: str) -> None:
        """A first deployment, from nothing to the record of what serves."""
        self.make(digest)
        self.wish(digest)
        assert self.keeper("commit", "serving") == 0, self.said

    def keeper(self, *words: str) -> int:
        """Have the keeper do one thing."""
        return self._run("-m", "keeper", *words)

    def look(self, times: int = 1) -> None:
        """What the watch does at each look, so many times."""
        code = "from keeper.watch import Watch\nfrom keeper.unit import Unit\neyes = Watch()\n"
        assert self._run("-c", code + "eyes.tend(Unit('serving'))\n" * times) == 0, self.said

    def go_round(self, times: int) -> None:
        """What the watch does in so many rounds, whatever goes wrong in one."""
        code = "from keeper import watch\nwatch.POLL_SECONDS = 0\neyes = watch.Watch()\n"
        assert self._run("-c", code + "watch.look_round(eyes)\n" * times) == 0, self.said

    def look_until_settled(self) -> None:
        """What the watch does until the change is no more in progress."""
        code = "from keeper.watch import Watch\nfrom keeper.unit import Unit\neyes, unit = Watch(), Unit('serving')\n"
        assert self._run("-c", code + "while unit.wish:\n    eyes.tend(unit)\n") == 0, self.said

    def keeper_cut_short(self, after: int, *words: str) -> bool:
        """Have the keeper do one thing, and end it before the change with that number; whether it came so far."""
        code = f"CHANGES = {after}\n{CUT}\nfrom keeper.__main__ import main\nmain({[*words]})\n"
        return self._run("-c", code) == CUT_SHORT

    def _run(self, *argv: str) -> int:
        path = f"{self.folder}/bin:{os.environ['PATH']}"
        env = {"PATH": path, "PYTHONPATH": str(self.home), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run([sys.executable, *argv], env=env, capture_output=True, text=True, timeout=300)
        self.said = done.stdout + done.stderr
        return done.returncode

    def check(self, after: int) -> None:
        """One generation serves, whole, under its names; all is on record, and nothing is left of the other."""
        ids, good = self.running(), self.unit("good")
        assert ids == {f"{good['digest']}-{service}" for service in PLACES}, after
        assert {*self.containers} == ids == {*good["ids"].values()}, after
        assert not any(found["name"].endswith("-previous") for found in self.containers.values()), after
        assert {digest for _, digest, outcome in self.history if outcome == "serves"} == {"one", good["digest"]}, after
        assert len(self.history) <= 2, after
        assert (self.unit("wish"), "replaced" in good) == ({}, False), after
        assert (self.home / "secrets/spark-1/secret").read_text() == "the key", after

    def log(self) -> list[str]:
        """What was done to containers since the last look at the log."""
        file = self.folder / "log"
        lines = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return [line.replace("sparkctl-lab-", "") for line in lines]

    def unit(self, name: str) -> dict[str, Any]:
        """A record of the unit, empty where there is none."""
        file = self.home / "units" / "serving" / f"{name}.json"
        return dict(json.loads(file.read_text())) if file.exists() else {}

    @property
    def note(self) -> str:
        return str(self.unit("note").get("text", ""))

    @property
    def history(self) -> list[tuple[int, str, str]]:
        records = [json.loads(path.read_text()) for path in sorted((self.home / "history").glob("*.json"))]
        return [(record["generation"], record["digest"], record["outcome"]) for record in records]

    def serves(self) -> bool:
        """Whether the container named vllm would answer."""
        named = [c for c in self.containers.values() if c["name"] == "sparkctl-lab-vllm"]
        return bool(named and named[0]["status"] == "running" and named[0]["serves"])

    def running(self) -> set[str]:
        return {i for i, c in self.containers.items() if c["status"] == "running"}


def one_serves(tmp_path: Path) -> Iterator[World]:
    """A world in which the generation `one` serves; a test file makes its fixture of it."""
    made = World(tmp_path)
    made.serve("one")
    made.log()
    yield made
    made.close()
