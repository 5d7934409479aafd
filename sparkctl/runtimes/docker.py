"""Services as Docker containers: one step for each group of containers that start and fall together."""

import json
from dataclasses import dataclass

from sparkctl.core.action import Action
from sparkctl.core.service import LABEL_DETAIL, LABEL_ON, LABEL_SECRETS, LABEL_SPEC, Service, spec_hash
from sparkctl.core.step import Absent, Blocked, Drifted, Finding, Layer, Ok, Pending, step_id
from sparkctl.engines.failures import Patterns
from sparkctl.facts.docker import CONTAINERS, ContainerFact, ImageFact, image_probe
from sparkctl.facts.kept import KeptFact, kept_probe
from sparkctl.facts.probe import Facts, Want
from sparkctl.facts.secret import secret_probe
from sparkctl.runtimes.containers import Create, Remove, SetAside, container_name, is_ours, short_json
from sparkctl.runtimes.differences import differences
from sparkctl.runtimes.words import LastWords
from sparkctl.topology import Cluster


@dataclass(frozen=True)
class ContainerStep:
    """Containers that start together, replaced together when one of them drifts.

    `below` are the services that they stand on, `above` those that stand on them, in whatever depth: what is above
    ends first when these are replaced. `image` is the step that brings the image to the head, `failures` are their
    program's last words and their fixes.
    What served last and is to become something else is set aside, and comes back where that does not serve.
    """

    name: str
    cluster: Cluster
    services: tuple[Service, ...]
    below: tuple[Service, ...] = ()
    above: tuple[Service, ...] = ()
    image: str = "image"
    failures: Patterns = ()
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
        kept = Want(self.cluster.head.name, kept_probe(self.cluster))
        return (image, *(Want(node, CONTAINERS) for node in nodes), *secrets, kept)

    def check(self, facts: Facts) -> Finding:
        image = facts.get(self.cluster.head.name, image_probe(self.services[0].image))
        if image is None:
            return Pending(self.needs_image)
        if foreign := [text for service in self.services if (text := self._foreign(service, facts))]:
            return Blocked("; ".join(foreign), "rename or remove it: sparkctl touches only what it made")
        present = [self._find(service, facts) for service in self.services]
        if not any(present):
            return self._unmade(facts, image)
        found = self.differs(facts, image)
        if not found:
            return Ok()
        affected = (*self.services, *self.above)
        kept = self._kept(facts)
        changing = kept.changing or any(self._becomes_another(service, facts, image) for service in self.services)
        going = self._removals(affected, facts, kept.ids() if changing else frozenset())
        actions = (*going, *self._creations(facts, image))
        ended = tuple(words for service in self.services for words in self._last_words(service, facts))
        return Drifted(found, actions, disrupts=any(self._running(s, facts) for s in affected), evidence=ended)

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        return self._removals(self.services, facts)

    def differs(self, facts: Facts, image: ImageFact) -> tuple[str, ...]:
        """What is not as wished, service by service."""
        return tuple(text for service in self.services for text in self._differences(service, facts, image))

    def hash_of(self, service: Service, image: ImageFact) -> str:
        """What makes the container what it is, with all that it stands on."""
        peers = [other.spec for other in self.services if other is not service]
        return spec_hash(service.spec, image.id, peers, [other.spec for other in self.below])

    @property
    def needs_image(self) -> str:
        """The id of the step that brings the image."""
        return step_id(self.image, self.cluster.head.name)

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
        if found.labels.get(LABEL_SPEC) != self.hash_of(service, image):
            return _changed(name, found, service, image) or [f"{name}: what it stands on has changed"]
        if not self._stands(found, service, facts):
            return [f"{name}: what it stands on was started anew"]
        if found.labels.get(LABEL_SECRETS, "") != self._secrets(service, facts):
            return [f"{name}: a secret that it uses was delivered anew"]
        return []

    def _last_words(self, service: Service, facts: Facts) -> tuple[LastWords, ...]:
        found = self._find(service, facts)
        if found is None or found.status != "exited":
            return ()
        how = f"{service.name} ended with status {found.exit_code}"
        return (LastWords(self.cluster, service.name, service.node, how, self.failures),)

    def _kept(self, facts: Facts) -> KeptFact:
        return facts.get(self.cluster.head.name, kept_probe(self.cluster))

    def _becomes_another(self, service: Service, facts: Facts, image: ImageFact) -> bool:
        found = self._find(service, facts)
        return found is not None and found.labels.get(LABEL_SPEC) != self.hash_of(service, image)

    def _under(self, service: Service, facts: Facts) -> list[str]:
        """The lives of the containers under this one; a new life of one of them makes this one stale."""
        names = set(service.stands_on)
        under = [self._find(s, facts) for s in self.below if (s.name, s.node) in names]
        return [found.life if found else "" for found in under]

    def _on(self, service: Service, facts: Facts) -> str:
        under = self._under(service, facts)
        return spec_hash(under) if under else ""

    def _stands(self, found: ContainerFact, service: Service, facts: Facts) -> bool:
        """Whether it stands on what runs under it now: as it was made, or as the keeper started it after a boot."""
        if found.labels.get(LABEL_ON, "") == self._on(service, facts):
            return True
        return self._kept(facts).lives.get(found.life) == frozenset(self._under(service, facts))

    def _secrets(self, service: Service, facts: Facts) -> str:
        """The lives of the secret files: a container goes on to see the file that it was started with."""
        found = [facts.get(service.node, secret_probe(secret.path)) for secret in service.secrets]
        return spec_hash([fact.life if fact else "" for fact in found]) if found else ""

    def _removals(
        self, services: tuple[Service, ...], facts: Facts, aside: frozenset[str] = frozenset()
    ) -> tuple[Action, ...]:
        """What ends, last started first; `aside` are the ids of containers that may have to come back."""
        found = [(service, self._find(service, facts)) for service in reversed(services)]
        return tuple(
            SetAside(self.cluster, service.name, service.node, service.stop_seconds)
            if fact.running and fact.id in aside
            else Remove(self.cluster, service.name, service.node, service.stop_seconds, service.volumes)
            for service, fact in found
            if fact
        )

    def _creations(self, facts: Facts, image: ImageFact) -> tuple[Action, ...]:
        return tuple(
            Create(
                self.cluster,
                service,
                image.id,
                (
                    (LABEL_SPEC, self.hash_of(service, image)),
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
