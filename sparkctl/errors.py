"""The exceptions of sparkctl; each class is one exit code.

SparkctlError              1   something failed; says what, where and what next
├── ConfigError            3   every problem of the configuration, at once
├── UnknownNameError       3   a name on the command line that nothing of the cluster has
├── UnreachableError       4   a node does not answer SSH
│   ├── HostKeyError       4   its host key is unknown or has changed
│   ├── LoginError         4   it answers, and refuses user or key
│   └── ConnectionLost     4   it answered, then the connection broke
├── LockedError            5   another run holds the cluster
├── BlockedError           1   the plan has findings that no step can mend
├── CommandFailed          1   a command on a node ended non-zero or ran out of time
├── StepFailed             1   a step could not be applied, or did not hold
├── UnhealthyError         2   drift, or a service that does not answer
└── Interrupted          130   Ctrl-C
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar


class SparkctlError(Exception):
    """What went wrong, where, and what to do next, each a sentence for the reader of a terminal."""

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, where: str = "", fix: str = "", output: str = "") -> None:
        super().__init__(what)
        self.what, self.where, self.fix, self.output = what, where, fix, output


@dataclass(frozen=True)
class Problem:
    """One bad value: `where` is `file:line` or the name of the source."""

    where: str
    name: str
    found: str
    accepted: str
    nearest: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.name}: {self.found}; accepted: {self.accepted}{_meant(self.nearest)}"


class ConfigError(SparkctlError):
    """All problems of a configuration in one error."""

    exit_code = 3

    def __init__(self, problems: tuple[Problem, ...], *, place: str = "in the configuration", fix: str = "") -> None:
        super().__init__(
            f"{len(problems)} problem{'s' * (len(problems) != 1)} {place}",
            fix=fix or "mend the values, then try: sparkctl config validate",
        )
        self.problems = problems


class UnknownNameError(SparkctlError):
    """A name on the command line that nothing of the cluster has."""

    exit_code = 3


class UnreachableError(SparkctlError):
    """A node does not answer."""

    exit_code = 4


class HostKeyError(UnreachableError):
    """The node's host key is unknown, or differs from the one on record."""


class LoginError(UnreachableError):
    """The node refuses the user or every key that was offered."""


class ConnectionLost(UnreachableError):
    """The connection broke after it had been up."""


class LockedError(SparkctlError):
    """Another run of sparkctl is changing the same cluster."""

    exit_code = 5


class BlockedError(SparkctlError):
    """The plan found what sparkctl must not or cannot change; nothing was touched."""


class CommandFailed(SparkctlError):
    """A command on a node ended with a status other than zero, or outlived its time limit."""


class StepFailed(SparkctlError):
    """A step could not be applied, or its check still finds a difference afterwards."""


class UnhealthyError(SparkctlError):
    """The cluster differs from its configuration, or a service does not answer."""

    exit_code = 2


class Interrupted(SparkctlError):
    """The user asked to stop."""

    exit_code = 130


def hint(name: str, known: Iterable[str]) -> str:
    """`; did you mean X?` with the nearest of the known names; nothing where none is near."""
    from difflib import get_close_matches

    return _meant(*get_close_matches(name, list(known), n=1))


def _meant(nearest: str = "") -> str:
    return f"; did you mean {nearest}?" if nearest else ""
