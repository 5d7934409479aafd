"""Figures of roles with the real engine: a switch against the engine's own load time, and between resident roles."""

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.bench.deployed import bench_lab
from tests.bench.measure import BIN, Figure, run

NAME = "sparkroles"


def figures() -> Iterator[Figure]:
    """Two roles that take turns, each way, then a small one beside the last: image and model are there before."""
    program = BIN / "sparkctl"
    with bench_lab(program, NAME) as env:
        env = {**env, "SPARKCTL_PROFILE": "lab-roles"}
        run([program, "up", "--yes", "--quiet"], env)
        for name in ("po", "architect"):
            run([program, "role", "launch", name, "--yes", "--quiet"], env)
        yield from measured(program, env)


def measured(program: Path, env: Mapping[str, str]) -> Iterator[Figure]:
    """The figures, where architect and po run."""
    took = [_timed([program, "role", "switch", name, "--yes", "--quiet"], env) for name in ("po", "architect")]
    note = "the whole command, the slower of two; both answer all the time, so there is no gap"
    yield Figure("`role switch`, both resident", max(took), 5, unit="s", note=note)

    run([program, "role", "stop", "po", "--yes", "--quiet"], env)
    switched, own, gap = 0.0, 0.0, 0.0
    for name in ("dev", "architect"):
        document = json.loads(run([program, "role", "switch", name, "--yes", "--json", "--quiet"], env).stdout)
        switched, gap = switched + document["switch"]["seconds"], gap + document["switch"]["gap"]
        own += next(s["seconds"] for s in document["runs"]["run"]["steps"] if s["id"].startswith("serving-"))
    note = f"{switched / 2:.0f} s from the command to the first token, {gap / 2:.0f} s of them without an answer; "
    note += f"of these the engine, from the start of its container to its first token: {own / 2:.0f} s; means of two"
    yield Figure("`role switch`, image present, against the engine's own load time", switched / own, 1.2, note=note)


def _timed(argv: list[str | Path], env: Mapping[str, str]) -> float:
    began = time.perf_counter()
    run(argv, env)
    return time.perf_counter() - began
