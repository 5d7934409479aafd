"""A network of Docker's for one service alone."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from shlex import quote

from sparkctl.core.action import Action, Context
from sparkctl.core.service import LABEL_CLUSTER
from sparkctl.core.step import Absent, Blocked, Finding, Layer, Ok, Pending, step_id
from sparkctl.facts.docker import ALLOWED, CONTAINERS
from sparkctl.facts.probe import Answer, Facts, Probe, Want
from sparkctl.runtimes.containers import container_name, docker_errors, is_ours
from sparkctl.steps.place import OnHead
from sparkctl.topology import Cluster

Labels = Mapping[str, str]


@dataclass(frozen=True)
class NetworkStep(OnHead):
    """The network of a service, named like its container: on Docker's own one every other container would reach it."""

    service: str
    layer: Layer = Layer.WORKLOAD

    @property
    def name(self) -> str:
        return network_step(self.service)

    @property
    def needs(self) -> tuple[str, ...]:
        return (step_id("docker", self.node),)

    @property
    def wants(self) -> tuple[Want, ...]:
        return (Want(self.node, CONTAINERS), Want(self.node, self._probe))

    def check(self, facts: Facts) -> Finding:
        if facts.get(self.node, CONTAINERS) is None:
            return Pending(step_id("docker", self.node))
        labels = facts.get(self.node, self._probe)
        if labels is None:
            return Absent((MakeNetwork(self.cluster, self._network),))
        if not is_ours(self.cluster, labels):
            problem = f"{self.node} has a network named {self._network} that this cluster did not make"
            return Blocked(problem, f"remove it: docker network rm {self._network}")
        return Ok()

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        labels = facts.get(self.node, self._probe)
        ours = labels is not None and is_ours(self.cluster, labels)
        return (RemoveNetwork(self.cluster, self._network),) if ours else ()

    @property
    def _network(self) -> str:
        return container_name(self.cluster, self.service)

    @property
    def _probe(self) -> Probe[Labels | None]:
        script = f"{ALLOWED}$ask docker network inspect -f '{{{{json .Labels}}}}' {quote(self._network)}"
        return Probe(f"network:{self.service}", script, _labels)


@dataclass(frozen=True)
class MakeNetwork:
    """Make a bridge of its own on the head, with our mark."""

    cluster: Cluster
    network: str

    @property
    def summary(self) -> str:
        return f"make the network {self.network}"

    @property
    def detail(self) -> str:
        return f"docker network create --driver bridge --label {LABEL_CLUSTER}={self.cluster.name} {self.network}"

    def perform(self, context: Context) -> None:
        """Raises CommandFailed, ConnectionLost."""
        with docker_errors(self.cluster.head.name, self.summary):
            marks = {LABEL_CLUSTER: self.cluster.name}
            context.session.docker.networks.create(self.network, driver="bridge", labels=marks, check_duplicate=True)


@dataclass(frozen=True)
class RemoveNetwork:
    """Remove it again."""

    cluster: Cluster
    network: str

    @property
    def summary(self) -> str:
        return f"remove the network {self.network}"

    @property
    def detail(self) -> str:
        return f"docker network rm {self.network}"

    def perform(self, context: Context) -> None:
        """Raises CommandFailed, ConnectionLost."""
        with docker_errors(self.cluster.head.name, self.summary):
            for network in context.session.docker.networks.list(names=[f"^{self.network}$"]):
                if is_ours(self.cluster, network.attrs.get("Labels") or {}):
                    network.remove()


def network_step(service: str) -> str:
    """The name of the step that makes a service's network."""
    return f"{service}-network"


def _labels(answer: Answer) -> Labels | None:
    """None where there is no such network. Docker writes null for no labels."""
    try:
        found = (json.loads(answer.stdout) or {}) if answer.rc == 0 else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
