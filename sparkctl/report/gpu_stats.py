"""What the GPUs of a cluster do, as a reader wants it: per node each card, its memory, and whose processes hold it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sparkctl.amounts import plural, size
from sparkctl.core.service import LABEL_CLUSTER, LABEL_SERVICE
from sparkctl.facts.docker import CONTAINERS, ContainerFact
from sparkctl.facts.gpu import GpuProcess
from sparkctl.facts.gpu_load import GPU_LOAD, Card
from sparkctl.facts.probe import Facts
from sparkctl.report.look import Glyphs
from sparkctl.report.page import Line
from sparkctl.topology import Cluster, Node

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Holder:
    """A process that holds a GPU; `bytes` is None where the driver does not say.

    `container` is empty outside of all containers. `service` and `role` are those of this cluster's containers: the
    role is the model's name in the profile, empty where there is only one.
    """

    pid: int
    name: str
    bytes: int | None
    container: str
    service: str
    role: str


@dataclass(frozen=True)
class NodeGpus:
    """One node; `error` says why it could not be read. Memory is the machine's, in bytes.

    `unified` is true where the GPU has none of its own, as on a Spark: what the machine has is what it has.
    """

    name: str
    role: str
    error: str
    driver: bool
    unified: bool
    memory_total: int | None
    memory_available: int | None
    gpus: tuple[Card, ...]
    processes: tuple[Holder, ...]


@dataclass(frozen=True)
class GpuStats:
    """All nodes, in order of rank; `as_of` is the laptop's time of the look, ISO 8601 in UTC."""

    cluster: str
    as_of: str
    nodes: tuple[NodeGpus, ...]

    @property
    def exit_code(self) -> int:
        """0 when every node answers, 4 when none does, else 2."""
        silent = [node for node in self.nodes if node.error]
        return 0 if not silent else 4 if len(silent) == len(self.nodes) else 2


def make_gpu_stats(
    cluster: Cluster, roles: Sequence[str], facts: Facts, errors: Mapping[str, str], now: datetime
) -> GpuStats:
    """The picture; `roles` are the names of the models in the profile, which their services end with."""
    nodes = tuple(_node(cluster.name, node, roles, facts, errors.get(node.name, "")) for node in cluster.nodes)
    return GpuStats(cluster.name, now.isoformat(timespec="seconds"), nodes)


def _node(cluster: str, node: Node, roles: Sequence[str], facts: Facts, error: str) -> NodeGpus:
    load = facts.get(node.name, GPU_LOAD)
    by_id = {container.id: container for container in (facts.get(node.name, CONTAINERS) or {}).values()}
    holders = tuple(_holder(process, by_id.get(process.container), cluster, roles) for process in load.processes)
    return NodeGpus(
        name=node.name,
        role=str(node.role),
        error=error,
        driver=load.tools,
        unified=any(card.memory_total is None for card in load.cards),
        memory_total=load.memory_total,
        memory_available=load.memory_available,
        gpus=load.cards,
        processes=tuple(sorted(holders, key=lambda holder: -(holder.bytes or 0))),
    )


def _holder(process: GpuProcess, container: ContainerFact | None, cluster: str, roles: Sequence[str]) -> Holder:
    labels = container.labels if container else {}
    service = labels.get(LABEL_SERVICE, "") if labels.get(LABEL_CLUSTER) == cluster else ""
    role = max((role for role in roles if role and service.endswith(f"-{role}")), key=len, default="")
    count = None if process.mebibytes is None else process.mebibytes * 2**20
    return Holder(process.pid, process.name, count, container.name if container else process.container, service, role)


def gpu_stats_data(stats: GpuStats) -> dict[str, Any]:
    """For --json; what is unknown is left out."""
    return asdict(stats, dict_factory=lambda members: {key: value for key, value in members if value is not None})


def show_gpu_stats(stats: GpuStats, glyphs: Glyphs) -> list[Line]:
    """A block for each node."""
    lines = [Line(f"{stats.cluster}: GPUs of {plural(len(stats.nodes), 'node')}", "bold")]
    for node in stats.nodes:
        lines += [Line(""), Line(f"{node.name}  {node.role}", "bold")]
        if node.error:
            lines.append(Line(node.error, "red", 2, ((f"{glyphs.blocked} ", "bold red"),)))
            continue
        if not node.gpus:
            found = "the NVIDIA driver does not answer" if node.driver else "no NVIDIA driver"
            lines.append(Line(found, "yellow", 2, ((f"{glyphs.change} ", "yellow"),)))
        lines += [Line(_card(card), "", 2) for card in node.gpus]
        lines.append(Line(_memory(node), "", 2))
        lines += [_process(holder) for holder in node.processes]
        if node.gpus and not node.processes:
            lines.append(Line("no process holds it", "dim", 2))
    return lines


def show_in_one_line(stats: GpuStats) -> Line:
    """One look for a log: the time, then every node."""
    parts = [f"{node.name} {_short(node)}" for node in stats.nodes]
    return Line(f"{stats.as_of}  {'; '.join(parts)}")


def _short(node: NodeGpus) -> str:
    if node.error:
        return "unreachable"
    cards = [" ".join(_figures(card)) for card in node.gpus] or ["no GPU"]
    held, count = sum(holder.bytes or 0 for holder in node.processes), len(node.processes)
    return f"{', '.join(cards)} {_used(node)}, {size(held)} by {count} process{'es' * (count != 1)}"


def _card(card: Card) -> str:
    own = f"{size(card.memory_used or 0)} of {size(card.memory_total)} of its own" if card.memory_total else ""
    return "  ".join(filter(None, (card.name, *_figures(card), own)))


def _figures(card: Card) -> tuple[str, ...]:
    """Busy, heat, power, each with its unit; a question mark where the driver does not say."""
    units = (("%", card.busy), ("°C", card.celsius), ("W", card.watts))
    return tuple(f"{'?' if value is None else f'{value:.0f}'} {unit}" for unit, value in units)


def _memory(node: NodeGpus) -> str:
    shared = ", shared by GPU and CPU" if node.unified else ""
    return f"memory: {_used(node)}{shared}"


def _used(node: NodeGpus) -> str:
    if node.memory_total is None or node.memory_available is None:
        return UNKNOWN
    return f"{size(node.memory_total - node.memory_available)} of {size(node.memory_total)} used"


def _process(holder: Holder) -> Line:
    count = UNKNOWN if holder.bytes is None else size(holder.bytes)
    role = f" (role {holder.role})" if holder.role else ""
    where = (holder.service or holder.container[:40]) + role if holder.container else "in no container"
    return Line(f"{holder.name}, pid {holder.pid}", "", 4, ((f"{count:>9}  ", ""), (f"{where}  ", "cyan")))
