"""`status` on many nodes against `status` on two, on one machine."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.bench.measure import BIN, Figure, medians
from tests.bench.namespaces import namespaces

NODES = 32
ROUNDS = 5


def figures() -> Iterator[Figure]:
    """32 nodes as a multiple of 2; every node is asked everything, and answers that nothing is deployed."""
    with namespaces(NODES) as nodes:

        def status(count: int) -> None:
            argv: list[str | Path] = [BIN / "sparkctl", "status", "--json", "--env-file", nodes.env_file(count)]
            done = subprocess.run(argv, capture_output=True, text=True)
            if done.returncode != 2 or not _answered(done.stdout, count):
                raise SystemExit(f"status ended with {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")

        taken = medians({"2": lambda: status(2), str(NODES): lambda: status(NODES)}, ROUNDS)
    few, many = taken["2"], taken[str(NODES)]
    yield Figure(f"`status` of {NODES} nodes against 2", many / few, 4, note=f"{many:.2f} s, {few:.2f} s")


def _answered(page: str, count: int) -> bool:
    """Whether every node was reached, and its Docker engine found and asked."""
    nodes = json.loads(page)["nodes"]
    silent = [n for n in nodes if n["error"] or any(text.startswith("docker:") for text in n["differences"])]
    return len(nodes) == count and not silent
