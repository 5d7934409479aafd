"""Runs the command line on fake nodes in a process of its own: python cli_child.py FOLDER SCENARIO ARGUMENTS...

For what needs a real process: signals, pipes, terminals.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

from cli_fakes import FakeEngine, FakeLog, hosts_of, install, small_world

SCENARIOS: dict[str, dict[str, Any]] = {
    "fast": {},
    "deployed": {},
    "frozen": {},
    "spoken": {},
    "slow": {"seconds": 20.0, "total": 8 << 30},
    "brisk": {"seconds": 1.0, "total": 8 << 30},
    "stubborn": {"seconds": 600.0, "deaf": True},
    "foreign": {"actions": ("日本語 → ✓",)},
}


class _Set:
    """Sets attributes for good: the process ends with the test."""

    def setattr(self, target: str, value: object) -> None:
        module, _, name = target.rpartition(".")
        __import__(module)
        setattr(sys.modules[module], name, value)


def main() -> None:
    folder, scenario = Path(sys.argv[1]), sys.argv[2]
    world, steps = small_world(**SCENARIOS[scenario])
    if scenario == "deployed":
        world.states = {step.key: "ok" for step in steps}
    hosts = hosts_of()
    if scenario == "frozen":
        hosts["spark-2"].probes = lambda _name: time.sleep(600)
    if scenario == "spoken":
        hosts["spark-1"].engine = FakeEngine(FakeLog("vllm", "2026-01-01T00:00:01Z ready"))  # type: ignore[assignment]
        hosts["spark-2"].engine = FakeEngine()  # type: ignore[assignment]
    install(_Set(), folder, steps, hosts)
    os.chdir(folder)
    os.environ["XDG_STATE_HOME"] = str(folder / "state")
    sys.argv = ["sparkctl", *sys.argv[3:]]
    from sparkctl.__main__ import main as run

    run()


main()
