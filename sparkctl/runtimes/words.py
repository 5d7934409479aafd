"""What containers said: the end of a log, and the reason of one that ended as soon as it was started."""

from collections.abc import Iterable
from dataclasses import dataclass

from sparkctl.core.action import Context
from sparkctl.engines.failures import Patterns, diagnose, shown
from sparkctl.errors import CommandFailed
from sparkctl.runtimes.containers import container_name, docker_errors
from sparkctl.topology import Cluster, Node

LINES = 5000
"""Of a log, in which a cause is looked for."""


@dataclass(frozen=True)
class LastWords:
    """Say what a container said before it ended; `how` is how it did, `failures` what its program is known to say.

    Changes nothing, and always raises.
    """

    cluster: Cluster
    service: str
    node: str
    how: str
    failures: Patterns = ()

    @property
    def summary(self) -> str:
        return f"read why {self.service} ended"

    @property
    def detail(self) -> str:
        return f"docker logs --tail {LINES} {container_name(self.cluster, self.service)}"

    def perform(self, context: Context) -> None:
        """Raises CommandFailed, ConnectionLost."""
        log = tail(context, self.cluster.node(self.node), container_name(self.cluster, self.service), LINES)
        known = diagnose([*log, self.how], self.failures)
        fix = known.fix if known else f"read the whole log: sparkctl logs {self.service}"
        raise CommandFailed(
            f"{self.how} as soon as it was started", where=self.node, fix=fix, output=shown(log, known)
        )


def tail(context: Context, node: Node, container: str, lines: int = 200) -> list[str]:
    """The end of a container's log."""
    with docker_errors(node.name, f"read the log of {container}"):
        raw: bytes = context.peers[node.name].docker.containers.get(container).logs(tail=lines)
    return list(_clean(raw.decode(errors="replace").splitlines()))


def _clean(lines: Iterable[str]) -> Iterable[str]:
    """A progress bar rewrites its line: keep what it said last."""
    return (line.rstrip("\r").rsplit("\r", 1)[-1] for line in lines)
