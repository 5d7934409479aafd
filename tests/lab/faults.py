"""sparkctl as a user of the lab runs it, with a configuration that a test may spoil, and what a clear error is."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml
from machines import Machine, TestLab

from sparkctl import data
from sparkctl.lab import depot

CLUSTER = "faults"
"""A name of its own, so that what these tests break is not what others deployed."""
REGISTRY = "registry.lab:5000"
ENGINE = f"{REGISTRY}/{depot.ENGINE}:{depot.ENGINE_TAG}"
NORAY = f"{REGISTRY}/{depot.NORAY}:{depot.PLAIN_TAG}"
WRONGARCH = f"{REGISTRY}/{depot.WRONGARCH}:{depot.PLAIN_TAG}"
STUB = f"{REGISTRY}/sparklab/stub:1"
Result = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Running:
    """A sparkctl at work; what it prints goes to a file."""

    process: subprocess.Popen[bytes]
    output: Path

    def said(self) -> str:
        return self.output.read_text(errors="replace")

    def wait_for(self, seen: Callable[[], bool], limit: float = 120) -> None:
        """Return once something is seen; fail where the program ends before."""
        deadline = time.monotonic() + limit
        while not seen():
            assert self.process.poll() is None, f"ended with {self.process.returncode} too early:\n{self.said()}"
            assert time.monotonic() < deadline, f"not seen within {limit} s:\n{self.said()}"
            time.sleep(0.1)

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def result(self, limit: float = 120) -> Result:
        code = self.process.wait(limit)
        return subprocess.CompletedProcess([], code, self.said(), "")


@dataclass(frozen=True)
class Deployment:
    """The lab's configuration as files of our own, value by value to be spoilt."""

    lab: TestLab
    folder: Path

    def env_file(self, **changes: str) -> Path:
        """The lab's own file with other values; an empty one leaves the variable out."""
        lines = [line for line in self.lab.env_file.read_text().splitlines() if "=" in line and line[0] != "#"]
        values = {**dict(line.split("=", 1) for line in lines), "CLUSTER_NAME": CLUSTER, **changes}
        path = self.folder / "where.env"
        path.write_text("".join(f"{name}={value}\n" for name, value in values.items() if value))
        return path

    def profile(self, **changes: object) -> Path:
        """The shipped profile of the lab with other values, section by section."""
        read = yaml.safe_load((data.path("profiles") / "lab.yaml").read_text())
        for section, values in changes.items():
            read[section] = {**read.get(section, {}), **values} if isinstance(values, dict) else values
        path = self.folder / "broken.yaml"
        path.write_text(yaml.safe_dump({**read, "name": path.stem}))
        return path

    def argv(self, verb: str, *options: str, env: Path | None = None, profile: Path | None = None) -> list[str]:
        where = ("--env-file", str(env or self.env_file()), "--profile", str(profile or "lab"))
        return [sys.executable, "-m", "sparkctl", *verb.split(), *where, *options]

    def __call__(
        self, verb: str, *options: str, env: Path | None = None, profile: Path | None = None, limit: float = 900
    ) -> Result:
        """Run a verb to its end."""
        argv = self.argv(verb, *options, env=env, profile=profile)
        quiet = {"capture_output": True, "text": True, "stdin": subprocess.DEVNULL, "check": False}
        return subprocess.run(argv, timeout=limit, **quiet)  # type: ignore[call-overload, no-any-return]

    @contextlib.contextmanager
    def started(self, verb: str, *options: str, profile: Path | None = None) -> Iterator[Running]:
        """Run a verb beside the test; it is gone at the end."""
        output = self.folder / "output"
        with output.open("wb") as file:
            argv = self.argv(verb, *options, profile=profile)
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT)
        try:
            yield Running(process, output)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


def assert_clear(result: Result, code: int, *words: str) -> None:
    """The right exit code; what, where and what next in these words; no traceback."""
    said = result.stdout + result.stderr
    if os.environ.get("SHOW_ERRORS"):
        print(said)
    assert result.returncode == code, said
    assert "Traceback" not in said
    assert "a bug of ours" not in said, said
    if code not in (0, 2, 130):
        assert "next: " in said or "fix: " in said, said
    missing = [word for word in words if word not in said]
    assert not missing, f"{missing} not in:\n{said}"


def assert_ok(result: Result) -> None:
    assert_clear(result, 0)


def programs(machine: Machine) -> set[str]:
    """Command lines of everything that runs on a node but the programs that this look itself needs."""
    lines = machine.root("ps", "-eww", "-o", "args=").splitlines()
    return {line.strip() for line in lines if line.strip() and line != "ps -eww -o args="}


@contextlib.contextmanager
def nothing_left(lab: TestLab, limit: float = 60) -> Iterator[None]:
    """At the end no program runs on any node that did not run at the beginning."""
    before = {machine.name: programs(machine) for machine in lab.nodes}
    yield
    deadline = time.monotonic() + limit
    while left := {m.name: more for m in lab.nodes if (more := programs(m) - before[m.name])}:
        assert time.monotonic() < deadline, f"still running on the nodes: {left}"
        time.sleep(0.3)


def containers(machine: Machine, pattern: str = "") -> dict[str, str]:
    """Ids of a node's containers by name."""
    lines = machine.ssh("docker ps -a --no-trunc --format '{{.Names}} {{.ID}}'").stdout.splitlines()
    found = dict(line.split() for line in lines)
    return {name: id_ for name, id_ in found.items() if pattern in name}


def state(machine: Machine) -> str:
    """What sparkctl would leave on a node: its folder, its containers, its volumes."""
    return machine.ssh(
        "find ~/.sparkctl -type f 2>/dev/null | sort | xargs -r sha256sum; docker ps -a --format '{{.Names}}'; "
        "docker volume ls -q; ls ~/.cache/huggingface 2>/dev/null || true"
    ).stdout


@contextlib.contextmanager
def untouched(*machines: Machine) -> Iterator[None]:
    """The nodes are as they were."""
    before = [state(machine) for machine in machines]
    yield
    assert [state(machine) for machine in machines] == before


def until(seen: Callable[[], bool], limit: float = 120) -> None:
    """Return once something is seen."""
    deadline = time.monotonic() + limit
    while not seen():
        assert time.monotonic() < deadline, f"not seen within {limit} s"
        time.sleep(0.1)


def runs(machine: Machine, words: str) -> bool:
    """Whether a program with these words on its command line runs on a node."""
    return any(words in line for line in programs(machine))


def cut_sessions(machine: Machine) -> None:
    """End every SSH connection to a node, as a firewall that forgets them does."""
    lines = [line.split(maxsplit=1) for line in machine.root("ps", "-eww", "-o", "pid=,args=").splitlines()]
    pids = [pid for pid, args in lines if args.startswith("sshd: nvidia")]
    assert pids, "nobody was logged in"
    machine.root("kill", "-KILL", *pids, check=False)
