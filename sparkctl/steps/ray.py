"""The Ray cluster as formed, not as started: the head listens, every worker has joined, every GPU is counted."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from sparkctl.core.action import Action, Context, Progress
from sparkctl.core.step import Absent, Finding, Layer, Ok, Pending, step_id
from sparkctl.engines.failures import diagnose, telling
from sparkctl.errors import CommandFailed
from sparkctl.facts.docker import CONTAINERS
from sparkctl.facts.engine import ray_peers_probe
from sparkctl.facts.probe import Facts, Want
from sparkctl.runtimes.containers import container_name, docker_errors
from sparkctl.runtimes.words import tail
from sparkctl.steps.place import OnHead
from sparkctl.topology import Cluster, Node
from sparkctl.transport.session import Session

ASK_NODES = (
    "import json, ray; ray.init(address='auto', logging_level='ERROR', log_to_driver=False); "
    "print(json.dumps([[n['NodeManagerAddress'], n['Resources'].get('GPU', 0)] for n in ray.nodes() if n['Alive']]))"
)
"""Ray's own list of living nodes with their GPUs, as JSON."""


@dataclass(frozen=True)
class JoinStep(OnHead):
    """Every worker in the Ray cluster, each with its GPU. `seconds` is how long a join may take.

    `suffix` ends the names of a cluster's services and steps where there are several models.
    """

    port: int
    seconds: float
    suffix: str = ""
    layer: Layer = Layer.WORKLOAD

    @property
    def name(self) -> str:
        return f"ray-join{self.suffix}"

    @property
    def needs(self) -> tuple[str, ...]:
        return tuple(step_id(member(self.cluster, node, self.suffix), node.name) for node in self.cluster.nodes)

    @property
    def wants(self) -> tuple[Want, ...]:
        containers = (Want(node.name, CONTAINERS) for node in self.cluster.nodes)
        return (Want(self.node, ray_peers_probe(self.port)), *containers)

    def check(self, facts: Facts) -> Finding:
        wait = (AwaitJoin(self.cluster, self.seconds, self.suffix),)
        for node in self.cluster.nodes:
            service = member(self.cluster, node, self.suffix)
            found = (facts.get(node.name, CONTAINERS) or {}).get(container_name(self.cluster, service))
            if found is None:
                return Pending(step_id(service, node.name))
            if not found.running:  # it may have ended since it was started: its log says why
                return Absent(wait, f"{step_id(service, node.name)} is {found.status}", symptom=True)
        joined = facts.get(self.node, ray_peers_probe(self.port))
        if {node.data_ip for node in self.cluster.workers} <= joined:
            return Ok(f"{len(self.cluster.nodes)} nodes")
        return Absent(wait)

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        return ()


@dataclass(frozen=True)
class AwaitJoin:
    """Wait until Ray itself counts every node and a GPU on each; a node that stays away is named with its log."""

    cluster: Cluster
    seconds: float
    suffix: str = ""

    @property
    def summary(self) -> str:
        return f"wait until {len(self.cluster.nodes)} nodes have joined Ray"

    @property
    def detail(self) -> str:
        head = container_name(self.cluster, member(self.cluster, self.cluster.head, self.suffix))
        return f"docker exec {head} python3 -c 'ray.nodes()', up to {self.seconds:.0f} s"

    def perform(self, context: Context) -> None:
        wanted = {node.data_ip: node for node in self.cluster.nodes}
        deadline = time.monotonic() + self.seconds
        while missing := wanted.keys() - joined_gpus(self.cluster, context.peers, self.suffix).keys():
            context.report(Progress(self.summary, len(wanted) - len(missing), len(wanted)))
            absent = [wanted[address] for address in sorted(missing)]
            dead = [node for node in absent if not self._running(context, node)]
            if dead or time.monotonic() > deadline:
                raise self._failure(context, dead or absent, f"within {self.seconds:.0f} s" if not dead else "")
            context.pause(1.0)

    def _running(self, context: Context, node: Node) -> bool:
        name = container_name(self.cluster, member(self.cluster, node, self.suffix))
        with docker_errors(node.name, f"look at {name}"):
            return bool(context.peers[node.name].docker.containers.get(name).status == "running")

    def _failure(self, context: Context, absent: list[Node], how: str) -> CommandFailed:
        node = absent[0]
        service = member(self.cluster, node, self.suffix)
        log = tail(context, node, container_name(self.cluster, service))
        known = diagnose(log)
        names = ", ".join(n.name for n in absent)
        return CommandFailed(
            f"{names} did not join Ray {how}".rstrip() + ("" if how else f": its container {service} has ended"),
            where=node.name,
            fix=known.fix if known else f"read its log (sparkctl logs --node {node.name}), then: sparkctl doctor",
            output="\n".join(telling(log)),
        )


def member(cluster: Cluster, node: Node, suffix: str = "") -> str:
    """The service that makes a node a part of Ray."""
    return ("ray-head" if node == cluster.head else "ray-worker") + suffix


def joined_gpus(cluster: Cluster, sessions: Mapping[str, Session], suffix: str = "") -> dict[str, float]:
    """GPUs by address of every living node that has one; empty while Ray does not answer."""
    with docker_errors(cluster.head.name, "ask Ray for its nodes"):
        head = sessions[cluster.head.name].docker.containers.get(container_name(cluster, f"ray-head{suffix}"))
        status, output = cast("tuple[int, bytes]", head.exec_run(["python3", "-c", ASK_NODES]))
    try:
        rows = json.loads(output.splitlines()[-1]) if status == 0 else []
    except (ValueError, IndexError):
        rows = []
    return {address: gpus for address, gpus in rows if gpus >= 1}
