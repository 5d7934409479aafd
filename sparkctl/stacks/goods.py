"""What the models of a deployment need on the nodes: images and model files, each brought once whoever shares it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparkctl.core.step import Step, step_id
from sparkctl.engines import registry
from sparkctl.engines.engine import Backend, Store
from sparkctl.facts.images import registry_of
from sparkctl.facts.model import folder_name
from sparkctl.steps import copy, nfs
from sparkctl.steps.image import CarryStep, LookStep, PullStep
from sparkctl.steps.image_actions import Login
from sparkctl.steps.model import ModelSource, ModelStep
from sparkctl.steps.ollama import OllamaStoreStep
from sparkctl.steps.secret import secret_path
from sparkctl.topology import Cluster, Node

if TYPE_CHECKING:
    from sparkctl.config.load import Config
    from sparkctl.config.served import Served

PUBLIC_HUB = "https://huggingface.co"
HF_TOKEN = "hf-token"  # noqa: S105 - the name of a file


@dataclass(frozen=True)
class Goods:
    """The images and the models of a deployment, each with the first of the served that names it."""

    config: "Config"

    @property
    def images(self) -> dict[str, "Served"]:
        """By reference."""
        return {served.image.ref: served for served in reversed(self.config.served)}

    @property
    def models(self) -> dict[tuple[str, str], "Served"]:
        """By id and revision, of engines that read the hub's cache."""
        read = [served for served in self.config.served if registry.engine(served.engine.name).STORE is Store.HUB]
        return {(served.model.id, served.model.revision): served for served in reversed(read)}

    def image_step(self, served: "Served") -> str:
        """The name of the step that brings its image."""
        return f"image{self.images[served.image.ref].suffix}"

    def look_step(self, served: "Served") -> str:
        """The name of the step that looks into its image."""
        return f"image-check{self.images[served.image.ref].suffix}"

    def model_steps(self, served: "Served") -> list[str]:
        """Ids of the steps after which every node of it can read its model."""
        first = self.models.get((served.model.id, served.model.revision))
        if registry.engine(served.engine.name).STORE is Store.OLLAMA:
            return [step_id("ollama-store", node.name) for node in served.cluster.nodes]
        if first is None:
            return []
        head, nodes = self.config.cluster.head, served.cluster.nodes
        name = "nfs-readback" if self.config.profile.store.kind == "nfs" else f"copy{first.suffix}"
        return [step_id(f"model{first.suffix}", head.name), *(step_id(name, n.name) for n in nodes if n != head)]

    def folders(self) -> tuple[str, ...]:
        """Names of the models' folders in the cache."""
        return tuple(dict.fromkeys(folder_name(repo) for repo, _ in self.models))


def backends(served: "Served") -> tuple[Backend, ...]:
    """The backends that may come to run: two, while only the image can tell."""
    return registry.engine(served.engine.name).backends(served.engine.backend, len(served.cluster.nodes))


def caches(config: "Config") -> dict[str, str]:
    """The model cache by node name, absolute."""
    return {node.name: config.settings.hf_cache_at(node.home) for node in config.cluster.nodes}


def image_steps(config: "Config") -> Iterable[Step]:
    """Each image: pulled by the head, with it by the workers that run it, looked into, carried where it lacks then."""
    cluster, goods = config.cluster, Goods(config)
    for reference, first in goods.images.items():
        name, users = goods.image_step(first), [s for s in config.served if s.image.ref == reference]
        workers = _workers(cluster, users)
        yield PullStep(cluster, reference, login_of(config, first.image.registry_user), name, workers=tuple(workers))
        if any(registry.engine(s.engine.name).LOOK for s in users):
            yield LookStep(cluster, reference, all(backends(s) == (Backend.RAY,) for s in users), name)
        for worker in workers:
            yield CarryStep(cluster, worker, reference, name)


def model_steps(config: "Config") -> Iterable[Step]:
    """Each model in the head's cache, and with the store `copy` on the workers that serve it; Ollama's own stores."""
    cluster, store = config.cluster, config.profile.store
    own = [s for s in config.served if registry.engine(s.engine.name).STORE is Store.OLLAMA]
    yield from (OllamaStoreStep(cluster, node) for node in dict.fromkeys(s.cluster.head for s in own))
    for (repo, revision), first in Goods(config).models.items():
        name = f"model{first.suffix}"
        users = [s for s in config.served if (s.model.id, s.model.revision) == (repo, revision)]
        yield _model(config, first, name, globs([s.model.allow for s in users]))
        if store.kind == "copy":
            workers = _workers(cluster, users)
            yield from copy.steps(cluster, repo, caches(config), store.parallel, workers=workers, model=name)


def store_steps(config: "Config") -> Iterable[Step]:
    """The store `nfs`, and what is left of one store where the profile names the other."""
    wanted, repos = config.profile.store.kind == "nfs", list(Goods(config).models.items())
    if not repos:
        return
    (first, _), _ = repos[0]
    yield from nfs.steps(config.cluster, caches(config), first, wanted=wanted)
    if wanted:
        for (repo, _), one in repos:
            yield from copy.steps(config.cluster, repo, caches(config), model=f"model{one.suffix}", wanted=False)


def _workers(cluster: Cluster, users: Iterable["Served"]) -> list[Node]:
    """Those of the cluster's workers on which any of them runs."""
    at_work = {node.name for served in users for node in served.cluster.nodes}
    return [worker for worker in cluster.workers if worker.name in at_work]


def login_of(config: "Config", default: str = "") -> Login | None:
    """The account at the image registry, where there is one; `default` is its name where no variable says it."""
    settings = config.settings
    password = settings.registry_password.get_secret_value() or settings.ngc_api_key.get_secret_value()
    user = settings.registry_user or default
    return Login(user, password) if user and password else None


def shared_login(config: "Config", image: str) -> Login | None:
    """The account for an image beside the engines': theirs, at their registry; no other one sees the password."""
    theirs = (served.image for served in config.served if registry_of(served.image.ref) == registry_of(image))
    same = next(theirs, None)
    return login_of(config, same.registry_user) if same else None


def globs(wished: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """The globs of files that several models of one repository ask for together; none asks for all."""
    return tuple(dict.fromkeys(glob for each in wished for glob in each)) if all(wished) else ("*",)


def _model(config: "Config", served: "Served", name: str, allow: tuple[str, ...]) -> ModelStep:
    cluster, model, settings = config.cluster, served.model, config.settings
    source = ModelSource(
        model=model.id,
        revision=model.revision,
        endpoint=settings.hf_endpoint or PUBLIC_HUB,
        hf_cache=caches(config)[cluster.head.name],
        allow=allow,
    )
    token = (step_id(f"secret-{HF_TOKEN}", cluster.head.name),) if settings.hf_token.get_secret_value() else ()
    return ModelStep(cluster, source, secret_path(cluster, cluster.head, HF_TOKEN), name, extra_needs=token)
