"""How long the program takes to start, against the interpreter doing nothing."""

import sys
from collections.abc import Iterator

from tests.bench.measure import BIN, Figure, medians, run

ROUNDS = 15
ADDRESSES = {"CONTROL_PLANE_API_IP": "192.0.2.10", "WORKER_NODE_SSH_TARGET": "192.0.2.11"}


def figures() -> Iterator[Figure]:
    """`--version`, `--help` and completion, each as a multiple of `python -c pass`."""
    complete = {
        "_SPARKCTL_COMPLETE": "complete_bash",
        "COMP_WORDS": "sparkctl st",
        "COMP_CWORD": "1",
    }
    program = BIN / "sparkctl"
    taken = medians(
        {
            "pass": lambda: run([sys.executable, "-c", "pass"]),
            "--version": lambda: run([program, "--version"]),
            "--help": lambda: run([program, "--help"]),
            "completion": lambda: run([program], complete),
            "config validate": lambda: run([program, "config", "validate", "--profile", "stacked"], ADDRESSES),
        },
        ROUNDS,
    )
    base = taken.pop("pass")
    targets = {"--version": 2.5, "--help": 100 / 11, "completion": 100 / 11, "config validate": 300 / 11}
    for name, seconds in taken.items():
        note = f"{seconds * 1000:.0f} ms, `python -c pass` {base * 1000:.0f} ms"
        yield Figure(f"`sparkctl {name}` against `python -c pass`", seconds / base, targets[name], note=note)
