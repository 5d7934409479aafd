"""A node's facts as figures for Prometheus. What the node cannot say has no sample."""

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from pydantic import BaseModel

from sparkctl.agents.node.facts import Facts

MEMORY = {
    "total_bytes": ("memory_total_bytes", "Memory of the node."),
    "available_bytes": ("memory_available_bytes", "Memory that can be had without swapping."),
    "swap_total_bytes": ("swap_total_bytes", "Swap of the node."),
    "swap_free_bytes": ("swap_free_bytes", "Swap that is free."),
}
PRESSURE = {
    "some_percent": ("memory_pressure_some_percent", "Time of the last 10 s in which some task waited for memory."),
    "full_percent": ("memory_pressure_full_percent", "Time of the last 10 s in which all tasks waited for memory."),
}
DISK = {
    "total_bytes": ("disk_total_bytes", "Size of a file system."),
    "available_bytes": ("disk_available_bytes", "What others than root can take of it."),
}
INTERFACE = {
    "up": ("interface_up", "Whether an interface has a carrier."),
    "speed_mbit": ("interface_speed_mbit", "Its speed, in Mbit/s."),
}
CARRIED = {
    "received_bytes": ("interface_received_bytes", "Received through the kernel."),
    "sent_bytes": ("interface_sent_bytes", "Sent through the kernel."),
    "rdma_received_bytes": ("interface_rdma_received_bytes", "Received by RDMA."),
    "rdma_sent_bytes": ("interface_rdma_sent_bytes", "Sent by RDMA."),
}
GPU = {
    "utilization_percent": ("gpu_utilization_percent", "Time in which a kernel ran."),
    "memory_total_bytes": ("gpu_memory_total_bytes", "Memory of its own; GB10 has none."),
    "memory_used_bytes": ("gpu_memory_used_bytes", "What of it is taken."),
    "temperature_celsius": ("gpu_temperature_celsius", "Temperature."),
    "power_watts": ("gpu_power_watts", "Power."),
}
NODE = {
    "uptime_seconds": ("uptime_seconds", "Time since the node started."),
    "cpus": ("cpus", "Processors."),
    "load": ("load", "One-minute load average."),
}
"""Of each part of the facts: the figure that a field is, without `sparkctl_node_`, and what it says."""


class Figures(Collector):
    """One look at a node."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    def collect(self) -> Iterator[Metric]:
        """Every figure, also those without samples."""
        facts = self.facts
        yield from _of(NODE, [((), facts)])
        yield from _of(MEMORY, [((), facts.memory)])
        yield from _of(PRESSURE, [((), one) for one in (facts.pressure,) if one])
        yield from _of(DISK, [((one.path,), one) for one in facts.disks], ("path",))
        links = [((one.name, str(one.fabric).lower()), one) for one in facts.interfaces]
        yield from _of(INTERFACE, links, ("interface", "fabric"))
        yield from _of(CARRIED, links, ("interface", "fabric"), CounterMetricFamily)
        yield from _of(GPU, [((str(one.index), one.name), one) for one in facts.gpus], ("gpu", "name"))


def text(facts: Facts) -> bytes:
    """Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(Figures(facts))
    return generate_latest(registry)


def _of(
    figures: dict[str, tuple[str, str]],
    rows: Iterable[tuple[tuple[str, ...], BaseModel]],
    labels: tuple[str, ...] = (),
    family: Callable[..., GaugeMetricFamily | CounterMetricFamily] = GaugeMetricFamily,
) -> Iterator[Metric]:
    for field, (name, says) in figures.items():
        made = family(f"sparkctl_node_{name}", says, labels=labels)
        for values, row in rows:
            figure = getattr(row, field)
            if figure is not None:
                made.add_metric(values, float(figure))
        yield made
