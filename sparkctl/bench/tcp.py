"""TCP between two nodes, by iperf3 where both have it, else by our own program; both bind to fabric addresses."""

import json
import shlex
from dataclasses import dataclass

from sparkctl.bench import grades
from sparkctl.bench.ground import Run, Way, awaiting
from sparkctl.bench.results import Transfer
from sparkctl.data import node_program
from sparkctl.errors import CommandFailed

BEYOND_SECONDS = 30
"""For the start, the end, and a connection that never comes."""
IPERF3 = "iperf3"


@dataclass(frozen=True)
class Transferring:
    """Send for whole `seconds` over `streams` connections; the receiver ends with this laptop's connection to it."""

    way: Way
    tool: str
    streams: int
    seconds: int
    kind: str = "tcp"

    @property
    def node(self) -> str:
        return self.way.source.name

    @property
    def summary(self) -> str:
        many = "1 connection" if self.streams == 1 else f"{self.streams} connections"
        return f"TCP {self.way} for {self.seconds} s, {many}, by {self.tool}"

    @property
    def detail(self) -> str:
        server, client = self._commands("PORT", "throughput.py")
        return f"{self.way.target.name}: {shlex.join(server)}\n{self.way.source.name}: {shlex.join(client)}"

    def measure(self, run: Run) -> Transfer:
        """Raises CommandFailed, UnreachableError."""
        way, source = self.way, node_program("throughput")
        server, _ = self._commands(str(way.port), source)
        ours = self.tool == grades.OURS
        script = f"exec {shlex.join(server)}" if ours else awaiting(shlex.join(server), way.port)
        receiver = run.sessions[way.target.name].hold(script)
        try:
            port = receiver.first_line if ours else str(way.port)
            _, client = self._commands(port, source)
            done = run.sessions[self.node].run(client, check=False, timeout=self.seconds + BEYOND_SECONDS)
        finally:
            receiver.release()
        try:
            gbit, seconds = parse_ours(done.stdout) if ours else parse_iperf3(done.stdout)
        except ValueError as error:
            what = f"{self.tool} on {self.node} says no figures: {error}"
            raise CommandFailed(what, where=self.node, output=done.stderr) from error
        grade = grades.of_transfer(gbit, self.streams, self.tool, way.links)
        return Transfer(self.node, way.target.name, self.tool, self.streams, seconds, gbit, grade)

    def _commands(self, port: str, source: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The receiver's and the sender's command line."""
        own, peer, streams = self.way.source.fabric_ip, self.way.target.fabric_ip, str(self.streams)
        if self.tool == grades.OURS:
            python, limit = ("python3", "-c", source), str(self.seconds + BEYOND_SECONDS)
            return (
                (*python, "receive", peer, own, limit),
                (*python, "send", own, peer, port, streams, str(self.seconds)),
            )
        return (
            (IPERF3, "-s", "-1", "-B", peer, "-p", port),
            (IPERF3, "-c", peer, "-B", own, "-p", port, "-P", streams, "-t", str(self.seconds), "-J"),
        )


def parse_iperf3(text: str) -> tuple[float, float]:
    """Gb/s as received, and seconds, of `iperf3 -J`. Raises ValueError with iperf3's own words where it has some."""
    try:
        found = json.loads(text)
        if error := found.get("error"):
            raise ValueError(error)
        received = found["end"]["sum_received"]
        return float(received["bits_per_second"]) / 1e9, float(received["seconds"])
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise ValueError("not the JSON of iperf3") from error


def parse_ours(text: str) -> tuple[float, float]:
    """Gb/s as received, and seconds, of `sparkctl/node/throughput.py`. Raises ValueError."""
    try:
        found = json.loads(text)
        return float(found["bytes"]) * 8 / float(found["seconds"]) / 1e9, float(found["seconds"])
    except (KeyError, TypeError, ZeroDivisionError, json.JSONDecodeError) as error:
        raise ValueError("the sender printed no figures") from error
