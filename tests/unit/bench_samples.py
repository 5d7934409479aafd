"""Results of benches as tests need them: of two healthy Sparks as public figures describe them, and of the lab."""

from dataclasses import replace

from sparkctl.bench import grades
from sparkctl.bench.results import (
    FabricResult,
    Gather,
    Gathered,
    LeftOut,
    Level,
    Link,
    Load,
    Machine,
    Model,
    Ping,
    Rdma,
    Roofline,
    ServeResult,
    Spread,
    Transfer,
)

SPARKS = tuple(Machine(f"spark-{n}", "aarch64", "NVIDIA GB10", spark=True) for n in (1, 2))
LINKS = tuple(Link(f"spark-{n}", "enp1s0f1np1", "mlx5_core", 200.0, 9000, ("rocep1s0f1",)) for n in (1, 2))
VIRTUAL = tuple(replace(link, driver="", gbit=None) for link in LINKS)
ENDS = ("spark-1", "spark-2")


def fabric(gbit: float = 180.5, gbyte: float = 22.75) -> FabricResult:
    """A result of two Sparks whose TCP and all-gather reached this."""
    ping = Ping(*ENDS, 84, 20, 0.0, 0.0125, 0.0337, 0.0875, grades.of_ping(0.0, LINKS))
    transfer = Transfer(*ENDS, "iperf3", 8, 5.0, gbit, grades.of_transfer(gbit, 8, "iperf3", LINKS))
    rdma = Rdma(*ENDS, "rocep1s0f1", 92.57, grades.of_rdma(92.57, LINKS))
    sizes = (Gathered(1 << 25, 0.00095, 17.66), Gathered(1 << 30, 0.0236, gbyte))
    gather = Gather("nccl", "RoCE", 2, sizes, grades.of_gather(gbyte, "nccl", "RoCE", LINKS))
    left = (LeftOut("ib_write_bw", "spark-1", "roceP2p1s0f1 is down", "look at: ibdev2netdev"),)
    return FabricResult(
        "2026-11-21T12:00:00+00:00",
        "0.1.0",
        "demo",
        SPARKS,
        LINKS,
        ("vllm on spark-1",),
        (ping,),
        (transfer,),
        (rdma,),
        gather,
        left,
    )


def level(concurrency: int, tpot: float = 17.25) -> Level:
    """One level with times that are found again by their fractions."""
    spread = Spread(tpot, tpot, tpot * 1.1, tpot * 1.2)
    first = Spread(111.11, 101.01, 121.21, 131.31)
    return Level(concurrency, 4 * concurrency, 1, 8.0, 1024, 512 * concurrency, first, spread, spread, first)


def serve(tool: str = "vllm bench serve") -> ServeResult:
    """A result of a model over two Sparks."""
    return ServeResult(
        "2026-11-21T12:00:00+00:00",
        "0.1.0",
        "demo",
        SPARKS,
        Model("openai/gpt-oss-120b", "gpt-oss-120b", "vllm", "nvidia/vllm:25.11-py3", 2, ENDS),
        tool,
        "a container of the engine's image on spark-1",
        Load(256, 128, 4),
        (level(1), level(8, 40.5)),
        Roofline(True, "2 x 273 GB/s over 3.0 GB", 546.0, 3.0, 182.0, 0.32),
        ("something to keep in mind",),
    )
