"""What the GPUs of a node do at this moment, and the memory that they share with the machine."""

from dataclasses import dataclass

from sparkctl.facts.gpu import GpuProcess, gpu_processes, gpu_rows, gpu_script
from sparkctl.facts.host import MEMORY_SCRIPT
from sparkctl.facts.lines import decimal, pairs, quantity, values
from sparkctl.facts.probe import Answer, Probe

FIELDS = ("name", "utilization.gpu", "temperature.gpu", "power.draw", "memory.total", "memory.used")


@dataclass(frozen=True)
class Card:
    """One GPU: percent busy, degrees Celsius, watts, bytes. None is unknown, as memory is on GB10 (facts.md, A)."""

    name: str
    busy: float | None
    celsius: float | None
    watts: float | None
    memory_total: int | None
    memory_used: int | None


@dataclass(frozen=True)
class GpuLoad:
    """The cards of one node, who holds them, and the machine's own memory in bytes; None is unknown."""

    tools: bool
    cards: tuple[Card, ...]
    processes: tuple[GpuProcess, ...]
    memory_total: int | None
    memory_available: int | None


GPU_LOAD: Probe[GpuLoad] = Probe("gpu-load", MEMORY_SCRIPT + gpu_script(*FIELDS), lambda answer: _load(answer))
"""One look."""


def _load(answer: Answer) -> GpuLoad:
    found, memory = values(answer.stdout), pairs(answer.stdout)
    return GpuLoad(
        tools="driver" in found,
        cards=tuple(_card(*row) for row in gpu_rows(found, len(FIELDS))),
        processes=gpu_processes(found),
        memory_total=quantity(memory.get("MemTotal"), 1024),
        memory_available=quantity(memory.get("MemAvailable"), 1024),
    )


def _card(name: str, busy: str, celsius: str, watts: str, total: str, used: str) -> Card:
    mebibyte = 2**20
    return Card(
        name, decimal(busy), decimal(celsius), decimal(watts), quantity(total, mebibyte), quantity(used, mebibyte)
    )
