"""How long the program takes to start, against the interpreter doing nothing."""

import sys
from collections.abc import Callable, Iterator
from functools import partial

from tests.bench.measure import BIN, Figure, medians, run

ROUNDS = 15
PROGRAM = BIN / "sparkctl"
ADDRESSES = {"CONTROL_PLANE_API_IP": "192.0.2.10", "WORKER_NODE_SSH_TARGET": "192.0.2.11"}
QUICK = 100 / 11
"""The issue's 100 ms for help and completion, where `python -c pass` takes 11 ms."""
COMPLETIONS = {("st",): "status", ("up", "--profile", ""): "stacked", ("ssh", ""): "spark-1"}
"""Words in front of the cursor, with one of the words that a shell must be offered."""


def figures() -> Iterator[Figure]:
    """`--version`, `--help`, completions and an offline check, each as a multiple of `python -c pass`."""
    commands: dict[str, Callable[[], object]] = {
        "pass": lambda: run([sys.executable, "-c", "pass"]),
        "`sparkctl --version`": lambda: run([PROGRAM, "--version"]),
        "`sparkctl --help`": lambda: run([PROGRAM, "--help"]),
        **{f"completion of `{' '.join(words)}⇥`": partial(_complete, *words) for words in COMPLETIONS},
        "`sparkctl config validate`": lambda: run([PROGRAM, "config", "validate", "--profile", "stacked"], ADDRESSES),
    }
    taken = medians(commands, ROUNDS)
    base = taken.pop("pass")
    targets = {"`sparkctl --version`": 2.5, "`sparkctl config validate`": 300 / 11}
    for name, seconds in taken.items():
        note = f"{seconds * 1000:.0f} ms, `python -c pass` {base * 1000:.0f} ms"
        yield Figure(name, seconds / base, targets.get(name, QUICK), note=note)


def _complete(*words: str) -> None:
    """Ask as the completion script of bash does."""
    answer = run([PROGRAM, *words], {"_SPARKCTL_COMPLETE": "bash"}).stdout.split()
    if COMPLETIONS[words] not in answer:
        raise SystemExit(f"sparkctl {' '.join(words)} is completed by {answer}, without {COMPLETIONS[words]}")
