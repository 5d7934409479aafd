"""Containers of ours that the deployment has no use for: of the other backend, or of a profile before it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from sparkctl.core.action import Action
from sparkctl.core.service import LABEL_DETAIL, LABEL_SERVICE
from sparkctl.core.step import Drifted, Finding, Layer, Ok, step_id
from sparkctl.facts.docker import CONTAINERS, ContainerFact
from sparkctl.facts.kept import KeptFact, kept_probe
from sparkctl.facts.probe import Facts, Want
from sparkctl.runtimes.containers import PREVIOUS, Remove, SetAside, is_ours, service_of
from sparkctl.steps.place import OnNode


@dataclass(frozen=True)
class LeftoversStep(OnNode):
    """No container of ours on the node but those of `wished` services, among the `own` ones of one model.

    What sees the processes of one that goes, goes before it. `known` are the services of all models, which other steps
    undo; with `strays` what is none of those goes, too. What served last in `unit` is kept until its successor serves:
    `after` are the steps that put the change on record.
    """

    wished: frozenset[str]
    own: frozenset[str]
    known: frozenset[str]
    stop_seconds: int
    strays: bool = True
    unit: str = ""
    after: tuple[str, ...] = ()
    name: str = "leftovers"
    layer: Layer = Layer.WORKLOAD

    @property
    def needs(self) -> tuple[str, ...]:
        engines = dict.fromkeys((self.node, self.cluster.head.name))
        return (*(step_id("docker", node) for node in engines), *self.after)

    @property
    def wants(self) -> tuple[Want, ...]:
        return (Want(self.node, CONTAINERS), Want(self.cluster.head.name, kept_probe(self.cluster), vital=False))

    def check(self, facts: Facts) -> Finding:
        kept = facts.get(self.cluster.head.name, kept_probe(self.cluster))
        ours = {service: found for service, found in self._ours(facts).items() if not _put_by(found, kept)}
        left = [service for service in ours if service not in self.wished and self._judges(service)]
        if not left:
            return Ok()
        going = [service for service, found in ours.items() if _joined(found) in left] + left
        text = tuple(f"{service}@{self.node} is of another deployment" for service in left)
        disrupts = any(ours[service].running for service in going)
        aside = frozenset(kept.unit(self.unit).ids.values())
        return Drifted(text, self._removals(dict.fromkeys(going), ours, aside), disrupts=disrupts)

    def _judges(self, service: str) -> bool:
        return service in self.own or (self.strays and service not in self.known)

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        ours = self._ours(facts) if self.strays else {}
        return self._removals({service: None for service in ours if service not in self.known}, ours)

    def _ours(self, facts: Facts) -> dict[str, ContainerFact]:
        found = (facts.get(self.node, CONTAINERS) or {}).values()
        ours = (c for c in found if is_ours(self.cluster, c.labels) and c.labels.get(LABEL_SERVICE))
        return dict(sorted((service_of(c.name, c.labels), c) for c in ours))

    def _removals(
        self, going: Mapping[str, None], ours: Mapping[str, ContainerFact], aside: frozenset[str] = frozenset()
    ) -> tuple[Action, ...]:
        """Volumes go with the last container that is removed, when nothing uses them any more."""
        volumes = tuple(sorted({name for service in going for name in _volumes(ours[service])}))
        return tuple(
            SetAside(self.cluster, service, self.node, self.stop_seconds)
            if ours[service].running and ours[service].id in aside
            else Remove(self.cluster, service, self.node, self.stop_seconds, volumes * (at == len(going)))
            for at, service in enumerate(going, start=1)
        )


def _put_by(found: ContainerFact, kept: KeptFact) -> bool:
    """Whether it was set aside by a change that is not finished."""
    return found.name.endswith(PREVIOUS) and found.id in kept.ids()


def _detail(found: ContainerFact) -> Mapping[str, object]:
    try:
        detail = json.loads(found.labels.get(LABEL_DETAIL, "{}"))
    except ValueError:
        return {}
    return detail if isinstance(detail, dict) else {}


def _joined(found: ContainerFact) -> str:
    """The service whose processes the container sees, or nothing."""
    return str(_detail(found).get("joins", ""))


def _volumes(found: ContainerFact) -> list[str]:
    """Names of the volumes among its mounts; the others are paths."""
    mounts = _detail(found).get("mounts")
    sources = [m.get("source") for m in mounts if isinstance(m, dict)] if isinstance(mounts, list) else []
    return [source for source in sources if isinstance(source, str) and source[:1] not in ("", "/")]
