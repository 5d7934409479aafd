"""The GPU of a node, its driver, and the processes that hold it."""

import re
from dataclasses import dataclass

from sparkctl.facts.lines import number, values
from sparkctl.facts.probe import Answer, Probe
from sparkctl.facts.processes import CGROUPS_SCRIPT, container_ids


def gpu_script(*fields: str) -> str:
    """What asks the driver for fields of every card, and for the processes that hold one, with their containers."""
    return f"""\
command -v nvidia-smi >/dev/null || exit 0
echo driver=installed
ask() {{ timeout -k 1 15 nvidia-smi "--query-$1" --format=csv,noheader,nounits; }}
{{ ask gpu={",".join(fields)},uuid | sed 's/^/gpu=/' & }}
held=$(ask compute-apps=pid,process_name,used_memory); wait
printf '%s\\n' "$held" | sed 's/^/app=/'
pids=$(printf '%s\\n' "$held" | cut -d, -f1 | tr -dc '0-9\\n')
{CGROUPS_SCRIPT}"""


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


GPU: Probe[GpuFact] = Probe("gpu", gpu_script("name", "driver_version"), lambda answer: _gpu(answer))
"""What the driver says; memory is not asked for, as unified memory is reported as `[N/A]` (facts.md, A)."""


CUDA: Probe[str] = Probe(
    "cuda",
    "timeout -k 1 15 nvidia-smi | sed -n 's/.*CUDA Version: *\\([0-9.]*\\).*/\\1/p' | head -n 1",
    lambda answer: found[0] if (found := re.findall(r"^[0-9]+\.[0-9.]+$", answer.stdout, re.MULTILINE)) else "",
)
"""The newest CUDA that the driver can run, such as 13.0; only the table of nvidia-smi has it. Empty where unknown."""


def _gpu(answer: Answer) -> GpuFact:
    found = values(answer.stdout)
    cards = gpu_rows(found, 2)
    driver = next((row[1] for row in cards if re.fullmatch(r"[0-9]+(\.[0-9]+)*", row[1])), "")
    return GpuFact("driver" in found, tuple(row[0] for row in cards), driver, gpu_processes(found))


def gpu_rows(found: dict[str, list[str]], fields: int) -> list[list[str]]:
    """The fields of each card; what is no answer of a driver is left out, by the UUID that it lacks."""
    rows = [[cell.strip() for cell in line.split(",")] for line in found.get("gpu", ())]
    return [row[:-1] for row in rows if len(row) == fields + 1 and row[-1].startswith("GPU-")]


def gpu_processes(found: dict[str, list[str]]) -> tuple[GpuProcess, ...]:
    """Who holds a card."""
    containers = container_ids(found.get("cgroup", ()))
    processes = []
    for line in found.get("app", ()):
        first, _, rest = line.partition(",")
        name, _, memory = rest.rpartition(",")
        pid = number(first)
        if pid is not None:
            processes.append(GpuProcess(pid, name.strip(), number(memory), containers.get(pid, "")))
    return tuple(processes)
