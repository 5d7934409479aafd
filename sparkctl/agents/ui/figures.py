"""What the overview shows of a node, worked out from what the node said: shares, rates, alarms. No I/O."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from sparkctl.agents.node.facts import Facts, Interface
from sparkctl.agents.ui.shapes import Member
from sparkctl.agents.ui.watch import Watched

LOW_MEMORY, NO_MEMORY = 5.0, 2.5
"""Percent available: of a Spark's memory, what the memory guard's `low_gib` and `floor_gib` are by default."""
STALLED_PERCENT = 20.0
"""Of time in which every task waited for memory; the memory guard's `pressure_percent`."""
LOW_DISK = 5.0
"""Percent available."""


@dataclass(frozen=True)
class Alarm:
    """Something that somebody should look at: where, what, and since when as Unix time, where that is known."""

    level: Literal["bad", "warning"]
    where: str
    what: str
    since: float | None = None


def share(part: float, whole: float) -> float:
    """Percent; 0 of nothing."""
    return 100 * part / whole if whole else 0.0


def memory_used(facts: Facts) -> float:
    """Percent of memory that is not available."""
    return 100 - share(facts.memory.available_bytes, facts.memory.total_bytes)


def gpu_busy(facts: Facts) -> float | None:
    """Percent, the mean of the node's cards; None where no card says."""
    known = [gpu.utilization_percent for gpu in facts.gpus if gpu.utilization_percent is not None]
    return sum(known) / len(known) if known else None


def series(looks: Iterable[Facts | None], of: Callable[[Facts], float | None]) -> list[float | None]:
    """A figure of every look; None where there was none."""
    return [of(facts) if facts else None for facts in looks]


def peak(values: Iterable[float | None]) -> float:
    """The largest, and never nothing: the top of a sparkline."""
    return max((value for value in values if value is not None), default=0.0) or 1.0


def speed(mbit: int | None) -> str:
    """The speed of a link for people."""
    if mbit is None:
        return "speed unknown"
    return f"{mbit / 1000:g} Gbit/s" if mbit >= 1000 else f"{mbit} Mbit/s"


def carried(interface: Interface) -> int:
    """Bytes in both directions since the node started; with RDMA, which the kernel does not count."""
    rdma = (interface.rdma_received_bytes or 0) + (interface.rdma_sent_bytes or 0)
    return interface.received_bytes + interface.sent_bytes + rdma


def rates(looks: Iterable[Facts | None], name: str) -> list[float | None]:
    """Bytes per second of an interface between one look and the next; None where one of them is missing."""
    found: list[float | None] = []
    before: tuple[float, int] | None = None
    for facts in looks:
        one = next((one for one in facts.interfaces if one.name == name), None) if facts else None
        now = (facts.at, carried(one)) if facts and one else None
        found.append(_rate(before, now))
        before = now
    return found[1:]


def _rate(before: tuple[float, int] | None, now: tuple[float, int] | None) -> float | None:
    if before is None or now is None or now[0] <= before[0] or now[1] < before[1]:
        return None
    return (now[1] - before[1]) / (now[0] - before[0])


def alarms(gateway: Watched, nodes: Iterable[Watched], team: Iterable[Member]) -> list[Alarm]:
    """Everything that is wrong, the bad first."""
    found: list[Alarm] = []
    if gateway.error:
        found.append(Alarm("bad", "gateway", f"does not answer: {gateway.error}", gateway.since))
    for node in nodes:
        if node.error:
            found.append(Alarm("bad", node.name, f"does not answer: {node.error}", node.since))
        elif node.facts:
            found.extend(_of_node(node.name, node.facts))
    found += [Alarm("bad", one.name, f"its model {one.model} does not answer") for one in team if one.healthy is False]
    return sorted(found, key=lambda alarm: alarm.level)


def _of_node(name: str, facts: Facts) -> Iterator[Alarm]:
    available = share(facts.memory.available_bytes, facts.memory.total_bytes)
    if available < LOW_MEMORY:
        yield Alarm("bad" if available < NO_MEMORY else "warning", name, f"{available:.1f} % of memory is available")
    if facts.pressure and facts.pressure.full_percent >= STALLED_PERCENT:
        yield Alarm("warning", name, f"waits for memory {facts.pressure.full_percent:.0f} % of the time")
    for interface in facts.interfaces:
        if interface.fabric and not interface.up:
            yield Alarm("bad", name, f"fabric interface {interface.name} is down")
    for disk in facts.disks:
        left = share(disk.available_bytes, disk.total_bytes)
        if left < LOW_DISK:
            yield Alarm("warning", name, f"{left:.1f} % of {disk.path} is left")
