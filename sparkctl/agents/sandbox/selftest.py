"""The isolation self-test: tries from inside what no job may do. Until all of it is denied, no code is run."""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sparkctl.agents.core.failure import Failure
from sparkctl.agents.sandbox import jobs, landlock
from sparkctl.agents.sandbox.job import Limits, Result, run
from sparkctl.agents.sandbox.languages import present
from sparkctl.agents.sandbox.workspace import Workspaces

USER = "sparkctl self-test"
CANARY = "of another session"
MARGIN = 64
"""How far above the container's own limits is tried: MiB, and processes."""
SECONDS = 60.0
"""Of each attempt: all end by themselves, and a pause of the machine must not count as a fault until a restart."""
STATUS = {"CapEff": 0, "CapPrm": 0, "CapBnd": 0, "NoNewPrivs": 1, "Seccomp": 2}
"""What /proc/1/status must say: no capability, none to be had, system calls filtered."""


@dataclass(frozen=True)
class Check:
    """One thing that must not be possible; `fault` says why it is, and is empty where it is not."""

    name: str
    fault: str


@dataclass(frozen=True)
class Report:
    """The self-test of this container's start."""

    checks: tuple[Check, ...]
    languages: tuple[str, ...]
    landlock: int

    @property
    def faults(self) -> str:
        """What is wrong, in one line; empty where all is denied."""
        return "; ".join(f"{one.name}: {one.fault}" for one in self.checks if one.fault)


async def examine(workspaces: Workspaces, socket: Path, memory_mib: int, processes: int) -> Report:
    """Look at this process, then try from inside a job. What cannot be tried is a fault too."""
    checks = list(facts())
    if not any(one.fault for one in checks):
        try:
            checks += await tried(workspaces, socket, memory_mib, processes)
        except (Failure, OSError) as error:
            checks.append(Check("the attempts", f"they could not be made: {error}"))
    return Report(tuple(checks), present(), landlock.abi())


async def tried(workspaces: Workspaces, socket: Path, memory_mib: int, processes: int) -> list[Check]:
    """What the attempts came to. Raises Failure, OSError where they cannot be made."""
    limits = Limits(SECONDS, workspaces.limit, 64 * 1024)
    other = workspaces.of(USER, "other")
    other.write("canary", CANARY)
    given: dict[str, dict[str, object]] = {
        "escapes": {"other": str(other.path / "canary"), "socket": str(socket)},
        "memory": {"mib": memory_mib + MARGIN},
        "processes": {"most": processes + MARGIN},
    }
    checks: list[Check] = []
    for name, words in given.items():
        result = await run(workspaces.of(USER, name), jobs.attempt(name, words), limits)
        checks += verdicts(name, result)
    checks.append(Check("another session's file", "" if other.read("canary").content == CANARY else "it was changed"))
    for name in ("other", *given):
        workspaces.forget(USER, name)
    return checks


def facts() -> Iterator[Check]:
    """What this process can say of itself."""
    version = landlock.abi()
    found = f"ABI {version}, and {landlock.NEEDED} is needed" if version else "this kernel offers none"
    yield Check("Landlock", found if version < landlock.NEEDED else "")
    lines = (line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
    status = {name: words.strip() for name, words in lines}
    for name, wanted in STATUS.items():
        value = int(status.get(name, "-1"), 16)
        yield Check(name, "" if value == wanted else f"it is {value:#x}, and must be {wanted}")
    yield Check("not root", "" if os.getuid() else "the container runs as root")
    yield Check(
        "read-only root", "" if os.statvfs("/").f_flag & os.ST_RDONLY else "the container's root can be written"
    )


def verdicts(name: str, result: Result) -> Iterator[Check]:
    """What the attempts said; an attempt at a limit is denied where its job was ended for it."""
    said: dict[str, str] = {}
    with suppress(ValueError):
        said = json.loads(result.output)
    if name == "memory" and not said:
        ended = result.exit_code != 0
        said = {"memory above the limit": "" if ended else "nobody knows"}
    if not said:
        yield Check(name, f"the attempts ended with {result.exit_code}: {result.output[-300:]}")
    for one, fault in said.items():
        yield Check(one, fault)
