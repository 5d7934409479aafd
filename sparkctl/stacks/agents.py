"""The agent platform on top of what is served, as steps from its images to the gateway that answers."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sparkctl.config.team import seers
from sparkctl.core.service import Service
from sparkctl.core.step import Step, step_id
from sparkctl.runtimes.docker import ContainerStep
from sparkctl.stacks.agent_ground import CONFIG, METRICS_KEY, NODE_KEY
from sparkctl.stacks.agent_services import (
    AGENTS_KEY,
    DATABASE,
    FIGURES,
    GATEWAY,
    JWT_SECRET,
    PASSWORDS,
    SANDBOX,
    UI,
    Containers,
)
from sparkctl.stacks.budgets import look_of
from sparkctl.stacks.goods import backends, shared_login
from sparkctl.stacks.milvus import MILVUS, START_SECONDS
from sparkctl.stacks.observability import GRAFANA, PROMETHEUS
from sparkctl.stacks.workload import PLATFORM, Workload, cleared
from sparkctl.steps.agents import NOBODY, DocumentStep, Folder, FoldersStep
from sparkctl.steps.health import HealthStep, health_name
from sparkctl.steps.image import CarryStep, PullStep
from sparkctl.steps.image_build import BuildStep
from sparkctl.steps.network import NetworkStep, network_step
from sparkctl.steps.secret import SecretStep, SharedSecretStep
from sparkctl.steps.sight import SightStep
from sparkctl.wheel import own_wheel

if TYPE_CHECKING:
    from sparkctl.config.load import Config
    from sparkctl.config.served import Served

FOLDERS = (
    *map(Folder, (CONFIG, "data", "postgres", "run", "run/postgres", "ui")),
    Folder("workspaces", owner=NOBODY),
    Folder("run/sandbox", 0o770, NOBODY),
)
KEEPERS = (MILVUS, PROMETHEUS, GRAFANA)
"""Services with a folder and with files of their own, both called like them."""


@dataclass(frozen=True)
class Agents(Containers):
    """The platform of one deployment as steps."""

    def steps(self) -> tuple[Step, ...]:
        """Every step, from its images to the gateway that answers."""
        cluster = self.config.cluster
        own = (Folder(name) for name in self._keepers)
        return (
            *self._sight(),
            *self._secrets(),
            FoldersStep(cluster, cluster.head, (*FOLDERS, *own)),
            DocumentStep(cluster, ((f"{CONFIG}/agents.json", self.document),)),
            *(DocumentStep(cluster, files, _document(name)) for name, files in self._keepers.items()),
            *self._images(),
            *self._leftovers(),
            *self._services(),
        )

    def _sight(self) -> Iterable[Step]:
        for agent, served in seers(self.platform, self.config.served):
            look = look_of(self.config, served.model.id, served.model.revision)
            yield SightStep(self.config.cluster, agent, served.model.id, look)

    def _secrets(self) -> Iterable[Step]:
        """Made on the head; a password of what keeps something lasts as long as that."""
        cluster = self.config.cluster
        yield from (SecretStep(cluster, cluster.head, key) for key in (AGENTS_KEY, JWT_SECRET, METRICS_KEY, NODE_KEY))
        yield from (SharedSecretStep(cluster, worker, NODE_KEY) for worker in cluster.workers)
        for service, password in PASSWORDS.items():
            step = SecretStep(cluster, cluster.head, password)
            yield replace(step, layer=FoldersStep.layer) if service in self.brought else replace(step, wanted=False)

    @property
    def _keepers(self) -> dict[str, tuple[tuple[str, str], ...]]:
        """Those that are deployed, with their files."""
        watching = self.observability
        files = (self.vectors.files, watching.prometheus_files, watching.grafana_files)
        return {name: told for name, told in zip(KEEPERS, files, strict=True) if name in self.brought}

    def _images(self) -> Iterable[Step]:
        cluster, base = self.config.cluster, self.platform.base
        for name, image in self.brought.items():
            yield PullStep(cluster, image, shared_login(self.config, image), f"image-{name}")
        if self.platform.image:
            yield PullStep(cluster, self.image, shared_login(self.config, self.image), "image-agents")
        else:
            yield PullStep(cluster, base, shared_login(self.config, base), "image-agents-base")
            yield BuildStep(cluster, self.image, base, "image-agents-base", own_wheel(), "image-agents")
        here = {service.node for service in self.services if service.image == self.image}
        yield from (CarryStep(cluster, w, self.image, "image-agents") for w in cluster.workers if w.name in here)

    def _leftovers(self) -> Iterable[Step]:
        for node in self.config.cluster.nodes:
            here = frozenset(s.name for s in self.services if s.node == node.name)
            step = cleared(self.config, node)
            yield replace(step, wished=here, own=PLATFORM, known=PLATFORM, strays=False, name="agents-leftovers")

    def _services(self) -> Iterable[Step]:
        cluster = self.config.cluster
        yield from (NetworkStep(cluster, service.name) for service in self.services if service.published)
        for service in self.services:
            rooted = replace(service, needs=self._needs(service))
            yield ContainerStep(service.name, cluster, (rooted,), image=self._image(service))
            health = HealthStep(cluster, rooted, self.look(service))
            yield replace(health, seconds=START_SECONDS) if service.name == MILVUS else health

    def _needs(self, service: Service) -> tuple[str, ...]:
        """The gateway takes the port that an engine may have had, and stands on its database."""
        head = self.config.cluster.head.name
        names = ["docker", "state", "ports", "agents-leftovers"]
        names += [f"secret-{secret.name}" for secret in service.secrets]
        names.append(self._image(service))
        needs = [step_id("agents-folders", head), *(step_id(name, service.node) for name in names)]
        if service.published:
            needs.append(step_id(network_step(service.name), head))
        if service.name in self._keepers:
            needs.append(step_id(_document(service.name), head))
        if service.name == GRAFANA:
            return (*needs, step_id(health_name(PROMETHEUS), head))
        if service.name in (*self.brought, SANDBOX, FIGURES):
            return tuple(needs)
        needs.append(step_id("agents-document", head))
        if service.name == UI:
            return (*needs, step_id(health_name(GATEWAY), head))
        needs += [step_id(health_name(s.name), head) for s in self.services if s.name in (DATABASE, MILVUS, SANDBOX)]
        return (*needs, *(id for served in self.config.served for id in self._engine(served)))

    def _image(self, service: Service) -> str:
        """The name of the step that brings its image."""
        return f"image-{service.name}" if service.name in self.brought else "image-agents"

    def _engine(self, served: "Served") -> Iterable[str]:
        """The containers that answer the clients of a model."""
        for backend in backends(served):
            api = Workload(self.config, served).services(backend)[-1]
            yield step_id(api.name, api.node)


def _document(service: str) -> str:
    """The name of the step that writes a service's own files."""
    return f"{service}-document"


def agents_of(config: "Config") -> Agents | None:
    """The platform, where this deployment has one and serves a model that it can stand on."""
    platform = config.profile.platform
    return Agents(config, platform) if platform and "vllm" in config.profile.components else None
