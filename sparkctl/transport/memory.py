"""A fake host: a session without a node behind it, for tests. It remembers what it was asked and says what it is told.

It is no simulation: a command changes nothing here unless its scripted reply does.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sparkctl.errors import CommandFailed, ConnectionLost, UnreachableError
from sparkctl.facts.probe import Answer
from sparkctl.topology import Node, Role
from sparkctl.transport.session import Result

if TYPE_CHECKING:
    import docker


@dataclass(frozen=True)
class Command:
    """What was asked of the host: either `argv` or `script` is set."""

    argv: tuple[str, ...] = ()
    script: str = ""
    stdin: bytes = b""
    sudo: bool = False


Reply = Result | str | Callable[[Command], Result | str]
"""How a command ends; a text is the standard output of one that ends well."""

Probes = Mapping[str, Answer | str] | Callable[[str], Answer | str | None]
"""The answer to a probe, by its name; none means that it was not answered."""

_FRAME = re.compile(r"^echo '(@\S+) begin (.+)'$", re.MULTILINE)


@dataclass
class MemoryHold:
    """A fake of `transport.session.Hold`."""

    first_line: str
    released: bool = False
    broken: bool = False

    def alive(self) -> bool:
        """Until it is released, or a test sets `broken`."""
        return not (self.released or self.broken)

    def release(self) -> None:
        """Remember that it was released."""
        self.released = True


@dataclass
class MemoryHost:
    """A fake of `transport.session.HoldingSession`.

    `files` maps a path to its bytes and mode. `log` holds every command in order, `probes` answers framed probes,
    `engine` is what `docker` returns, `ports` maps what `forward` is asked for to a local port, `hold_line` is the
    first line of every held script. Faults: `unreachable` refuses everything, `cut_after` breaks the connection after
    that many commands and writes, until `reconnect`.
    """

    node: Node = field(default_factory=lambda: Node("spark-1", Role.HEAD, "192.0.2.1", "spark"))
    files: dict[str, tuple[bytes, int]] = field(default_factory=dict)
    log: list[Command] = field(default_factory=list)
    probes: Probes = field(default_factory=dict)
    engine: "docker.DockerClient | None" = None
    ports: dict[tuple[str, int], int] = field(default_factory=dict)
    hold_line: str = "held"
    holds: list[MemoryHold] = field(default_factory=list)
    unreachable: bool = False
    cut_after: int | None = None
    reconnects: int = 0
    round_trips: int = 0
    closed: bool = False
    _replies: list[tuple[Callable[[Command], bool], Reply]] = field(default_factory=list)

    def reply(self, prefix: Sequence[str], reply: Reply) -> None:
        """From now on a command whose argv starts with `prefix` ends so; the latest rule that fits wins."""
        start = tuple(prefix)
        self._replies.append((lambda command: bool(command.argv) and command.argv[: len(start)] == start, reply))

    def reply_script(self, part: str, reply: Reply) -> None:
        """From now on a script that contains `part` ends so."""
        self._replies.append((lambda command: bool(command.script) and part in command.script, reply))

    def probe(self, script: str) -> str:
        """The answers of `probes`, framed as the script asks; a script that is not framed is answered by a reply."""
        self._reach()
        marks = _FRAME.findall(script)
        if not marks:
            return self._answer(Command(script=script)).stdout
        return "".join(_framed(nonce, name, self._probe(name)) for nonce, name in marks)

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
        """Log the command and answer as scripted, with success where nothing is."""
        return self._do(Command(tuple(argv), "", stdin, sudo), check, on_line)

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
        """Log the script and answer as scripted, with success where nothing is."""
        return self._do(Command((), text, stdin, sudo), check, on_line)

    def write(self, path: str, content: bytes, *, mode: int = 0o644, sudo: bool = False) -> None:
        """Put a file into `files`."""
        self._spend()
        self.files[path] = (content, mode)

    @property
    def docker(self) -> "docker.DockerClient":
        """`engine`; raises CommandFailed where there is none."""
        self._reach()
        if self.engine is None:
            raise CommandFailed("docker system dial-stdio: no answer", where=self.node.name)
        return self.engine

    @contextmanager
    def forward(self, host: str, port: int) -> Iterator[int]:
        """The local port of `ports`, or the port itself."""
        self._reach()
        yield self.ports.get((host, port), port)

    def hold(self, text: str, *, timeout: float = 30.0) -> MemoryHold:
        """Log the script and hold."""
        self._spend()
        self.log.append(Command(script=text))
        self.holds.append(MemoryHold(self.hold_line))
        return self.holds[-1]

    @property
    def connections(self) -> int:
        """How often it was connected to."""
        return 1 + self.reconnects

    def reconnect(self) -> None:
        """Count, and mend a cut connection."""
        self.reconnects += 1
        self.cut_after = None
        self.closed = False
        self._reach()

    def revive(self) -> None:
        """Mend a cut connection; nothing is counted where there is none."""
        if self.closed or self.cut_after == 0:
            self.reconnect()

    def close(self) -> None:
        """Nothing can be asked from now on."""
        self.closed = True

    def _do(self, command: Command, check: bool, on_line: Callable[[str], None] | None) -> Result:
        self._spend()
        self.log.append(command)
        result = self._answer(command)
        if on_line:
            for line in result.stdout.splitlines():
                on_line(line)
        if check and result.rc:
            title = " ".join(command.argv) or "script"
            raise CommandFailed(f"{title}: ended with status {result.rc}", where=self.node.name, output=result.stderr)
        return result

    def _answer(self, command: Command) -> Result:
        for fits, reply in reversed(self._replies):
            if fits(command):
                result = reply(command) if callable(reply) else reply
                return Result(result, "", 0) if isinstance(result, str) else result
        return Result("", "", 0)

    def _probe(self, name: str) -> Answer | str | None:
        return self.probes(name) if callable(self.probes) else self.probes.get(name)

    def _reach(self) -> None:
        if self.unreachable:
            raise UnreachableError(f"{self.node.name} did not answer", where=self.node.name)
        if self.closed or self.cut_after == 0:
            raise ConnectionLost(f"the connection to {self.node.name} broke", where=self.node.name)
        self.round_trips += 1

    def _spend(self) -> None:
        self._reach()
        if self.cut_after is not None:
            self.cut_after -= 1


def _framed(nonce: str, name: str, answer: Answer | str | None) -> str:
    if answer is None:
        return ""
    known = Answer(answer) if isinstance(answer, str) else answer
    return f"{nonce} begin {name}\n{known.stdout}\n{nonce} end {known.rc}\n"
