"""What measurements work with: the open sessions of a run, somewhere to say what is done, and ports that are free."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from sparkctl.bench.results import Gather, Link, Ping, Rdma, Transfer
from sparkctl.core.action import Context
from sparkctl.topology import Node
from sparkctl.transport.session import HoldingSession

Found = Ping | Transfer | Rdma | Gather

PORTS = range(29600, 29700)
"""Where servers of a bench listen, for seconds: none of the engine's ports, below the kernel's own."""


@dataclass(frozen=True)
class Run:
    """One run of a bench; `say` hears what is being done."""

    sessions: Mapping[str, HoldingSession]
    say: Callable[[str], None]

    def context(self, node: str) -> Context:
        """What an action on that node is performed with."""
        return Context(self.sessions[node], self.sessions, lambda progress: self.say(progress.message))


@dataclass(frozen=True)
class Way:
    """From one node to another over the fabric; `port` is free on the target."""

    source: Node
    target: Node
    near: Link
    far: Link
    port: int

    @property
    def links(self) -> tuple[Link, Link]:
        """Both ends."""
        return self.near, self.far

    def __str__(self) -> str:
        return f"{self.source.name} to {self.target.name}"


class Measurement(Protocol):
    """One figure to be taken. `summary` is a line of the plan, `detail` the commands, `kind` what it is a part of."""

    @property
    def kind(self) -> str: ...
    @property
    def node(self) -> str: ...
    @property
    def summary(self) -> str: ...
    @property
    def detail(self) -> str: ...
    def measure(self, run: Run) -> Found:
        """Raises CommandFailed where it did not work, UnreachableError."""
        ...


def awaiting(command: str, port: int) -> str:
    """A script that starts a server, prints `ready` once it listens, and stays until the server ends."""
    return (
        f"{command} >&2 &\n"
        f"until ss -Hltn 'sport = :{port}' | grep -q .; do kill -0 $! || exit 1; sleep 0.05; done\n"
        "echo ready\nwait\n"
    )
