"""`plan` with the memory gate against `plan` without it, on two real sshd whose head has the model in its cache."""

import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.bench.measure import Figure, medians
from tests.bench.namespaces import Nodes, namespaces

ROUNDS = 15
MODEL = "models--deepseek-ai--DeepSeek-R1-Distill-Llama-8B"
CONFIG = Path(__file__).parents[1] / "unit" / "data" / "models" / "llama-3.1-8b.json"
"""The sizes of the model that the profile `stacked` serves."""
GATED = "import sparkctl.stacks.serving; from sparkctl.__main__ import main; main()"
UNGATED = f"import sparkctl.stacks.serving as stack; stack.memory_steps = lambda *_: (); {GATED}"


def figures() -> Iterator[Figure]:
    """The ratio, and the difference in milliseconds."""
    with namespaces(2) as nodes:
        _fill_cache(nodes.folder / "sparkbench0" / ".cache" / "huggingface" / "hub" / MODEL)
        taken = medians(
            {"with": partial(_plan, nodes, GATED, 2), "without": partial(_plan, nodes, UNGATED, 0)}, ROUNDS
        )
    gated, ungated = taken["with"], taken["without"]
    note = f"{gated * 1000:.0f} ms, without {ungated * 1000:.0f} ms"
    yield Figure("`plan` with the memory gate against without", gated / ungated, 1.1, note=note)
    yield Figure("what the memory gate adds to `plan`", (gated - ungated) * 1000, 50, unit="ms")


def _plan(nodes: Nodes, program: str, steps: int) -> None:
    """A plan, which those nodes block for other reasons; with so many steps of the gate, and both satisfied."""
    argv = [sys.executable, "-c", program, "plan", "--json", "--env-file", str(nodes.env_file(2))]
    done = subprocess.run(argv, capture_output=True, text=True)
    items = json.loads(done.stdout)["items"] if done.stdout else []
    found = [item["finding"] for item in items if item["step"] == "memory"]
    if len(found) != steps or "pending" in found:
        raise SystemExit(f"plan ended with {done.returncode}, gate: {found}\n{done.stderr[-2000:]}")


def _fill_cache(folder: Path) -> None:
    """The model as huggingface_hub lays it out, its weights a file with nothing in it."""
    snapshot = folder / "snapshots" / "c0ffee"
    for made in (snapshot, folder / "refs", folder / "blobs"):
        made.mkdir(parents=True)
    (folder / "refs" / "main").write_text("c0ffee")
    (snapshot / "config.json").write_text(json.dumps(json.loads(CONFIG.read_text())["config"]))
    with (snapshot / "model.safetensors").open("wb") as file:
        file.truncate(16_060_522_496)
