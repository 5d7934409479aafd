"""The serving stack: one model on all nodes of the cluster, as steps from the host up to the first token."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sparkctl.core.service import Service
from sparkctl.core.step import Step, step_id
from sparkctl.engines import vllm
from sparkctl.engines.engine import Backend, Ports, ServeSpec
from sparkctl.errors import SparkctlError
from sparkctl.facts.engine import LOOK_SECONDS
from sparkctl.facts.model import folder_name
from sparkctl.runtimes.docker import ContainerStep
from sparkctl.steps import cache, copy, fabric, host, host_docker, host_ports, host_state, nfs, packages, ssh_trust
from sparkctl.steps.choice import ByImage
from sparkctl.steps.host import HostWish
from sparkctl.steps.host_ports import PortWish
from sparkctl.steps.image import CarryStep, LookStep, PullStep
from sparkctl.steps.image_actions import Login
from sparkctl.steps.leftovers import LeftoversStep
from sparkctl.steps.model import ModelSource, ModelStep
from sparkctl.steps.ray import JoinStep
from sparkctl.steps.secret import SecretStep, SharedSecretStep, secret_path
from sparkctl.steps.serving import ServingStep
from sparkctl.topology import Node

if TYPE_CHECKING:
    from sparkctl.config.load import Config

PUBLIC_HUB = "https://huggingface.co"
HF_TOKEN = "hf-token"  # noqa: S105 - the name of a file


@dataclass(frozen=True)
class Endpoint:
    """What a client needs: the base URL ends in /v1."""

    url: str
    model: str


def serves(config: "Config") -> bool:
    """Whether this deployment serves a model."""
    return "vllm" in config.profile.components


def endpoint(config: "Config") -> Endpoint:
    """Where the served model answers. Raises SparkctlError where this deployment serves none."""
    if not serves(config):
        fix = "set ENABLE_VLLM=1, or components: [vllm] in the profile"
        raise SparkctlError("this deployment serves no model", fix=fix)
    return Endpoint(f"http://{config.cluster.api_ip}:{config.profile.ports.api}/v1", served_name(config))


def served_name(config: "Config") -> str:
    """The name that clients ask for."""
    return config.profile.model.served_name or config.profile.model.id


def key_path(config: "Config") -> str:
    """Where the API key lies on the head."""
    return secret_path(config.cluster, config.cluster.head, vllm.API_KEY)


def steps(config: "Config", look_seconds: int = LOOK_SECONDS) -> tuple[Step, ...]:
    """Every step of the deployment; without its component the ground alone, on which nothing of ours runs.

    `look_seconds` is how long a look at what serves waits for a token.
    """
    ground = (*_hosts(config), *_secrets(config), *_store(config))
    if not serves(config):
        return (*ground, *(_cleared(config, node) for node in config.cluster.nodes))
    return (*ground, *_image(config), _model(config), *_copies(config), *_workload(config, look_seconds))


def all_steps(config: "Config") -> tuple[Step, ...]:
    """The steps of every choice of components: what an earlier one made is undone, too."""
    return steps(replace(config, profile=config.profile.model_copy(update={"components": ("vllm",)})))


def serve_spec(config: "Config", backend: Backend) -> ServeSpec:
    """What the engine is asked for."""
    cluster, engine, model = config.cluster, config.profile.engine, config.profile.model
    wished = engine.tensor_parallel
    return ServeSpec(
        image=config.profile.image.ref,
        model=model.id,
        served_name=served_name(config),
        revision="" if model.revision == "main" else model.revision,
        tensor_parallel=len(cluster.nodes) if wished == "nodes" else wished,
        max_model_len=engine.max_model_len,
        gpu_memory_utilization=engine.gpu_memory_utilization,
        backend=backend,
        hf_cache=_caches(config),
        ports=Ports(**config.profile.ports.model_dump()),
        max_num_seqs=engine.max_num_seqs,
        dtype=engine.dtype or "",
        load_format=engine.load_format or "",
        trust_remote_code=engine.trust_remote_code,
        expert_parallel=engine.expert_parallel,
        shm_bytes=int(engine.shm_gib * 2**30),
        extra_args=engine.extra_args,
        env=tuple(engine.env.items()),
        stop_seconds=int(config.profile.timeouts.drain_s),
        drop_caches=config.profile.host.drop_caches,
        ray_token={node.name: secret_path(cluster, node, vllm.RAY_TOKEN) for node in cluster.nodes},
    )


def _caches(config: "Config") -> dict[str, str]:
    return {node.name: config.settings.hf_cache_at(node.home) for node in config.cluster.nodes}


def _hosts(config: "Config") -> Iterable[Step]:
    cluster, profile = config.cluster, config.profile
    extra = {cluster.head.name: ("python3", "curl")}
    wishes = {name: _host_wish(config, cache) for name, cache in _caches(config).items()}
    return (
        *host.steps(cluster, wishes),
        *host_docker.steps(cluster),
        *host_state.steps(cluster),
        *packages.steps(cluster, store=profile.store.kind, allowed=profile.host.install_packages, extra=extra),
        *host_ports.steps(cluster, _ports(config) if serves(config) else []),
        *fabric.steps(cluster, mtu=profile.fabric.mtu, min_gbit=profile.fabric.min_gbit, prefix=_prefix(config)),
        *ssh_trust.steps(cluster),
        *cache.steps(cluster, _caches(config), folder_name(profile.model.id)),
    )


def _prefix(config: "Config") -> int:
    """Length of the fabric's network prefix in bits; 24 where the configuration names none."""
    return int(config.settings.fabric_ctrl_cidr.rpartition("/")[2] or 24)


