"""The serving stack: every model of the profile on its nodes, as steps from the host up to the first token."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, get_args

from sparkctl.core.plan import id_of
from sparkctl.core.step import Step
from sparkctl.engines import registry
from sparkctl.engines.engine import API_KEY, Backend
from sparkctl.errors import SparkctlError
from sparkctl.facts.engine import LOOK_SECONDS
from sparkctl.stacks.agents import Agents, agents_of
from sparkctl.stacks.budgets import memory_steps
from sparkctl.stacks.goods import HF_TOKEN, Goods, backends, caches, image_steps, model_steps, store_steps
from sparkctl.stacks.guard import watchdog_steps
from sparkctl.stacks.workload import Workload, cleared
from sparkctl.steps import cache, fabric, host, host_docker, host_ports, host_state, packages, ssh_trust
from sparkctl.steps.host import HostWish
from sparkctl.steps.host_ports import PortWish
from sparkctl.steps.keeper import KeeperStep
from sparkctl.steps.ollama import OllamaStoreStep
from sparkctl.steps.secret import SecretStep, SharedSecretStep
from sparkctl.topology import Node

if TYPE_CHECKING:
    from sparkctl.config.load import Config
    from sparkctl.config.served import Served


ANY_IMAGE = "sparkctl/agents:any"
"""In the place of the one that is built: what is undone need not be known by its content."""
ROUTED = "sparkctl/auto"
"""What the gateway calls the model behind which its agents answer."""


@dataclass(frozen=True)
class Endpoint:
    """What a client needs: the base URL ends in /v1. `name` is the model's in the profile, empty for an only one."""

    name: str
    url: str
    model: str


def serves(config: "Config") -> bool:
    """Whether this deployment serves a model."""
    return "vllm" in config.profile.components


def endpoints(config: "Config") -> tuple[Endpoint, ...]:
    """Where the models answer that `up` starts, or the agents before them; empty where there are none."""
    if agents := agents_of(config):
        return (gateway_endpoint(agents),)
    return tuple(map(endpoint, started(config)))


def gateway_endpoint(agents: Agents, model: str = "") -> Endpoint:
    """Where the agents answer, and the models behind them by their own names."""
    return Endpoint("", f"{agents.url}/v1", model or ROUTED)


def endpoint(served: "Served") -> Endpoint:
    """Where one model answers."""
    return Endpoint(served.name, served.url, served.served_name)


def started(config: "Config") -> tuple["Served", ...]:
    """The models that serve after `up`; the others are roles that wait for their launch."""
    return tuple(s for s in config.served if not s.on_demand) if serves(config) else ()


def chosen(config: "Config", name: str = "") -> "Served":
    """A served model by its name in the profile, or by what clients call it; without a name the first.

    Raises SparkctlError where this deployment serves none, or none of that name.
    """
    if not serves(config):
        fix = "set ENABLE_VLLM=1, or components: [vllm] in the profile"
        raise SparkctlError("this deployment serves no model", fix=fix)
    found = [s for s in config.served if name in ("", s.name, s.served_name)]
    if not found:
        known = ", ".join(s.name or s.served_name for s in config.served)
        raise SparkctlError(f"this deployment serves no model named {name}", fix=f"there are: {known}")
    return found[0]


def steps(config: "Config", look_seconds: int = LOOK_SECONDS, launched: Collection[str] = ()) -> tuple[Step, ...]:
    """Every step of the deployment; without its component the ground alone, on which nothing of ours runs.

    `look_seconds` is how long a look at what serves waits for a token; `launched` are roles to start beside the rest.
    """
    return _stack(config, look_seconds, [s for s in config.served if not s.on_demand or s.name in launched])


def all_steps(config: "Config") -> tuple[Step, ...]:
    """The steps of every choice of components, roles and engines: what an earlier one made is undone, too."""
    from sparkctl.config.agents import Platform
    from sparkctl.config.profile import Component

    agents = (config.profile.agents or Platform()).model_copy(update={"image": ANY_IMAGE})
    whole = {"components": get_args(Component), "agents": agents}
    everything = replace(config, profile=config.profile.model_copy(update=whole))
    made = {id_of(step): step for step in (*_engines(config), *_stack(everything, LOOK_SECONDS, config.served))}
    return tuple(made.values())


