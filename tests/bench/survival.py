"""Figures of changes that fail and of power that goes, with the real engine on both nodes of a lab."""

import json
import os
import re
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from sparkctl import data
from tests.bench.deployed import NAME, bench_lab
from tests.bench.measure import BIN, Figure, run

START = ("ray-head", "ray-worker", "ray-join", "vllm", "serving")
"""The steps of which the start of a stack consists."""
LIMIT = 600.0


def figures() -> Iterator[Figure]:
    """A cold `up` with images present, a change that replaces everything and fails, a power cycle of both nodes."""
    program = BIN / "sparkctl"
    with bench_lab(program) as env, TemporaryDirectory() as folder:
        spoilt = _spoilt(Path(folder))
        up: list[str | Path] = [program, "up", "--yes", "--json", "--quiet", "--profile"]
        run([*up, "lab", "--until", "model"], env)
        cold, first = _timed(lambda: run([*up, "lab"], env))
        took, gap = _failed([*up, spoilt], env)
        run([program, "stop", "--yes", "--profile", "lab"], env)
        second = run([*up, "lab"], env)
        start = statistics.mean(_seconds(json.loads(done.stdout)) for done in (first, second))
        note = f"{took:.0f} s after the failure was seen; own start {start:.0f} s; clients without answers {gap:.0f} s"
        yield Figure("a change of all containers that fails: the old stack answers", took / start, 1.5, note=note)

        back, _ = _timed(lambda: _power_cycle([program, "status", "--json", "--profile", "lab"], env))
        note = f"{back:.0f} s from the loss of power; a cold `up` with images present {cold:.0f} s"
        yield Figure("both nodes lose power: serving again, without a human", back / cold, 2, note=note)


def _spoilt(folder: Path) -> Path:
    """The profile of the lab with another environment for every container, and a flag that vLLM does not know."""
    profile = yaml.safe_load((data.path("profiles") / "lab.yaml").read_text())
    profile["engine"] |= {"env": {**profile["engine"]["env"], "BENCH": "1"}, "extra_args": ["--no-such-flag"]}
    path = folder / "spoilt.yaml"
    path.write_text(yaml.safe_dump({**profile, "name": path.stem}))
    return path


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    done = work()
    return time.perf_counter() - began, done


def _seconds(document: Mapping[str, Any]) -> float:
    """What the steps of a start took, one after the other."""
    return sum(float(step["seconds"]) for step in document["run"]["steps"] if step["id"].split("@")[0] in START)


def _failed(up: list[str | Path], env: Mapping[str, str]) -> tuple[float, float]:
    """Seconds from the failure to the old stack's next token, and seconds without answers."""
    done = subprocess.run([str(w) for w in up], env={**os.environ, **env}, text=True, capture_output=True, check=False)
    (text,) = json.loads(done.stdout)["previous"]
    found = re.search(r"answers again after (\d+) s; clients had no answers for (\d+) s", text)
    if not found:
        raise SystemExit(f"the old stack did not come back: {text}")
    return float(found[1]), float(found[2])


def _power_cycle(status: list[str | Path], env: Mapping[str, str]) -> None:
    """Take the power of both nodes away and give it back; return once everything is as configured again."""
    nodes = [f"{NAME}-spark-1", f"{NAME}-spark-2"]
    run(["docker", "kill", *nodes])
    run(["docker", "start", *nodes])
    deadline = time.monotonic() + LIMIT
    while subprocess.run([str(w) for w in status], env={**os.environ, **env}, capture_output=True).returncode:
        if time.monotonic() > deadline:
            raise SystemExit("not served again")
        time.sleep(0.5)
