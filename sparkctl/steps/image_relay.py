"""An image pulled by several nodes at once: a relay on the head takes it in from its registry, and serves them all.

The relay is `sparkctl/node/relay.py`; each node's engine is asked by `sparkctl/node/pull_here.py`.
"""

import json
import secrets
import shlex
import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass

from sparkctl.core.action import Context, Progress
from sparkctl.data import node_program
from sparkctl.errors import CommandFailed, UnreachableError
from sparkctl.facts.image import brought_file
from sparkctl.facts.images import Source, repository_of, source_of
from sparkctl.runtimes.containers import docker_errors
from sparkctl.steps.image_actions import UNPACKS, Login, Pull
from sparkctl.steps.ssh_trust import ssh_command
from sparkctl.steps.ssh_trust_actions import Way
from sparkctl.topology import Node


class _Over(Exception):
    """Nobody needs the relay any more."""


@dataclass(frozen=True)
class PullTogether:
    """Pull an image on the head and on workers at once, so that its bytes come from the registry a single time.

    What the relay cannot do is no failure: the head pulls as it does alone, and finds there what has come; a worker
    that is left without the image gets it carried.
    """

    pull: Pull
    workers: tuple[Node, ...]

    @property
    def summary(self) -> str:
        *most, last = (node.name for node in self._nodes)
        return f"pull {self.pull.reference} on {', '.join(most)} and {last} at once: its bytes come in once"

    @property
    def detail(self) -> str:
        head = self._nodes[0].name
        ways = (f"{head}: {shlex.join(way)}, with a port of loopback led back" for way in self.ways().values())
        each = (f"{node.name}: docker pull, from that port" for node in self._nodes)
        return "\n".join((f"{head}: a relay on loopback for this image", *ways, *each, f"{head}: {self.pull.detail}"))

    def perform(self, context: Context) -> None:
        """Raises CommandFailed, UnreachableError of the head, Interrupted."""
        try:
            self._share(context)
        except CommandFailed as error:
            context.say(f"{self._nodes[0].name} pulls alone: {_reason(error)}")
        self.pull.perform(context)

    @property
    def _nodes(self) -> tuple[Node, ...]:
        return (self.pull.cluster.head, *self.workers)

    def ways(self) -> Mapping[str, tuple[str, ...]]:
        """How the head reaches each of the workers."""
        cluster = self.pull.cluster
        return {worker.name: ssh_command(Way(cluster, cluster.head, worker)) for worker in self.workers}

    def _share(self, context: Context) -> None:
        """Raises CommandFailed where the head got nothing, UnreachableError of the head, Interrupted."""
        head = self._nodes[0]
        with docker_errors(head.name, self.summary):
            source = source_of(self.pull.reference, context.peers[head.name].docker.api.info())
        relay = _Relay(self, context, source)
        with ThreadPoolExecutor(1 + len(self._nodes)) as pool:
            serving = pool.submit(relay.serve)
            try:
                ports = relay.ports(serving)
                pulls = {name: pool.submit(relay.pull_on, name, port) for name, port in ports.items()}
                wait(pulls.values())
            finally:
                relay.over.set()
        serving.result()
        for node in self._nodes:
            error = pulls[node.name].exception() if node.name in pulls else CommandFailed("its sshd takes no port")
            if error and (node == head or not isinstance(error, CommandFailed | UnreachableError)):
                raise error
            if error:
                context.say(f"{node.name} does not pull from {head.name}: {_reason(error)}")


class _Relay:
    """The relay of one image, for as long as it is needed: what the threads that work with it have in common."""

    def __init__(self, action: PullTogether, context: Context, source: Source) -> None:
        self.over = threading.Event()
        self._action, self._pull, self._context, self._source = action, action.pull, context, source
        self._mark = f"{self._pull.cluster.name}-sparkctl"  # a cluster's name may end in -, a repository's may not
        self._path = f"{self._mark}/{secrets.token_hex(16)}"
        self._ports: Mapping[str, int] = {}

    def serve(self) -> None:
        """Let the relay run until `over` is set. Raises CommandFailed, UnreachableError, Interrupted."""
        login, source = self._pull.login or Login("", ""), self._source
        job = {
            "base": source.base,
            "repository": source.repository,
            "reference": source.reference,
            "user": login.user,
            "password": login.password,
            "path": self._path,
            "node": self._pull.cluster.head.name,
            "ways": self._action.ways(),
        }
        with suppress(_Over):
            self._run(self._pull.cluster.head.name, "relay", job)

    def ports(self, serving: "Future[None]") -> Mapping[str, int]:
        """Where each node that reaches the relay does so. Raises as `serve` where the relay ends before."""
        while True:
            ended = serving.done()
            if self._ports:
                return self._ports
            if ended:
                serving.result()
                raise CommandFailed("the relay ended", where=self._pull.cluster.head.name)
            self._context.pause(0.05)

    def pull_on(self, node: str, port: int) -> None:
        """Have the engine of a node pull the image. Raises CommandFailed, UnreachableError, Interrupted."""
        source, cluster = self._source, self._pull.cluster
        job = {
            "port": port,
            "path": self._path,
            "mark": self._mark,
            "repository": source.repository,
            "reference": source.reference,
            "name": repository_of(self._pull.reference),
            "tag": source.reference.replace(":", "-"),
            "record": brought_file(cluster, cluster.node(node)),
        }
        self._run(node, "pull_here", job)

    def _run(self, node: str, program: str, job: Mapping[str, object]) -> None:
        argv, words = ("python3", "-c", node_program(program)), json.dumps(job).encode()
        self._context.peers[node].run(argv, stdin=words, timeout=None, on_line=self._hear)

    def _hear(self, line: str) -> None:
        """Both programs say something every second: the place to end them."""
        if self.over.is_set():
            raise _Over
        said = json.loads(line)
        if "total" in said:
            busy = said["done"] < said["total"] or not said["total"]
            message = self._action.summary if busy else UNPACKS
            self._context.report(Progress(message, said["done"], said["total"], "B"))
        self._ports = said.get("ports") or self._ports
        self._context.pause(0)


def _reason(error: BaseException) -> str:
    """An error in a line: its last words where it has some."""
    return getattr(error, "output", "").strip().rpartition("\n")[2] or str(error)
