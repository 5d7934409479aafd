"""Measuring whole commands, interleaved, so that a noisy machine is noisy for all of them."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

BIN = Path(sys.executable).parent
"""Where the console scripts of this environment lie."""


@dataclass(frozen=True)
class Figure:
    """One figure against its target. `value` and `target` are ratios unless `unit` says otherwise."""

    name: str
    value: float
    target: float
    at_least: bool = False
    unit: str = "×"
    note: str = ""

    @property
    def reached(self) -> bool:
        """Whether the target was reached."""
        return self.value >= self.target if self.at_least else self.value <= self.target

    def row(self) -> str:
        """A line of a Markdown table."""
        sign = "≥" if self.at_least else "≤"
        mark = "reached" if self.reached else "**missed**"
        value, target = (f"{number:.3g} {self.unit}" for number in (self.value, self.target))
        return f"| {self.name} | {value} | {sign} {target} | {mark} | {self.note} |"


def run(argv: Sequence[str | Path], env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command that must succeed."""
    done = subprocess.run(
        [str(word) for word in argv], env={**os.environ, **(env or {})}, text=True, capture_output=True
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, argv))} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


def medians(commands: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each command over so many rounds, taken in turn, after one round that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(rounds + 1):
        for name, command in commands.items():
            began = time.perf_counter()
            command()
            if turn:
                seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(taken) for name, taken in seconds.items()}


def peak_mib(argv: Sequence[str | Path], env: Mapping[str, str] | None = None) -> float:
    """The largest resident size of a command and its children, in MiB, as the kernel counted it."""
    code = (
        "import json, resource, subprocess, sys; r = subprocess.run(sys.argv[1:], capture_output=True).returncode; "
        "print(r, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    words = run([sys.executable, "-c", code, *argv], env).stdout.split()
    if words[0] != "0":
        raise SystemExit(f"{' '.join(map(str, argv))} ended with {words[0]}")
    return int(words[1]) / 1024