def _host_wish(config: "Config", cache: str) -> HostWish:
    wish, weights = config.profile.host, config.profile.engine.weights_gib or 0.0
    machine = HostWish("" if wish.architecture == "any" else wish.architecture, skew_s=wish.max_clock_skew_s)
    if not serves(config):
        return machine
    return replace(
        machine,
        gpu=wish.gpu,
        disk_gib=wish.min_disk_gib,
        disk_path=cache,
        model_path=f"{cache}/hub/{folder_name(config.profile.model.id)}",
        image=config.profile.image.ref,
        memory_gib=wish.reserve_gib + weights / len(config.cluster.nodes),
        memory_share=config.profile.engine.gpu_memory_utilization if wish.gpu else 0.0,
    )


def _ports(config: "Config") -> list[PortWish]:
    return [
        PortWish(service.node, address, port, service.name)
        for backend in _backends(config)
        for service in _services(config, backend)
        for address, port in service.ports
    ]


def _backends(config: "Config") -> tuple[Backend, ...]:
    """The backends that may come to run: both, while only the image can tell."""
    if not config.cluster.workers:
        return (Backend.MP,)
    name = config.profile.engine.backend
    return (Backend.RAY, Backend.MP) if name == "auto" else (Backend(name),)


def _secrets(config: "Config") -> Iterable[Step]:
    head, settings = config.cluster.head, config.settings
    token = settings.hf_token.get_secret_value()
    yield SecretStep(config.cluster, head, vllm.API_KEY, settings.vllm_api_key.get_secret_value(), serves=True)
    yield SecretStep(config.cluster, head, HF_TOKEN, token, wanted=bool(token))
    ray = Backend.RAY in _backends(config)
    yield SecretStep(config.cluster, head, vllm.RAY_TOKEN, wanted=ray)
    for worker in config.cluster.workers:
        shared = SharedSecretStep(config.cluster, worker, vllm.RAY_TOKEN)
        yield shared if ray else SecretStep(config.cluster, worker, vllm.RAY_TOKEN, wanted=False)


def _image(config: "Config") -> Iterable[Step]:
    cluster, reference = config.cluster, config.profile.image.ref
    yield PullStep(cluster, reference, _login(config))
    yield LookStep(cluster, reference, needs_ray=_backends(config) == (Backend.RAY,))
    for worker in cluster.workers:
        yield CarryStep(cluster, worker, reference)


def _login(config: "Config") -> Login | None:
    settings = config.settings
    password = settings.registry_password.get_secret_value() or settings.ngc_api_key.get_secret_value()
    user = settings.registry_user or config.profile.image.registry_user
    return Login(user, password) if user and password else None


def _model(config: "Config") -> ModelStep:
    cluster, model, settings = config.cluster, config.profile.model, config.settings
    source = ModelSource(
        model=model.id,
        revision=model.revision,
        endpoint=settings.hf_endpoint or PUBLIC_HUB,
        hf_cache=_caches(config)[cluster.head.name],
        allow=model.allow or ("*",),
    )
    token = (step_id(f"secret-{HF_TOKEN}", cluster.head.name),) if settings.hf_token.get_secret_value() else ()
    return ModelStep(cluster, source, secret_path(cluster, cluster.head, HF_TOKEN), extra_needs=token)


