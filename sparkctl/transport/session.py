"""What an action may ask of a node. `ssh.py` is the real thing, `memory.py` the fake host of the tests."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from sparkctl.topology import Node

if TYPE_CHECKING:
    import docker


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    stdout: str
    stderr: str
    rc: int


class Prober(Protocol):
    """The half of a session that cannot write: all that a planner ever holds."""

    @property
    def node(self) -> Node:
        """The node at the other end."""
        ...

    def probe(self, script: str) -> str:
        """Run a script that changes nothing, in one round trip, and return what it printed.

        Raises UnreachableError, ConnectionLost.
        """
        ...


class Session(Prober, Protocol):
    """An open connection to one node."""

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        sudo: bool = False,
        timeout: float | None = 60.0,
        check: bool = True,
        on_line: Callable[[str], None] | None = None,
    ) -> Result:
        """Run one command; `argv` is quoted here and nowhere else.

        The remote process ends when the connection does. `timeout` is in seconds; `on_line` sees each line of
        standard output as it comes. Raises CommandFailed (status other than zero while `check`, or out of time),
        ConnectionLost.
        """
        ...

    def script(
        self,
        text: str,
        *,
        stdin: bytes = b"",
        sudo: bool = False,
        timeout: float | None = 60.0,
        check: bool = True,
        on_line: Callable[[str], None] | None = None,
    ) -> Result:
        """Run a bash script that travels over standard input; otherwise as `run`."""
        ...

    def write(self, path: str, content: bytes, *, mode: int = 0o644, sudo: bool = False) -> None:
        """Put a whole file in place atomically, with its folders (0700 where made for a file of mode 0600)."""
        ...

    @property
    def docker(self) -> "docker.DockerClient":
        """The node's engine, spoken to over this same connection. Raises CommandFailed."""
        ...

    def forward(self, host: str, port: int) -> AbstractContextManager[int]:
        """A port on the laptop's loopback that leads to `host:port` as the node sees it."""
        ...

    def reconnect(self) -> None:
        """Open the connection anew, so that a new group membership counts."""
        ...

    def revive(self) -> None:
        """Open the connection anew if it is broken, once for all threads that ask. Raises UnreachableError."""
        ...

    def close(self) -> None:
        """End the connection."""
        ...


class Hold(Protocol):
    """A script that stays on a node until it is released, or its connection ends."""

    @property
    def first_line(self) -> str:
        """What the script printed when it was ready."""
        ...

    def alive(self) -> bool:
        """Whether the script still runs, as far as the connection tells."""
        ...

    def release(self) -> None:
        """End the script, and wait until it has ended."""
        ...


class HoldingSession(Session, Protocol):
    """A session that can keep a script running on the side."""

    def hold(self, text: str, *, timeout: float = 30.0) -> Hold:
        """Start a bash script and return with the first line that it prints.

        Laptop and node hear from each other all the time: a node that loses the laptop for 90 s ends the script.
        Raises CommandFailed (it ended, or printed nothing within `timeout` seconds), ConnectionLost.
        """
        ...
