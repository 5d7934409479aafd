"""An all-gather over all nodes by the PyTorch of the engine's image: what tensor parallelism asks of the fabric."""

import json
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sparkctl.bench import grades
from sparkctl.bench.container import Job, program, run_all
from sparkctl.bench.ground import Run
from sparkctl.bench.results import Gather, Gathered, Link
from sparkctl.data import node_program
from sparkctl.engines.engine import ServeSpec
from sparkctl.errors import CommandFailed
from sparkctl.topology import Cluster

MIB = 1 << 20
SIZES = {
    "cuda": [MIB, 32 * MIB, 256 * MIB, 1024 * MIB],
    "cpu": [MIB // 4, MIB, 8 * MIB, 32 * MIB],
}
"""Bytes of the whole by accelerator. 1 GiB takes one and a half of memory: little beside a model."""
ROUNDS = 10
LIMIT_SECONDS = 240

_TRANSPORT = re.compile(r"NET/(IB|Socket)\b")


@dataclass(frozen=True)
class Gathering:
    """One rank per node, in containers of the engine's image. `images` are their ids, in rank order as `links`."""

    cluster: Cluster
    spec: ServeSpec
    images: tuple[str, ...]
    links: tuple[Link, ...]
    port: int
    kind: str = "gather"

    @property
    def node(self) -> str:
        return self.cluster.head.name

    @property
    def summary(self) -> str:
        return f"all-gather over {len(self.images)} nodes in containers of {self.spec.image}"

    @property
    def detail(self) -> str:
        ranks = enumerate(self.cluster.nodes)
        return "\n".join(f"{node.name}: python3 all_gather.py '{self._orders(rank)}'" for rank, node in ranks)

    @property
    def jobs(self) -> tuple[Job, ...]:
        """The container of each rank; NCCL says in its log which way it goes."""
        source, spec = node_program("all_gather"), replace(self.spec, nccl_debug="INFO")
        return tuple(
            Job(program(spec, node, ("python3", "-c", source, self._orders(rank)), LIMIT_SECONDS, mounts=()), image)
            for rank, (node, image) in enumerate(zip(self.cluster.nodes, self.images, strict=True))
        )

    def measure(self, run: Run) -> Gather:
        """Raises CommandFailed, UnreachableError."""
        output = run_all(self.cluster, self.jobs, LIMIT_SECONDS, run)
        try:
            backend, sizes = parse(output, len(self.images))
        except ValueError as error:
            raise CommandFailed(f"the all-gather printed no figures: {error}", where=self.node) from error
        transport = transport_of(output) if backend == "nccl" else "sockets"
        best = max(size.bus_gbyte for size in sizes)
        grade = grades.of_gather(best, backend, transport, self.links)
        return Gather(backend, transport, len(self.images), sizes, grade)

    def _orders(self, rank: int) -> str:
        world, master = len(self.images), self.cluster.head.data_ip
        orders = {"rank": rank, "world": world, "master": master, "port": self.port, "sizes": SIZES, "rounds": ROUNDS}
        return json.dumps(orders)


def parse(text: str, ranks: int) -> tuple[str, tuple[Gathered, ...]]:
    """The backend and every size that rank 0 of `sparkctl/node/all_gather.py` printed. Raises ValueError.

    The bus bandwidth is what nccl-tests prints for an all-gather: the whole, less the part that is there already, over
    the time (its PERFORMANCE.md).
    """
    lines = [json.loads(line) for line in text.splitlines() if line.startswith('{"b')]
    try:
        (first, *rest) = lines
        return str(first["backend"]), tuple(_gathered(line["bytes"], line["seconds"], ranks) for line in rest if rest)
    except (KeyError, TypeError, ValueError, statistics.StatisticsError) as error:
        raise ValueError("rank 0 says nothing that is known") from error


def transport_of(log: str) -> str:
    """`RoCE` or `sockets`, as NCCL's log names the network that it uses; empty where it says nothing."""
    found = set(_TRANSPORT.findall(log))
    return "RoCE" if "IB" in found else "sockets" if "Socket" in found else ""


def _gathered(size: int, seconds: Sequence[float], ranks: int) -> Gathered:
    median = statistics.median(seconds)
    return Gathered(size, median, size * (ranks - 1) / ranks / median / 1e9)
