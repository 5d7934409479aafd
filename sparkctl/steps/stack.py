"""One served model as a whole, as data: what a keeper brings up, and what a later sparkctl goes back to."""

from dataclasses import asdict, dataclass
from typing import Any

from sparkctl.core.lock import lock_path
from sparkctl.core.service import Service, spec_hash
from sparkctl.core.step import step_id
from sparkctl.facts.docker import ImageFact
from sparkctl.facts.engine import PATIENT_SECONDS
from sparkctl.runtimes.containers import container_name
from sparkctl.runtimes.docker import ContainerStep
from sparkctl.steps.ray import ASK_NODES, JoinStep
from sparkctl.steps.serving import ServingStep
from sparkctl.steps.ssh_trust import ssh_command
from sparkctl.steps.ssh_trust_actions import Way
from sparkctl.topology import Cluster

ONLY = "main"
"""What the keeper calls the only model of a deployment."""


@dataclass(frozen=True)
class Stack:
    """One served model as a whole, of the cluster on whose head the keeper is.

    `unit` is its name there, `suffix` what the names of its steps end in, `memory` what each of its nodes must have
    available before it starts, in bytes by name; `back_to` is the generation that a rollback wants again.
    """

    cluster: Cluster
    unit: str
    suffix: str
    containers: tuple[ContainerStep, ...]
    serving: ServingStep
    model: str
    revision: str
    join: JoinStep | None = None
    memory: tuple[tuple[str, int], ...] = ()
    engine: str = "vllm"
    back_to: int = 0

    @property
    def services(self) -> tuple[Service, ...]:
        """In start order."""
        return tuple(service for step in self.containers for service in step.services)

    @property
    def reference(self) -> str:
        """The image."""
        return self.services[0].image

    def digest(self, image: ImageFact) -> str:
        """What makes it what it is, and how it is reached: another one is another generation.

        How a keeper asks whether it serves is no part of that: a newer sparkctl may ask in other words.
        """
        record = self._lasting(image)
        made = [[entry[key] for key in ("service", "node", "spec", "group")] for entry in record["containers"]]
        return spec_hash(made, record["nodes"], record["memory"], self.serving.seconds)

    def record(self, image: ImageFact, changes: tuple[str, ...]) -> dict[str, Any]:
        """What the keeper needs to bring it up, and a later sparkctl to go back to it; holds no secret."""
        told = {"changes": [*changes], "back_to": self.back_to}
        return {**self._lasting(image), **told, "digest": self.digest(image)}

    def _lasting(self, image: ImageFact) -> dict[str, Any]:
        nodes, head = {node.name: node for node in self.cluster.nodes}, self.cluster.head
        at_work = dict.fromkeys((head.name, *(service.node for service in self.services)))
        ways = {n: [] if n == head.name else [*ssh_command(Way(self.cluster, head, nodes[n]))] for n in at_work}
        return {
            "unit": self.unit,
            "cluster": self.cluster.name,
            "lock": lock_path(self.cluster.name),
            "nodes": ways,
            "users": {name: nodes[name].user for name in at_work},
            "memory": dict(self.memory),
            "secrets": [*dict.fromkeys((s.node, secret.path) for s in self.services for secret in s.secrets)],
            "containers": self._entries(image),
            "api": self._api,
            "model": self.model,
            "revision": self.revision,
            "image": self.reference,
            "image_id": image.id,
            "suffix": self.suffix,
            "engine": self.engine,
            "image_step": self.containers[0].image,
            "services": [asdict(service) for service in self.services],
            "serving": self._serving,
            "join": self.join and {"nodes": _names(self.join.cluster), "port": self.join.port, "s": self.join.seconds},
        }

    @property
    def _serving(self) -> dict[str, Any]:
        """What a later sparkctl makes the step anew from."""
        step = self.serving
        kept = {"port": step.port, "model": step.model, "key_path": step.key_path, "seconds": step.seconds}
        return {**kept, "name": step.name, "nodes": _names(step.cluster)}

    @property
    def _api(self) -> dict[str, Any]:
        """The look at the API that `up` takes, on the node where it answers."""
        look = self.serving.look(PATIENT_SECONDS)
        return {"node": self.serving.node, "look": look.script, "seconds": self.serving.seconds}

    def _entries(self, image: ImageFact) -> list[dict[str, Any]]:
        return [
            {
                "service": service.name,
                "node": service.node,
                "name": container_name(self.cluster, service.name),
                "spec": step.hash_of(service, image),
                "group": step_id(step.name, step.node),
                "stands_on": [[*pair] for pair in service.stands_on],
                "drop_caches": [*service.drop_caches_on],
                "joined": self._joined(service),
            }
            for step in self.containers
            for service in step.services
        ]

    def _joined(self, service: Service) -> dict[str, Any] | None:
        """What the API server waits for: all nodes in Ray, as `JoinStep` asks for them."""
        if not self.join or not service.joins:
            return None
        ask = ["docker", "exec", container_name(self.cluster, service.joins), "python3", "-c", ASK_NODES]
        addresses = [node.data_ip for node in self.join.cluster.nodes]
        return {"argv": ask, "addresses": addresses, "seconds": self.join.seconds}


def _names(cluster: Cluster) -> list[str]:
    return [node.name for node in cluster.nodes]
