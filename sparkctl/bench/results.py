"""What a bench found, as plain data: exactly what its JSON document holds (docs/json.md).

Addresses, keys and logs have no place here: nodes are named, unless the user asks for their addresses.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

MANY = 100
"""Requests, of which the 99th percentile says more than the longest time does."""


class Verdict(StrEnum):
    """How a figure stands against what a Spark is known to reach; `ungraded` where nothing is known to hold it to."""

    PASS = "pass"  # noqa: S105 - no password
    FAIR = "fair"
    FAIL = "fail"
    UNGRADED = "ungraded"


@dataclass(frozen=True)
class Grade:
    """A verdict with its reason, and what to do next where there is something to do."""

    verdict: Verdict
    reason: str
    next: str = ""


@dataclass(frozen=True)
class Machine:
    """One node. `spark` is true where an NVIDIA driver runs a GB10 on aarch64; addresses only where asked for."""

    name: str
    architecture: str
    gpu: str
    spark: bool
    address: str = ""
    fabric_ip: str = ""


@dataclass(frozen=True)
class Link:
    """A node's fabric interface. `driver` is empty for a virtual one; `gbit` is None where its speed is unknown."""

    node: str
    interface: str
    driver: str
    gbit: float | None
    mtu: int | None
    rdma: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ping:
    """Packets of `size` bytes, headers included, from one node to another; times in milliseconds, None without one."""

    source: str
    target: str
    size: int
    sent: int
    lost_percent: float
    min_ms: float | None
    avg_ms: float | None
    max_ms: float | None
    grade: Grade

    @property
    def subject(self) -> str:
        """What it is called."""
        return f"ping {self.source} to {self.target}, {self.size} bytes"


@dataclass(frozen=True)
class Transfer:
    """TCP from one node to another for `seconds`; `gbit` in 10^9 bits a second, counted where they arrive."""

    source: str
    target: str
    tool: str
    streams: int
    seconds: float
    gbit: float
    grade: Grade

    @property
    def subject(self) -> str:
        """What it is called."""
        return f"TCP {self.source} to {self.target}, {self.streams} connection{'s' * (self.streams != 1)}"


@dataclass(frozen=True)
class Rdma:
    """RDMA writes through one RoCE device of both nodes; `gbit` in 10^9 bits a second, on average."""

    source: str
    target: str
    device: str
    gbit: float
    grade: Grade

    @property
    def subject(self) -> str:
        """What it is called."""
        return f"RDMA {self.source} to {self.target}, {self.device}"


@dataclass(frozen=True)
class Gathered:
    """An all-gather of `bytes` in all; the median of its rounds. `bus_gbyte` is in 10^9 bytes a second per link."""

    bytes: int
    seconds: float
    bus_gbyte: float


@dataclass(frozen=True)
class Gather:
    """All-gathers of several sizes over all ranks; `transport` is what NCCL's log names, or sockets."""

    backend: str
    transport: str
    ranks: int
    sizes: tuple[Gathered, ...]
    grade: Grade

    @property
    def subject(self) -> str:
        """What it is called."""
        return f"all-gather over {self.ranks} ranks"

    @property
    def best(self) -> Gathered:
        """The size that went fastest."""
        return max(self.sizes, key=lambda size: size.bus_gbyte)


@dataclass(frozen=True)
class LeftOut:
    """What was not measured, and why."""

    what: str
    node: str
    why: str
    next: str = ""


@dataclass(frozen=True)
class FabricResult:
    """What `sparkctl bench fabric` found. `taken` is UTC in ISO 8601, `busy` what served meanwhile."""

    taken: str
    version: str
    cluster: str
    machines: tuple[Machine, ...]
    links: tuple[Link, ...]
    busy: tuple[str, ...] = ()
    ping: tuple[Ping, ...] = ()
    tcp: tuple[Transfer, ...] = ()
    rdma: tuple[Rdma, ...] = ()
    gather: Gather | None = None
    left_out: tuple[LeftOut, ...] = ()
    schema: Literal["sparkctl/bench-fabric/1"] = "sparkctl/bench-fabric/1"

    @property
    def grades(self) -> dict[Grade, tuple[str, ...]]:
        """Every grade that was given, each once with what it was given for."""
        measured = (*self.ping, *self.tcp, *self.rdma, *((self.gather,) if self.gather else ()))
        found: dict[Grade, tuple[str, ...]] = {}
        for one in measured:
            found[one.grade] = (*found.get(one.grade, ()), one.subject)
        return found

    @property
    def verdict(self) -> Verdict:
        """The worst of all grades; ungraded where nothing could be graded."""
        found = {grade.verdict for grade in self.grades}
        order = (Verdict.FAIL, Verdict.FAIR, Verdict.PASS)
        return next((verdict for verdict in order if verdict in found), Verdict.UNGRADED)


@dataclass(frozen=True)
class Spread:
    """How a time is distributed, in milliseconds."""

    mean: float
    median: float
    p90: float
    p99: float


@dataclass(frozen=True)
class Level:
    """One concurrency: so many requests at once, each for `Load.output_tokens` tokens.

    `ttft` is the time to the first token, `tpot` the mean time of each token after it, `itl` the time between two
    pieces of the stream, `e2e` the whole request. Counts of tokens are those of all requests; `seconds` of all of it.
    """

    concurrency: int
    requests: int
    failed: int
    seconds: float
    input_tokens: int
    output_tokens: int
    ttft: Spread
    tpot: Spread
    itl: Spread
    e2e: Spread

    @property
    def output_rate(self) -> float:
        """Tokens a second of all requests together."""
        return self.output_tokens / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class Load:
    """What each request asked for: tokens in and out, and how many requests for each one at once."""

    input_tokens: int
    output_tokens: int
    rounds: int


@dataclass(frozen=True)
class Model:
    """What served: `image` without the registry's address, `nodes` in rank order."""

    id: str
    name: str
    engine: str
    image: str
    tensor_parallel: int
    nodes: tuple[str, ...]


@dataclass(frozen=True)
class Roofline:
    """What the memory's bandwidth allows one request: `tokens_per_s`, of which `reached` is the measured share.

    Where it is not `known`, `note` says why and the figures are None.
    """

    known: bool
    note: str
    bandwidth_gbyte: float | None = None
    active_gbyte: float | None = None
    tokens_per_s: float | None = None
    reached: float | None = None


@dataclass(frozen=True)
class ServeResult:
    """What `sparkctl bench serve` found; `tool` measured, `place` says from where."""

    taken: str
    version: str
    cluster: str
    machines: tuple[Machine, ...]
    model: Model
    tool: str
    place: str
    load: Load
    levels: tuple[Level, ...]
    roofline: Roofline
    notes: tuple[str, ...] = field(default=())
    schema: Literal["sparkctl/bench-serve/1"] = "sparkctl/bench-serve/1"

    @property
    def failures(self) -> tuple[str, ...]:
        """The levels of which requests failed, in words: their figures are those of the others."""
        return tuple(
            f"{level.failed} of {level.requests} requests failed with {level.concurrency} at a time"
            for level in self.levels
            if level.failed
        )

    @property
    def few(self) -> str:
        """What the 99th percentile of fewer than a hundred requests is worth; empty where there are more."""
        least = min((level.requests for level in self.levels), default=MANY)
        if least >= MANY:
            return ""
        return f"of {least} requests the 99th percentile is little else than the slowest: --rounds asks for more"


Outcome = FabricResult | ServeResult
