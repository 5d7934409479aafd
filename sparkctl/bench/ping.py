"""How long a packet travels between two nodes, and how many do not arrive."""

import re
import shlex
from dataclasses import dataclass

from sparkctl.bench import grades
from sparkctl.bench.ground import Run, Way
from sparkctl.bench.results import Ping
from sparkctl.errors import CommandFailed
from sparkctl.facts.fabric import IP_AND_ICMP_BYTES

COUNT, INTERVAL_SECONDS = 20, 0.2
"""iputils lets only root go faster."""
SMALL = 56 + IP_AND_ICMP_BYTES
"""Bytes of an ordinary ping, headers included."""

_SENT = re.compile(r"(\d+) packets transmitted, (\d+) (?:packets )?received")
_TIMES = re.compile(r"(?:rtt|round-trip) min/avg/max(?:/\w+)? = ([\d.]+)/([\d.]+)/([\d.]+)")


@dataclass(frozen=True)
class Pinging:
    """Pings of one size, headers included in bytes; they must arrive whole."""

    way: Way
    size: int = SMALL
    kind: str = "ping"

    @property
    def node(self) -> str:
        return self.way.source.name

    @property
    def summary(self) -> str:
        return f"ping {self.way}, packets of {self.size} bytes"

    @property
    def detail(self) -> str:
        return shlex.join(self.argv)

    @property
    def argv(self) -> tuple[str, ...]:
        """The command on the source."""
        payload, way = str(self.size - IP_AND_ICMP_BYTES), self.way
        how = ("-n", "-q", "-c", str(COUNT), "-i", str(INTERVAL_SECONDS), "-W", "1")
        return ("ping", *how, "-M", "do", "-s", payload, "-I", way.near.interface, way.target.fabric_ip)

    def measure(self, run: Run) -> Ping:
        """Raises CommandFailed, UnreachableError."""
        done = run.sessions[self.node].run(self.argv, check=False, timeout=COUNT * INTERVAL_SECONDS + 15)
        try:
            sent, lost, times = parse(done.stdout)
        except ValueError as error:
            raise CommandFailed(f"ping says no figures: {error}", where=self.node, output=done.stderr) from error
        least, mean, most = times
        grade = grades.of_ping(lost, self.way.links)
        return Ping(self.node, self.way.target.name, self.size, sent, lost, least, mean, most, grade)


def parse(text: str) -> tuple[int, float, tuple[float, float, float] | tuple[None, None, None]]:
    """Packets sent, percent lost, and least, mean and longest time in ms. Raises ValueError where it says neither."""
    counts, times = _SENT.search(text), _TIMES.search(text)
    if not counts or not int(counts[1]):
        raise ValueError(text.strip().splitlines()[-1] if text.strip() else "nothing was printed")
    sent, received = int(counts[1]), int(counts[2])
    lost = round(100 * (1 - received / sent), 1)
    return sent, lost, (float(times[1]), float(times[2]), float(times[3])) if times else (None, None, None)
