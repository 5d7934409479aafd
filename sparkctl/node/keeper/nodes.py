"""The nodes as the keeper reaches them: its own by the shell, the others over the fabric with the head's key."""

import shlex
import subprocess
from typing import NamedTuple

from .records import Failure, Record

LIST = """ids=$(docker ps -aq --no-trunc --filter label=io.sparkctl.cluster={}) || exit 1
[ -z "$ids" ] || docker inspect -f '{{{{.Id}}}} {{{{.Name}}}} {{{{.State.Status}}}} {{{{.State.StartedAt}}}} \
{{{{.State.FinishedAt}}}} {{{{.State.ExitCode}}}} {{{{index .Config.Labels "io.sparkctl.spec"}}}}' $ids"""
BOOT = "echo $(cat /proc/sys/kernel/random/boot_id) $(sed 's/.*) //' /proc/1/stat | cut -d' ' -f20)"
"""A boot: the kernel's own id, and when its first process began, for a machine that is a container (proc(5))."""


class Found(NamedTuple):
    """One container as its engine tells."""

    id: str
    name: str
    status: str
    started: str
    finished: str
    code: str
    spec: str

    @property
    def life(self) -> str:
        """One start of one container."""
        return f"{self.id[:12]}/{self.started}"


def run(record: Record, node: str, argv: list[str], stdin: str = "", timeout: float = 120.0) -> str:
    """What a command on a node printed; a worker is reached over the fabric. Raises Failure."""
    way = record["nodes"][node]
    command = [*way, shlex.join(argv)] if way else argv
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failure(f"{node}: {argv[0]}: {error}") from error
    if done.returncode:
        raise Failure(f"{node}: {shlex.join(argv)[:80]}: {done.stderr.strip()[-300:] or done.returncode}")
    return done.stdout


def look(record: Record) -> dict[str, list[Found]]:
    """The containers of the cluster, by node. Raises Failure."""
    script = LIST.format(shlex.quote(record["cluster"]))
    return {
        node: [
            Found(*line.split(" ")[:7])._replace(name=line.split(" ")[1].lstrip("/"))
            for line in run(record, node, ["sh", "-c", script]).splitlines()
        ]
        for node in record["nodes"]
    }
