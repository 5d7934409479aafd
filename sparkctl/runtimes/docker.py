"""Services as Docker containers: one step for each group of containers that start and fall together."""

import json
from dataclasses import dataclass

from sparkctl.core.action import Action
from sparkctl.core.service import LABEL_DETAIL, LABEL_ON, LABEL_SECRETS, LABEL_SPEC, Service, spec_hash
from sparkctl.core.step import Absent, Blocked, Drifted, Finding, Layer, Ok, Pending, step_id
from sparkctl.facts.docker import CONTAINERS, ContainerFact, ImageFact, image_probe
from sparkctl.facts.probe import Facts, Want
from sparkctl.facts.secret import secret_probe
from sparkctl.runtimes.containers import Create, Remove, container_name, is_ours, short_json
from sparkctl.runtimes.differences import differences
from sparkctl.topology import Cluster


@dataclass(frozen=True)
class ContainerStep:
    """Containers that start together, replaced together when one of them drifts.

    `below` are the services that they stand on, `above` those that stand on them, in whatever depth: what is above
    ends first when these are replaced.
    """

    name: str
    cluster: Cluster
    services: tuple[Service, ...]
    below: tuple[Service, ...] = ()
    above: tuple[Service, ...] = ()
    layer: Layer = Layer.WORKLOAD

    @property
    def node(self) -> str:
        return self.services[-1].node

    @property
    def needs(self) -> tuple[str, ...]:
        under = (step_id(service.name, service.node) for service in self.below)
        engines = (step_id("docker", service.node) for service in self.above)
        return tuple(dict.fromkeys((*(need for s in self.services for need in s.needs), *under, *engines)))

    @property
    def wants(self) -> tuple[Want, ...]:
        nodes = dict.fromkeys(service.node for service in (*self.services, *self.below, *self.above))
        image = Want(self.cluster.head.name, image_probe(self.services[0].image))
        secrets = (Want(service.node, secret_probe(s.path)) for service in self.services for s in service.secrets)
        return (image, *(Want(node, CONTAINERS) for node in nodes), *secrets)

    def check(self, facts: Facts) -> Finding:
        image = facts.get(self.cluster.head.name, image_probe(self.services[0].image))
        if image is None:
            return Pending(step_id("image", self.cluster.head.name))
        if foreign := [text for service in self.services if (text := self._foreign(service, facts))]:
            return Blocked("; ".join(foreign), "rename or remove it: sparkctl touches only what it made")
        present = [self._find(service, facts) for service in self.services]
        if not any(present):
            return self._unmade(facts, image)
        found = [d for service in self.services for d in self._differences(service, facts, image)]
        if not found:
            return Ok()
        affected = (*self.services, *self.above)
        actions = (*self._removals(affected, facts), *self._creations(facts, image))
        return Drifted(tuple(found), actions, disrupts=any(self._running(s, facts) for s in affected))

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        return self._removals(self.services, facts)

    def _unmade(self, facts: Facts, image: ImageFact) -> Finding:
        missing = [s for s in self.below if not self._running(s, facts)]
        if missing:
            return Pending(step_id(missing[0].name, missing[0].node))
        return Absent(self._creations(facts, image))

    def _find(self, service: Service, facts: Facts) -> ContainerFact | None:
        containers = facts.get(service.node, CONTAINERS) or {}
        found = containers.get(container_name(self.cluster, service.name))
        return found if found and is_ours(self.cluster, found.labels) else None

    def _foreign(self, service: Service, facts: Facts) -> str:
        name = container_name(self.cluster, service.name)
        found = (facts.get(service.node, CONTAINERS) or {}).get(name)
        if not found or is_ours(self.cluster, found.labels):
            return ""
        return f"{service.node} has a container named {name} ({found.id[:12]}) that this cluster did not make"

    def _running(self, service: Service, facts: Facts) -> bool:
        found = self._find(service, facts)
        return found is not None and found.running

    def _differences(self, service: Service, facts: Facts, image: ImageFact) -> list[str]:
        name, found = step_id(service.name, service.node), self._find(service, facts)
        if found is None:
            return [f"{name} is missing"]
        if not found.running:
            return [f"{name} is {found.status}" + (f" with status {found.exit_code}" * (found.status == "exited"))]
        if found.labels.get(LABEL_SPEC) != self._hash(service, image):
            return _changed(name, found, service, image) or [f"{name}: what it stands on has changed"]
        if found.labels.get(LABEL_ON, "") != self._on(service, facts):
            return [f"{name}: what it stands on was started anew"]
        if found.labels.get(LABEL_SECRETS, "") != self._secrets(service, facts):
            return [f"{name}: a secret that it uses was delivered anew"]
        return []

    def _hash(self, service: Service, image: ImageFact) -> str:
        peers = [other.spec for other in self.services if other is not service]
        return spec_hash(service.spec, image.id, peers, [other.spec for other in self.below])

    def _on(self, service: Service, facts: Facts) -> str:
        """The lives of the containers under this one; a new life of one of them makes this one stale."""
        names = set(service.stands_on)
        under = [self._find(s, facts) for s in self.below if (s.name, s.node) in names]
        return spec_hash([found.life if found else "" for found in under]) if under else ""

    def _secrets(self, service: Service, facts: Facts) -> str:
        """The lives of the secret files: a container goes on to see the file that it was started with."""
        found = [facts.get(service.node, secret_probe(secret.path)) for secret in service.secrets]
        return spec_hash([fact.life if fact else "" for fact in found]) if found else ""

    def _removals(self, services: tuple[Service, ...], facts: Facts) -> tuple[Action, ...]:
        return tuple(
            Remove(self.cluster, service.name, service.node, service.stop_seconds, service.volumes)
            for service in reversed(services)
            if self._find(service, facts)
        )

    def _creations(self, facts: Facts, image: ImageFact) -> tuple[Action, ...]:
        return tuple(
            Create(
                self.cluster,
                service,
                image.id,
                (
                    (LABEL_SPEC, self._hash(service, image)),
                    (LABEL_ON, self._on(service, facts)),
                    (LABEL_SECRETS, self._secrets(service, facts)),
                    (LABEL_DETAIL, short_json(service)),
                ),
            )
            for service in self.services
        )


def _changed(name: str, found: ContainerFact, service: Service, image: ImageFact) -> list[str]:
    """Field by field, what the container was made with and what is wished now."""
    lines = [] if found.image == image.id else [f"{name}: image {found.image[:19]} -> {image.id[:19]}"]
    try:
        before = json.loads(found.labels.get(LABEL_DETAIL, "{}"))
    except ValueError:
        before = {}
    after = json.loads(short_json(service))
    for key in sorted(after):
        if before and before.get(key) != after[key]:
            lines.append(f"{name}: {key} {differences(before.get(key), after[key])}")
    return lines
