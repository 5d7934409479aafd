"""`plan` with the memory gate against `plan` without it, on two real sshd whose head has the model in its cache."""

import json
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from sparkctl.facts.checkpoint import checkpoint_probe
from tests.bench.measure import Figure, medians
from tests.bench.namespaces import Nodes, namespaces

ROUNDS = 11
REPO = "deepseek-ai/DeepSeek-R1-Distill-Llama-8B"
"""What the profile `stacked` serves."""
CONFIG = Path(__file__).parents[1] / "unit" / "data" / "models" / "llama-3.1-8b.json"
"""The sizes of that model."""
GATED = "import sparkctl.stacks.serving; from sparkctl.__main__ import main; main()"
UNGATED = f"import sparkctl.stacks.serving as stack; stack.memory_steps = lambda *_: (); {GATED}"


def figures() -> Iterator[Figure]:
    """The ratio of whole plans, and the processor time of all that the gate adds, here and on the head."""
    with namespaces(2) as nodes:
        cache = nodes.folder / "sparkbench0" / ".cache" / "huggingface"
        _fill(cache / "hub" / f"models--{REPO.replace('/', '--')}")
        spent: dict[str, list[float]] = {"with": [], "without": [], "look": [], "nothing": []}
        look = checkpoint_probe(str(cache), REPO, "main").script
        commands: dict[str, Callable[[], object]] = {
            "with": partial(_plan, nodes, GATED, 2),
            "without": partial(_plan, nodes, UNGATED, 0),
            "look": partial(_bash, f"(\n{look}\n)"),
            "nothing": partial(_bash, "( : )"),
        }
        taken = medians({name: partial(_meter, command, spent[name]) for name, command in commands.items()}, ROUNDS)
    cpu = {name: statistics.median(seconds) * 1000 for name, seconds in spent.items()}
    gated, ungated = taken["with"], taken["without"]
    note = f"{gated:.2f} s, without {ungated:.2f} s"
    yield Figure("`plan` with the memory gate against without", gated / ungated, 1.1, note=note)
    here, there = cpu["with"] - cpu["without"], cpu["look"] - cpu["nothing"]
    note = f"{here:.1f} ms of {cpu['without']:.0f} ms here, {there:.1f} ms on the head"
    yield Figure("processor time that the memory gate adds to `plan`", here + there, 50, unit="ms", note=note)


def _meter(command: Callable[[], object], spent: list[float]) -> None:
    """Run a command; the seconds of processor that its processes took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def _plan(nodes: Nodes, program: str, steps: int) -> None:
    """A plan, which those nodes block for other reasons; with so many steps of the gate, each of them judged."""
    argv = [sys.executable, "-c", program, "plan", "--json", "--env-file", str(nodes.env_file(2))]
    done = subprocess.run(argv, capture_output=True, text=True)
    items = json.loads(done.stdout)["items"] if done.stdout else []
    found = [item["finding"] for item in items if item["step"] == "memory"]
    if len(found) != steps or "pending" in found:
        raise SystemExit(f"plan ended with {done.returncode}, gate: {found}\n{done.stderr[-2000:]}")


def _bash(script: str) -> None:
    subprocess.run(["bash", "-s"], input=script, capture_output=True, text=True, check=True)


def _fill(folder: Path) -> None:
    """The model as huggingface_hub lays it out, its weights a file with nothing in it."""
    snapshot = folder / "snapshots" / "c0ffee"
    for made in (snapshot, folder / "refs", folder / "blobs"):
        made.mkdir(parents=True)
    (folder / "refs" / "main").write_text("c0ffee")
    (snapshot / "config.json").write_text(json.dumps(json.loads(CONFIG.read_text())["config"]))
    with (snapshot / "model.safetensors").open("wb") as file:
        file.truncate(16_060_522_496)
