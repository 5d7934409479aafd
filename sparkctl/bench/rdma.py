"""RDMA writes between two nodes by `ib_write_bw` of perftest, through one half of the port at a time."""

import re
import shlex
from dataclasses import dataclass

from sparkctl.bench import grades
from sparkctl.bench.ground import Run, Way, awaiting
from sparkctl.bench.results import Rdma
from sparkctl.errors import CommandFailed

IB_WRITE_BW = "ib_write_bw"
SECONDS = 60.0

_ROW = re.compile(r"^\s*(\d+)\s+(\d+)\s+([\d.]+)\s+([\d.]+)\s+([\d.]+)\s*$", re.MULTILINE)
"""#bytes, #iterations, BW peak, BW average in Gb/s, MsgRate in Mpps."""


@dataclass(frozen=True)
class Writing:
    """Write through one RoCE device; the addresses are only for the ends to meet."""

    way: Way
    device: str
    kind: str = "rdma"

    @property
    def node(self) -> str:
        return self.way.source.name

    @property
    def summary(self) -> str:
        return f"RDMA {self.way} through {self.device}, by {IB_WRITE_BW}"

    @property
    def detail(self) -> str:
        peer = self.way.target
        return f"{peer.name}: {shlex.join(self.argv)}\n{self.node}: {shlex.join((*self.argv, peer.fabric_ip))}"

    @property
    def argv(self) -> tuple[str, ...]:
        """The server's command; the client's has the server's address behind it."""
        return (IB_WRITE_BW, "-d", self.device, "-i", "1", "-p", str(self.way.port), "-F", "--report_gbits")

    def measure(self, run: Run) -> Rdma:
        """Raises CommandFailed, UnreachableError."""
        target = self.way.target
        server = run.sessions[target.name].hold(awaiting(shlex.join(self.argv), self.way.port))
        try:
            done = run.sessions[self.node].run((*self.argv, target.fabric_ip), timeout=SECONDS)
        finally:
            server.release()
        try:
            gbit = parse(done.stdout)
        except ValueError as error:
            raise CommandFailed(str(error), where=self.node, output=done.stdout) from error
        return Rdma(self.node, target.name, self.device, gbit, grades.of_rdma(gbit, self.way.links))


def parse(text: str) -> float:
    """The average in Gb/s. Raises ValueError."""
    rows = _ROW.findall(text)
    if not rows:
        raise ValueError(f"{IB_WRITE_BW} printed no figures")
    return float(rows[-1][3])
