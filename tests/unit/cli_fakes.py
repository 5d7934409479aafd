"""A small world of fake steps, and a command line that works on it: what the tests of verbs and renderers drive."""

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

import pytest
import requests

from sparkctl.core.action import Action, Context, Progress
from sparkctl.core.step import Absent, Blocked, Drifted, Finding, Layer, Ok, Pending, step_id
from sparkctl.errors import SparkctlError, UnreachableError
from sparkctl.facts.probe import Answer, Facts, Probe, Want
from sparkctl.topology import Cluster, Node, Role
from sparkctl.transport.memory import MemoryHost

ALIVE = Probe("alive", "echo yes", lambda answer: answer.stdout.strip())


@dataclass
class World:
    """What is true of the fake nodes: step id to its state. `did` lists what actions did, in order."""

    states: dict[str, str] = field(default_factory=dict)
    did: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True)
class FakeAction:
    """Makes a step true, slowly if asked to, or fails; a deaf one does not hear that it should stop."""

    world: World
    key: str
    summary: str
    detail: str = ""
    becomes: str = "ok"
    seconds: float = 0.0
    total: int = 0
    fails: SparkctlError | None = None
    deaf: bool = False

    def perform(self, context: Context) -> None:
        if self.deaf:
            time.sleep(self.seconds)
        pieces = 20 if self.seconds else 1
        for piece in range(pieces):
            if self.seconds:
                context.pause(self.seconds / pieces)
            if self.total:
                context.report(Progress(self.summary, self.total * (piece + 1) // pieces, self.total, "B"))
        if self.fails:
            raise self.fails
        with self.world.lock:
            self.world.states[self.key] = self.becomes
            self.world.did.append(self.summary)


@dataclass(frozen=True)
class FakeStep:
    """A wish whose truth is a word in the world: ok, absent, drifted, stale, pending or blocked."""

    world: World
    name: str
    node: str
    layer: Layer
    needs: tuple[str, ...] = ()
    differences: tuple[str, ...] = ("it differs",)
    actions: tuple[str, ...] = ()
    detail: str = ""
    seconds: float = 0.0
    total: int = 0
    fails: SparkctlError | None = None
    deaf: bool = False
    undo_fails: SparkctlError | None = None

    @property
    def key(self) -> str:
        return step_id(self.name, self.node)

    @property
    def wants(self) -> tuple[Want, ...]:
        return (Want(self.node, ALIVE),)

    def check(self, facts: Facts) -> Finding:
        assert facts.get(self.node, ALIVE) == "yes"
        state = self.world.states.get(self.key, "absent")
        findings: Mapping[str, Callable[[], Finding]] = {
            "ok": lambda: Ok("fine"),
            "absent": lambda: Absent(self._actions()),
            "drifted": lambda: Drifted(self.differences, self._actions()),
            "stale": lambda: Drifted(self.differences, self._actions(), disrupts=True),
            "pending": lambda: self._pending(),
            "blocked": lambda: Blocked(f"{self.name} is in the way", f"move {self.name}"),
        }
        return findings[state]()

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        if self.world.states.get(self.key, "absent") == "absent":
            return ()
        summary = f"remove {self.name}"
        return (FakeAction(self.world, self.key, summary, "", "absent", self.seconds, fails=self.undo_fails),)

    def _pending(self) -> Finding:
        unmet = [need for need in self.needs if self.world.states.get(need) != "ok"]
        return Pending(unmet[0]) if unmet else Absent(self._actions())

    def _actions(self) -> tuple[Action, ...]:
        summaries = self.actions or (f"make {self.name}",)
        return tuple(
            FakeAction(self.world, self.key, s, self.detail, "ok", self.seconds, self.total, self.fails, self.deaf)
            for s in summaries
        )


def cluster_of(count: int = 2) -> Cluster:
    """A head and workers with addresses of the documentation's range."""
    nodes = [
        Node(f"spark-{i + 1}", Role.WORKER if i else Role.HEAD, f"192.0.2.{i + 1}", "spark") for i in range(count)
    ]
    return Cluster("demo", nodes[0], tuple(nodes[1:]), "192.0.2.1")


def answers(name: str) -> Answer | None:
    """What a healthy fake node says."""
    return Answer("yes\n") if name == "alive" else Answer("", 0) if name == "containers" else None


def clock(start: float = 0.0) -> tuple[Callable[[], float], Callable[[float], None]]:
    """A clock that only moves when told to, and the way to move it."""
    now = [start]

    def move(seconds: float) -> None:
        now[0] += seconds

    return (lambda: now[0]), move


ENV_FILE = """\
CLUSTER_NAME=demo
CONTROL_PLANE_API_IP=192.0.2.1
HEAD_SSH_USER=spark
FABRIC_CTRL_IP=192.168.100.10
WORKER_NODE_IP=192.168.100.11
WORKER_NODE_SSH_TARGET=192.0.2.2
"""


class Patch(Protocol):
    """What of pytest's monkeypatch is needed here."""

    def setattr(self, target: str, name: object, /) -> None: ...


def install(patch: Patch, folder: Path, steps: Sequence[FakeStep], hosts: Mapping[str, MemoryHost]) -> None:
    """Let the verbs find these steps and hosts behind a real configuration in `folder`."""
    (folder / "unified-config.env").write_text(ENV_FILE)

    def open_one(node: Node, **_: object) -> MemoryHost:
        if hosts[node.name].unreachable:
            raise UnreachableError(f"{node.name} did not answer", where=node.name, fix="switch it on")
        hosts[node.name].closed = False
        return hosts[node.name]

    def open_all(cluster: Cluster, **options: object) -> dict[str, MemoryHost]:
        return {node.name: open_one(node) for node in cluster.nodes}

    patch.setattr("sparkctl.transport.ssh.open_all", open_all)
    patch.setattr("sparkctl.transport.ssh.SshSession", open_one)
    for name in ("steps", "all_steps"):
        patch.setattr(f"sparkctl.stacks.serving.{name}", lambda config, *_: tuple(steps))
    patch.setattr("sparkctl.stacks.setup.steps", lambda config, **_: tuple(steps))


def small_world(**options: Any) -> tuple[World, list[FakeStep]]:
    """A step of the host on both nodes, and a workload on the head that stands on it; `options` are the workload's."""
    world = World()
    host = [FakeStep(world, "packages", f"spark-{n}", Layer.HOST) for n in (1, 2)]
    needs = ("packages@spark-1", "packages@spark-2")
    return world, [*host, FakeStep(world, "vllm", "spark-1", Layer.WORKLOAD, needs, **options)]


def hosts_of(count: int = 2) -> dict[str, MemoryHost]:
    """Fake hosts by name."""
    return {node.name: MemoryHost(node, probes=answers) for node in cluster_of(count).nodes}


CONTAINER = {
    "id": "4f1c",
    "name": "/sparkctl-demo-vllm",
    "image": "sha256:1",
    "labels": {"io.sparkctl.cluster": "demo", "io.sparkctl.service": "vllm"},
    "status": "running",
    "exit_code": 0,
    "started": "2020-01-01T00:00:00.123456789Z",
}


class Cli:
    """A command line with fake nodes behind it, in a folder and a state folder of its own."""

    def __init__(self, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path) -> None:
        self.patch, self.capsys, self.folder = patch, capsys, folder
        patch.chdir(folder)
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        for name in ("SPARKCTL_PROFILE", "NO_COLOR", "_SPARKCTL_COMPLETE"):
            patch.delenv(name, raising=False)
        self.hosts = hosts_of()
        self.world = World()
        self.steps: list[FakeStep] = []
        self.out = self.err = ""

    def use(self, world: World, steps: list[FakeStep]) -> "Cli":
        self.world, self.steps = world, steps
        install(self.patch, self.folder, steps, self.hosts)
        return self

    def __call__(self, *argv: str) -> int:
        from sparkctl.__main__ import main

        self.patch.setattr("sys.argv", ["sparkctl", *argv])
        with pytest.raises(SystemExit) as end:
            main()
        self.out, self.err = self.capsys.readouterr()
        return int(end.value.code or 0)

    @property
    def document(self) -> dict[str, Any]:
        return cast(dict[str, Any], json.loads(self.out))


class FakeLog:
    """A container that has said something."""

    def __init__(self, name: str, *lines: str) -> None:
        self.name, self.lines = f"sparkctl-demo-{name}", lines
        self.labels = {"io.sparkctl.cluster": "demo", "io.sparkctl.service": name}
        self.client, self.lost = self, False

    def ping(self) -> None:
        if self.lost:
            raise requests.exceptions.ConnectionError

    def logs(self, *, tail: int, timestamps: bool = False, stream: bool = False, follow: bool = False) -> Any:
        kept = self.lines[-tail:] if tail else ()
        text = "".join((line if timestamps else line.partition(" ")[2]) + "\n" for line in kept).encode()
        return iter([text[:7], text[7:]]) if stream else text


class FakeEngine:
    """As much of a Docker client as `logs` uses."""

    def __init__(self, *found: FakeLog) -> None:
        self.found, self.containers = found, self

    def list(self, *, all: bool, filters: dict[str, str], ignore_removed: bool) -> list[FakeLog]:
        assert (all, filters, ignore_removed) == (True, {"label": "io.sparkctl.cluster=demo"}, True)
        return list(self.found)

    def close(self) -> None:
        """Nothing to close."""


def deployed(cli: Cli) -> None:
    """All is there, as configured."""
    cli.world.states = {step.key: "ok" for step in cli.steps}


def containers(cli: Cli, **changes: object) -> None:
    line = json.dumps({**CONTAINER, **changes})
    probes: Callable[[str], Answer] = lambda name: Answer("yes\n" if name == "alive" else line)  # noqa: E731
    cli.hosts["spark-1"].probes = probes


def with_logs(cli: Cli) -> None:
    first = FakeLog("vllm", "2026-01-01T00:00:01Z loading", "2026-01-01T00:00:03Z ready\x1b[0m")
    cli.hosts["spark-1"].engine = FakeEngine(first)  # type: ignore[assignment]
    worker = FakeLog("ray-worker", "2026-01-01T00:00:02Z joined")
    cli.hosts["spark-2"].engine = FakeEngine(worker)  # type: ignore[assignment]
