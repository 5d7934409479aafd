"""Look at this machine: its `/proc`, its `/sys`, its disks, its driver. Nothing is written."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sparkctl.agents.node.cards import Cards
from sparkctl.agents.node.facts import Disk, Facts, Interface, Memory, Pressure

RDMA_WORD = 4
"""Bytes of one unit of `port_rcv_data` and `port_xmit_data`: InfiniBand counts 32-bit words."""


@dataclass(frozen=True)
class Place:
    """What is looked at. An interface is of the fabric when it is named in `fabric`, or has an RDMA device."""

    node: str
    disks: tuple[str, ...] = ("/",)
    fabric: tuple[str, ...] = ()
    proc: Path = Path("/proc")
    sys: Path = Path("/sys")
    cards: Cards = field(default_factory=Cards)


def look(place: Place) -> Facts:
    """Everything at this moment. Raises OSError where even `/proc/meminfo` cannot be read."""
    return Facts(
        node=place.node,
        at=time.time(),
        uptime_seconds=float((place.proc / "uptime").read_text().split()[0]),
        cpus=os.cpu_count() or 1,
        load=float((place.proc / "loadavg").read_text().split()[0]),
        memory=memory(place.proc),
        pressure=pressure(place.proc),
        disks=tuple(disk(path) for path in place.disks if Path(path).exists()),
        interfaces=tuple(interfaces(place)),
        gpus=place.cards.look(),
    )


def memory(proc: Path) -> Memory:
    """From kB, which are KiB."""
    lines = (line.split() for line in (proc / "meminfo").read_text().splitlines())
    found = {line[0].rstrip(":"): int(line[1]) * 1024 for line in lines}
    return Memory(
        total_bytes=found["MemTotal"],
        available_bytes=found["MemAvailable"],
        swap_total_bytes=found.get("SwapTotal", 0),
        swap_free_bytes=found.get("SwapFree", 0),
    )


def pressure(proc: Path) -> Pressure | None:
    """None where the kernel does not measure it."""
    try:
        lines = (proc / "pressure" / "memory").read_text().splitlines()
    except OSError:  # a kernel with psi=0 has the file, and refuses to read it
        return None
    found = {words[0]: float(words[1].removeprefix("avg10=")) for words in map(str.split, lines)}
    return Pressure(some_percent=found["some"], full_percent=found["full"])


def disk(path: str) -> Disk:
    """`available` is what others than root can take."""
    found = os.statvfs(path)
    total, free = found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize
    return Disk(path=path, total_bytes=total, available_bytes=free)


def interfaces(place: Place) -> Iterator[Interface]:
    """Those of hardware and those that are named, in the order of their names; not the many of containers."""
    for folder in sorted((place.sys / "class" / "net").glob("*")):
        if (folder / "device").exists() or folder.name in place.fabric:
            yield _interface(place, folder)


def _interface(place: Place, folder: Path) -> Interface:
    rdma = next((one.name for one in sorted((folder / "device" / "infiniband").glob("*"))), None)
    counters = place.sys / "class" / "infiniband" / (rdma or "-") / "ports" / "1" / "counters"
    received, sent = _number(counters / "port_rcv_data"), _number(counters / "port_xmit_data")
    speed = _number(folder / "speed")
    return Interface(
        name=folder.name,
        fabric=folder.name in place.fabric or (not place.fabric and rdma is not None),
        up=(folder / "operstate").read_text().strip() == "up",
        speed_mbit=speed if speed and speed > 0 else None,  # -1 is the kernel's word for unknown
        received_bytes=_number(folder / "statistics" / "rx_bytes") or 0,
        sent_bytes=_number(folder / "statistics" / "tx_bytes") or 0,
        rdma_device=rdma,
        rdma_received_bytes=None if received is None else received * RDMA_WORD,
        rdma_sent_bytes=None if sent is None else sent * RDMA_WORD,
    )


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # `speed` of an interface that is down can be read only with an error
        return None
