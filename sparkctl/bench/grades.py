"""Grades: measured figures against what two healthy Sparks reach, by public figures (docs/bench.md).

Pure. A figure is only graded where the link behind it is a real one of known speed: a virtual interface is graded by
nobody, since what it carries is what the processor copies.
"""

from collections.abc import Sequence

from sparkctl.bench.results import Grade, Link, Verdict
from sparkctl.steps.fabric import POWER_ADVICE

PASS_GBYTE = 21.875
"""NVIDIA's threshold for the bus bandwidth of an all-gather between two Sparks, 10^9 bytes a second."""
HALF_GBYTE = (10.0, 14.0)
"""Around 12: what one of the port's two PCIe halves carries."""
SOCKETS_GBYTE = 2.0
"""NCCL over sockets stays below."""
DEGRADED_GBIT = (8.0, 25.0)
"""A ConnectX-7 whose links are up and which carries no more than this is cured by removing its power alone."""
HALF_PASS_GBIT = PASS_GBYTE * 8 / 2
"""NVIDIA's threshold shared between the two halves; 92.6 and 97.3 are published for healthy ones."""
ONE_STREAM_GBIT = 12.0
MANY_STREAMS_GBIT = {9000: 185.0, 1500: 96.0}
"""iperf3 between healthy Sparks by MTU: one stream, and many."""
SHARE = 0.8
"""Of a published TCP figure that passes: our choice, as kernels and tools differ."""
OURS = "sparkctl"
"""The tool where iperf3 is missing: Python, which may be what limits it."""

_SECOND_HALF = (
    "use both halves of the port, each with an address in a subnet of its own (sparkctl setup gives them), and "
    "name both in NCCL_IB_HCA"
)
_SOCKETS = (
    "let NCCL see RoCE: ibdev2netdev on the nodes, /dev/infiniband in the container, NCCL_IB_HCA, NCCL_IB_DISABLE=0"
)


def of_ping(lost_percent: float, links: Sequence[Link]) -> Grade:
    """Packets must not get lost, on any link; no figure for the times is published."""
    if lost_percent > 0:
        nic = links[0].interface
        return Grade(Verdict.FAIL, f"{lost_percent:g} % of the packets were lost", f"ip -s link show {nic}, the cable")
    return _ungraded(links) or Grade(Verdict.PASS, "no packet was lost")


def of_transfer(gbit: float, streams: int, tool: str, links: Sequence[Link]) -> Grade:
    """TCP, by the published figures of iperf3 for the smaller MTU of both ends."""
    if ungraded := _ungraded(links):
        return ungraded
    mtu = 9000 if all((link.mtu or 0) >= 9000 for link in links) else 1500
    wanted = ONE_STREAM_GBIT if streams == 1 else MANY_STREAMS_GBIT[mtu]
    seen = f"{gbit:.1f} Gb/s; healthy Sparks reach about {wanted:g} with {_streams(streams)} at MTU {mtu}"
    if gbit >= SHARE * wanted:
        return Grade(Verdict.PASS, seen)
    if tool == OURS:
        fix = "sudo apt-get install iperf3 on both nodes, then measure again"
        return Grade(Verdict.FAIR, f"{seen}; measured by Python, which may be what limits it", fix)
    if streams > 1 and (degraded := _degraded(gbit)):
        return degraded
    if streams > 1 and gbit >= SHARE * MANY_STREAMS_GBIT[1500]:
        return Grade(Verdict.FAIR, f"{seen}; this is what one half of the port carries", _SECOND_HALF)
    return Grade(Verdict.FAIL, seen, "look for other load on both nodes (top), then: sparkctl doctor")


def of_rdma(gbit: float, links: Sequence[Link]) -> Grade:
    """RDMA through one half of the port."""
    if ungraded := _ungraded(links):
        return ungraded
    seen = f"{gbit:.1f} Gb/s; NVIDIA's threshold for both halves asks {HALF_PASS_GBIT:g} of each"
    if gbit >= HALF_PASS_GBIT:
        return Grade(Verdict.PASS, seen)
    return _degraded(gbit) or Grade(Verdict.FAIL, seen, "check cable and port: ibstat, sudo ethtool -S on both nodes")


def of_gather(gbyte: float, backend: str, transport: str, links: Sequence[Link]) -> Grade:
    """The bus bandwidth of an all-gather, at the size that went fastest."""
    if backend != "nccl":
        return Grade(Verdict.UNGRADED, "Gloo on CPUs, as the container sees no GPU: NVIDIA's threshold is for NCCL")
    if ungraded := _ungraded(links):
        return ungraded
    seen = f"{gbyte:.1f} GB/s; NVIDIA's threshold is {PASS_GBYTE:g}"
    if gbyte >= PASS_GBYTE:
        return Grade(Verdict.PASS, seen)
    if transport == "sockets" or (not transport and gbyte <= SOCKETS_GBYTE):
        return Grade(Verdict.FAIL, f"{seen}; NCCL went over sockets, not RoCE", _SOCKETS)
    if degraded := _degraded(gbyte * 8):
        return degraded
    if HALF_GBYTE[0] <= gbyte <= HALF_GBYTE[1]:
        return Grade(Verdict.FAIL, f"{seen}; about 12 is one half of the port", _SECOND_HALF)
    if gbyte > HALF_GBYTE[1]:
        return Grade(Verdict.FAIR, f"{seen}; more than one half, less than both", "measure again while nothing serves")
    return Grade(Verdict.FAIL, seen, "measure each half: sudo apt-get install perftest, then sparkctl bench fabric")


def _degraded(gbit: float) -> Grade | None:
    low, high = DEGRADED_GBIT
    if not low <= gbit <= high:
        return None
    seen = f"{gbit:.1f} Gb/s although the links are up: a degraded ConnectX-7 carries {low:g} to {high:g}"
    return Grade(Verdict.FAIL, seen, POWER_ADVICE)


def _ungraded(links: Sequence[Link]) -> Grade | None:
    """Why figures of these links are held to nothing, or None where they can be."""
    if virtual := sorted(link.node for link in links if not link.driver):
        what = f"the fabric of {' and '.join(virtual)} is a virtual interface without a speed, no ConnectX-7"
        return Grade(Verdict.UNGRADED, f"{what}: the figure is what the processor copies")
    if unknown := sorted((link.node, link.interface) for link in links if link.gbit is None):
        node, interface = unknown[0]
        return Grade(Verdict.UNGRADED, f"the speed of {interface} on {node} is unknown", f"sudo ethtool {interface}")
    return None


def _streams(count: int) -> str:
    return "one stream" if count == 1 else "many streams"