def _stack(config: "Config", look_seconds: int, running: Iterable["Served"]) -> tuple[Step, ...]:
    ground = (*_hosts(config), *_secrets(config), *store_steps(config))
    if not serves(config):
        return (*ground, *(cleared(config, node) for node in config.cluster.nodes))
    keeper = KeeperStep(config.cluster, tuple(Workload(config, served).unit for served in config.served))
    workloads = {served.name: Workload(config, served, look_seconds) for served in config.served}
    names = {served.name for served in running}
    work = (step for name, w in workloads.items() for step in (w.steps() if name in names else w.waiting()))
    agents = agents_of(config)
    goods = (*image_steps(config), *model_steps(config), *memory_steps(config, names))
    return (*ground, keeper, *goods, *work, *(agents.steps() if agents else ()))


def _hosts(config: "Config") -> Iterable[Step]:
    cluster, profile, goods = config.cluster, config.profile, Goods(config)
    extra = {node.name: ("python3",) for node in cluster.nodes} | {cluster.head.name: ("python3", "curl")}
    return (
        *host.steps(cluster, {node.name: _host_wish(config, node) for node in cluster.nodes}),
        *host_docker.steps(cluster),
        *host_state.steps(cluster),
        *packages.steps(cluster, store=profile.store.kind, allowed=profile.host.install_packages, extra=extra),
        *watchdog_steps(config),
        *host_ports.steps(cluster, _ports(config) if serves(config) else []),
        *fabric.steps(cluster, mtu=profile.fabric.mtu, min_gbit=profile.fabric.min_gbit),
        *ssh_trust.steps(cluster),
        *cache.steps(cluster, caches(config), goods.folders()),
    )


def _host_wish(config: "Config", node: Node) -> HostWish:
    """What a node must be."""
    wish, path = config.profile.host, caches(config)[node.name]
    machine = HostWish("" if wish.architecture == "any" else wish.architecture, skew_s=wish.max_clock_skew_s)
    if not serves(config):
        return machine
    here = [served for served in config.served if node in served.cluster.nodes]
    return replace(
        machine,
        gpu=wish.gpu,
        disk_gib=wish.min_disk_gib,
        disk_path=path,
        model_paths=tuple(f"{path}/hub/{folder}" for folder in Goods(config).folders()),
        images=tuple(dict.fromkeys(served.image.ref for served in here)),
    )


def _ports(config: "Config") -> list[PortWish]:
    every = [(s, b) for s in config.served for b in backends(s)]
    services = [service for served, backend in every for service in Workload(config, served).services(backend)]
    if agents := agents_of(config):
        services += agents.services
    return [PortWish(s.node, address, port, s.name) for s in services for address, port in s.ports]


def _secrets(config: "Config") -> Iterable[Step]:
    """The API key wherever clients are answered, the hub's token, and what the ranks of an engine share."""
    cluster, settings = config.cluster, config.settings
    head, token = cluster.head, settings.hf_token.get_secret_value()
    yield SecretStep(cluster, head, API_KEY, settings.vllm_api_key.get_secret_value(), serves=True)
    answering = {served.cluster.head.name for served in config.served}
    yield from (SharedSecretStep(cluster, worker, API_KEY) for worker in cluster.workers if worker.name in answering)
    yield SecretStep(cluster, head, HF_TOKEN, token, wanted=bool(token))
    for secret, wanted in _rank_secrets(config).items():
        yield SecretStep(cluster, head, secret, wanted=wanted)
        for worker in cluster.workers:
            shared = SharedSecretStep(cluster, worker, secret)
            yield shared if wanted else SecretStep(cluster, worker, secret, wanted=False)


def _engines(config: "Config") -> Iterable[Step]:
    """What any engine of sparkctl's own keeps on a node, wanted by nothing: as much of it as is not served now.

    A worker that answered clients of its own has the API key, too.
    """
    secrets = {registry.engine(name).rank_secret(backend) for name in registry.ENGINES for backend in Backend}
    secrets.add(API_KEY)
    for node in config.cluster.nodes:
        yield OllamaStoreStep(config.cluster, node)
        yield from (SecretStep(config.cluster, node, secret, wanted=False) for secret in sorted(secrets - {""}))


def _rank_secrets(config: "Config") -> dict[str, bool]:
    """Every secret that the ranks of these engines may share, and whether a backend that may run asks for it."""
    engines = [(registry.engine(served.engine.name), backends(served)) for served in config.served]
    known = {secret: False for engine, _ in engines for backend in Backend if (secret := engine.rank_secret(backend))}
    asked = (engine.rank_secret(backend) for engine, wanted in engines for backend in wanted)
    return known | {secret: True for secret in asked if secret}
