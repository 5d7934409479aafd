"""`sparkctl bench fabric`: what is measured between which nodes, and doing it, one thing at a time."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from sparkctl.bench import grades
from sparkctl.bench.gather import Gathering
from sparkctl.bench.ground import PORTS, Found, Measurement, Run, Way
from sparkctl.bench.look import Seen
from sparkctl.bench.ping import Pinging
from sparkctl.bench.rdma import IB_WRITE_BW, Writing
from sparkctl.bench.results import FabricResult, Gather, LeftOut, Ping, Rdma, Transfer
from sparkctl.bench.tcp import IPERF3, Transferring
from sparkctl.engines.engine import ServeSpec
from sparkctl.errors import CommandFailed, SparkctlError
from sparkctl.topology import Cluster

KINDS = ("ping", "tcp", "rdma", "gather")
"""What can be measured, in this order: each explains the next."""


@dataclass(frozen=True)
class FabricWish:
    """What is asked for: kinds, parallel connections, and seconds of each transfer."""

    kinds: tuple[str, ...] = KINDS
    streams: int = 8
    seconds: int = 5


@dataclass(frozen=True)
class FabricPlan:
    """What will be measured, and what cannot be."""

    measurements: tuple[Measurement, ...]
    left_out: tuple[LeftOut, ...]


def plan(cluster: Cluster, seen: Mapping[str, Seen], spec: ServeSpec | None, wish: FabricWish) -> FabricPlan:
    """Every measurement in order; `spec` is the engine's whose image gathers. Pure.

    Raises SparkctlError where there is no fabric to measure.
    """
    lacking = [node.name for node in cluster.nodes if not node.fabric_ip]
    if len(cluster.nodes) < 2 or lacking:
        what = f"{lacking[0]} has no fabric address" if lacking and cluster.workers else "one node has no fabric"
        raise SparkctlError(what, where=cluster.name, fix="two nodes with fabric addresses: sparkctl init")
    ways = tuple(_ways(cluster, seen))
    makers = {"ping": _pings, "tcp": _transfers, "rdma": _writes}
    made = [one for kind in KINDS if kind in wish.kinds and kind in makers for one in makers[kind](ways, seen, wish)]
    if "gather" in wish.kinds:
        made.append(_gathering(cluster, seen, spec))
    measurements = tuple(one for one in made if not isinstance(one, LeftOut))
    return FabricPlan(measurements, tuple(one for one in made if isinstance(one, LeftOut)))


def measure(made: FabricPlan, run: Run, empty: FabricResult) -> FabricResult:
    """Take every figure; what fails is left out with its reason. Raises UnreachableError."""
    found: list[Found] = []
    left = list(made.left_out)
    for one in made.measurements:
        run.say(one.summary)
        try:
            found.append(one.measure(run))
        except CommandFailed as error:
            left.append(LeftOut(one.summary, one.node, error.what, error.fix))
    return replace(
        empty,
        ping=tuple(one for one in found if isinstance(one, Ping)),
        tcp=tuple(one for one in found if isinstance(one, Transfer)),
        rdma=tuple(one for one in found if isinstance(one, Rdma)),
        gather=next((one for one in found if isinstance(one, Gather)), None),
        left_out=tuple(left),
    )


def _ways(cluster: Cluster, seen: Mapping[str, Seen]) -> Iterator[Way]:
    """Between neighbours in rank order, both directions; with more than two nodes the last and the first, too."""
    nodes = cluster.nodes
    pairs = [*pairwise(nodes), *([(nodes[-1], nodes[0])] if len(nodes) > 2 else [])]
    for one, other in pairs:
        for source, target in ((one, other), (other, one)):
            port = free_port(seen[target.name])
            yield Way(source, target, seen[source.name].link, seen[target.name].link, port)


def free_port(*seen: Seen) -> int:
    """A port of PORTS on which nothing listens on any of these nodes. Raises SparkctlError."""
    taken = frozenset[int]().union(*(one.ground.ports for one in seen))
    port = next((port for port in PORTS if port not in taken), None)
    if port is None:
        where = ", ".join(one.node.name for one in seen)
        raise SparkctlError(
            f"no port of {PORTS[0]} to {PORTS[-1]} is free", where=where, fix="ss -ltnp shows who listens"
        )
    return port


def _pings(ways: Sequence[Way], seen: Mapping[str, Seen], _wish: FabricWish) -> Iterator[Measurement | LeftOut]:
    """Of ordinary size, and of the largest that both ends take, each pair once: a ping goes there and back."""
    for way in ways[::2]:
        if not seen[way.source.name].has("ping"):
            yield LeftOut("ping", way.source.name, "ping is not installed", "sudo apt-get install iputils-ping")
            continue
        yield Pinging(way)
        if mtu := min(way.near.mtu or 0, way.far.mtu or 0):
            yield Pinging(way, mtu)


def _transfers(ways: Sequence[Way], seen: Mapping[str, Seen], wish: FabricWish) -> Iterator[Measurement | LeftOut]:
    names = {node for way in ways for node in (way.source.name, way.target.name)}
    lacking = sorted(name for name in names if not seen[name].has(IPERF3))
    tool = grades.OURS if lacking else IPERF3
    if lacking:
        why = "iperf3 is not installed; measured by sparkctl's own sender, in Python"
        yield LeftOut(IPERF3, ", ".join(lacking), why, "sudo apt-get install iperf3")
    for way in ways:
        for streams in dict.fromkeys((1, wish.streams)):
            yield Transferring(way, tool, streams, wish.seconds)


def _writes(ways: Sequence[Way], seen: Mapping[str, Seen], _wish: FabricWish) -> Iterator[Measurement | LeftOut]:
    """Through every half that is up at both ends, each pair once."""
    for way in ways[::2]:
        ends = way.source.name, way.target.name
        lacking = [name for name in ends if not seen[name].has(IB_WRITE_BW)]
        devices = [device for device in way.near.rdma if device in way.far.rdma]
        if not devices:
            why = "no RoCE device of the fabric's port is up at both ends"
            yield LeftOut(IB_WRITE_BW, ", ".join(ends), why, "look at: ibdev2netdev")
        elif lacking:
            why = "ib_write_bw is not installed"
            yield LeftOut(IB_WRITE_BW, ", ".join(lacking), why, "sudo apt-get install perftest")
        else:
            yield from (Writing(way, device) for device in devices)


def _gathering(cluster: Cluster, seen: Mapping[str, Seen], spec: ServeSpec | None) -> Measurement | LeftOut:
    if spec is None:
        return LeftOut("all-gather", cluster.name, "this deployment has no engine whose image could be used")
    lacking = [node.name for node in cluster.nodes if not seen[node.name].image]
    if lacking:
        why = "the engine's image is not there"
        return LeftOut("all-gather", ", ".join(lacking), why, "sparkctl up --until image")
    nodes = [seen[node.name] for node in cluster.nodes]
    images = tuple(one.image.id for one in nodes if one.image)
    return Gathering(cluster, spec, images, tuple(one.link for one in nodes), free_port(*nodes))
