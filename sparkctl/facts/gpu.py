"""The GPU of a node, its driver, and the processes that hold it."""

import re
from dataclasses import dataclass

from sparkctl.facts.lines import number, values
from sparkctl.facts.probe import Answer, Probe
from sparkctl.facts.processes import CGROUPS_SCRIPT, container_ids

_SCRIPT = """\
command -v nvidia-smi >/dev/null || exit 0
echo driver=installed
ask() { timeout -k 1 15 nvidia-smi "--query-$1" --format=csv,noheader,nounits; }
{ ask gpu=name,driver_version,uuid | sed 's/^/gpu=/' & }
held=$(ask compute-apps=pid,process_name,used_memory); wait
printf '%s\\n' "$held" | sed 's/^/app=/'
pids=$(printf '%s\\n' "$held" | cut -d, -f1 | tr -dc '0-9\\n')
"""


@dataclass(frozen=True)
class GpuProcess:
    """A process that holds GPU memory; `mebibytes` is None where the driver does not say, as on GB10 at times."""

    pid: int
    name: str
    mebibytes: int | None
    container: str


@dataclass(frozen=True)
class GpuFact:
    """The GPUs of one node: their names and the driver's version; empty where there is none."""

    tools: bool
    names: tuple[str, ...]
    driver: str
    processes: tuple[GpuProcess, ...]


GPU: Probe[GpuFact] = Probe("gpu", _SCRIPT + CGROUPS_SCRIPT, lambda answer: _gpu(answer))
"""What the driver says; memory is not asked for, as unified memory is reported as `[N/A]` (facts.md, A)."""


def _gpu(answer: Answer) -> GpuFact:
    found = values(answer.stdout)
    rows = [[cell.strip() for cell in line.split(",")] for line in found.get("gpu", ())]
    cards = [row for row in rows if len(row) == 3 and row[2].startswith("GPU-")]
    driver = next((row[1] for row in cards if re.fullmatch(r"[0-9]+(\.[0-9]+)*", row[1])), "")
    return GpuFact("driver" in found, tuple(row[0] for row in cards), driver, _processes(found))


def _processes(found: dict[str, list[str]]) -> tuple[GpuProcess, ...]:
    containers = container_ids(found.get("cgroup", ()))
    processes = []
    for line in found.get("app", ()):
        first, _, rest = line.partition(",")
        name, _, memory = rest.rpartition(",")
        pid = number(first)
        if pid is not None:
            processes.append(GpuProcess(pid, name.strip(), number(memory), containers.get(pid, "")))
    return tuple(processes)
