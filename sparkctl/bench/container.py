"""Containers that live as long as a measurement: from the engine's own image, labelled as ours, removed for sure.

Each ends by itself after its limit, also when the laptop is gone; what a run that was killed left behind is taken away
by the next bench, by `up`, and by `stop`.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from sparkctl.bench.ground import Run
from sparkctl.core.action import Context
from sparkctl.core.service import Service
from sparkctl.engines.container import container
from sparkctl.engines.engine import ServeSpec
from sparkctl.engines.failures import telling
from sparkctl.errors import CommandFailed
from sparkctl.runtimes.containers import Create, Remove, container_name, docker_errors
from sparkctl.topology import Cluster, Node

NAME = "bench"
LOOK_SECONDS = 0.5
GRACE_SECONDS = 30.0
"""Beyond the container's own limit, before it is taken for lost."""


@dataclass(frozen=True)
class Job:
    """One container to run to its end: a service made by `program`, and the id of its image on the node."""

    service: Service
    image_id: str

    @property
    def node(self) -> str:
        """Where it runs."""
        return self.service.node


def program(spec: ServeSpec, node: Node, argv: tuple[str, ...], limit: int, **fields: object) -> Service:
    """A container as the engine's own, with the GPU, the fabric and the model cache, and this program in it.

    It ends after `limit` seconds; `fields` are those of a service, over what all engines have in common.
    """
    entrypoint = ("timeout", "-k", "5", str(limit), *argv)
    return container(spec, node, name=NAME, entrypoint=entrypoint, command=(), stop_seconds=0, **fields)


def run_all(
    cluster: Cluster, jobs: Sequence[Job], limit: int, run: Run, on_line: Callable[[str], None] = lambda _line: None
) -> str:
    """Run containers side by side to their end; what the first printed on standard output, each line told as it comes.

    `limit` is in seconds. Raises CommandFailed with the last words of the one that failed, UnreachableError.
    """
    with started(cluster, jobs, run):
        heard = 0
        deadline = time.monotonic() + limit + GRACE_SECONDS
        while True:
            states = {job.node: _state(cluster, job, run) for job in jobs}
            output = _output(cluster, jobs[0], run)
            whole = output.splitlines()[heard : output.count("\n")]
            for line in whole:
                on_line(line)
            heard += len(whole)
            for job in jobs:
                if states[job.node] not in (None, 0):
                    raise _failure(cluster, job, run, f"ended with status {states[job.node]}")
            if None not in states.values():
                return output
            if time.monotonic() > deadline:
                raise _failure(cluster, jobs[0], run, "does not end")
            time.sleep(LOOK_SECONDS)


@contextmanager
def started(cluster: Cluster, jobs: Sequence[Job], run: Run) -> Iterator[None]:
    """The containers run inside the block, and are gone after it. Raises CommandFailed, UnreachableError."""
    with ExitStack() as stack:
        for job in jobs:
            remove, context = Remove(cluster, NAME, job.node, 0), run.context(job.node)
            remove.perform(context)
            stack.callback(_take_away, remove, context)
            Create(cluster, job.service, job.image_id, ()).perform(context)
        yield


def _take_away(remove: Remove, context: Context) -> None:
    """Also where the connection is what broke."""
    context.session.revive()
    remove.perform(context)


def _state(cluster: Cluster, job: Job, run: Run) -> int | None:
    """The exit status; None while it runs."""
    with docker_errors(job.node, "look at the container of the bench"):
        found = run.sessions[job.node].docker.containers.get(container_name(cluster, NAME))
        state = found.attrs["State"]
    return None if state["Status"] in ("created", "running") else int(state["ExitCode"])


def _output(cluster: Cluster, job: Job, run: Run, *, errors: bool = False) -> str:
    with docker_errors(job.node, "read the output of the bench"):
        found = run.sessions[job.node].docker.containers.get(container_name(cluster, NAME))
        raw: bytes = found.logs(stdout=not errors, stderr=errors)
    return raw.decode(errors="replace")


def _failure(cluster: Cluster, job: Job, run: Run, how: str) -> CommandFailed:
    lines = _output(cluster, job, run, errors=True).splitlines()
    return CommandFailed(
        f"the container of the bench on {job.node} {how}", where=job.node, output="\n".join(telling(lines))
    )