def _workload(config: "Config", look_seconds: int) -> Iterable[Step]:
    made = {backend: _engine(config, backend, look_seconds) for backend in _backends(config)}
    if len(made) == 1:
        return next(iter(made.values()))
    ray, mp = ({(s.name, s.node): s for s in made[backend]} for backend in (Backend.RAY, Backend.MP))
    reference = config.profile.image.ref
    return tuple(ByImage(config.cluster, reference, ray.get(key), mp.get(key)) for key in {**ray, **mp})


def _engine(config: "Config", backend: Backend, look_seconds: int) -> tuple[Step, ...]:
    return (*_leftovers(config, backend), *_containers(config, backend, look_seconds))


def _leftovers(config: "Config", backend: Backend) -> Iterable[Step]:
    """On every node, no service but those of this backend; `stop` and `down` find each service once."""
    by_backend = {b: _services(config, b) for b in _backends(config)}
    for node in config.cluster.nodes:
        wished, known = (
            frozenset(service.name for services in wanted for service in services if service.node == node.name)
            for wanted in ([by_backend[backend]], by_backend.values())
        )
        yield replace(_cleared(config, node), wished=wished, known=known)


def _cleared(config: "Config", node: Node) -> LeftoversStep:
    """A node on which no container of this cluster runs."""
    return LeftoversStep(config.cluster, node, frozenset(), frozenset(), int(config.profile.timeouts.drain_s))


def _services(config: "Config", backend: Backend) -> tuple[Service, ...]:
    return vllm.services(serve_spec(config, backend), config.cluster, key_path(config))


def _containers(config: "Config", backend: Backend, look_seconds: int) -> tuple[Step, ...]:
    cluster, path = config.cluster, key_path(config)
    services = tuple(_rooted(config, service) for service in _services(config, backend))
    timeouts, port = config.profile.timeouts, config.profile.ports
    serving = ServingStep(cluster, services, port.api, served_name(config), path, timeouts.ready_s, look_seconds)
    if backend is Backend.MP:
        return (ContainerStep("vllm", cluster, services), serving)
    head, *workers, api = services
    join = JoinStep(cluster, port.ray, timeouts.join_s)
    return (
        ContainerStep("ray-head", cluster, (head,), above=(*workers, api)),
        *(ContainerStep("ray-worker", cluster, (worker,), below=(head,), above=(api,)) for worker in workers),
        join,
        ContainerStep("vllm", cluster, (api,), below=(head, *workers)),
        serving,
    )


def _rooted(config: "Config", service: Service) -> Service:
    """A service with the steps that must hold before its container starts."""
    cluster, node = config.cluster, service.node
    names = ["docker", "state", "cache", "ports", "image", "leftovers", *(["fabric"] if cluster.workers else [])]
    needs = [step_id(name, node) for name in names]
    needs.append(step_id("image-check", cluster.head.name))
    if config.profile.store.kind == "nfs" and node != cluster.head.name:
        needs.append(step_id("nfs-mount", node))
    if service.name.startswith("vllm"):
        needs += _loaded(config)
    needs += [step_id(f"secret-{secret.name}", node) for secret in service.secrets]
    if service.joins:
        needs.append(step_id("ray-join", node))
    return replace(service, needs=tuple(needs))


def _store(config: "Config") -> Iterable[Step]:
    """The store `nfs`, and what is left of one store where the profile names the other."""
    cluster, repo, wanted = config.cluster, config.profile.model.id, config.profile.store.kind == "nfs"
    yield from nfs.steps(cluster, _caches(config), repo, wanted=wanted)
    if wanted:
        yield from copy.steps(cluster, repo, _caches(config), wanted=False)


def _copies(config: "Config") -> Iterable[Step]:
    store = config.profile.store
    if store.kind != "copy":
        return ()
    return copy.steps(config.cluster, config.profile.model.id, _caches(config), store.parallel)


def _loaded(config: "Config") -> list[str]:
    """The steps after which every node can read the model."""
    name = "nfs-readback" if config.profile.store.kind == "nfs" else "copy"
    head = step_id("model", config.cluster.head.name)
    return [head, *(step_id(name, worker.name) for worker in config.cluster.workers)]
