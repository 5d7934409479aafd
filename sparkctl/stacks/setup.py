"""New Sparks made ready for deployments: packages, Docker, GPU, network, trust, memory, as steps with a way back.

What `setup` makes outlives deployments, so it keeps keys and records in a state folder of its own: that of a cluster
whose name no cluster can have.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from sparkctl.core.step import Layer, Step
from sparkctl.stacks import guard
from sparkctl.steps import gpu, host, host_docker, host_state, links, netplan, ssh_trust, sudoers, toolkit
from sparkctl.steps.gpu import GpuWish
from sparkctl.steps.host import HostWish
from sparkctl.steps.netplan import NetplanWish
from sparkctl.steps.packages import PackagesStep
from sparkctl.steps.sources import Source, SourcesStep
from sparkctl.topology import Cluster, Node

if TYPE_CHECKING:
    from sparkctl.config.load import Config

COMMANDS = ("docker", "nvidia-ctk", "python3", "ssh", "ping", "ss")
"""What every node needs, and netplan where there is a fabric to address."""


def steps(
    config: "Config", *, sudoers_asked: bool = False, password: str = "", undoing: bool = False
) -> tuple[Step, ...]:
    """Every step of the setup. `password` opens sudo where it is closed, with `sudoers_asked` alone.

    For `undoing` with those that the profile asks for no more: what they made goes, too.
    """
    config = _with_all_wishes(config) if undoing else config
    gates = sudoers.steps(config.cluster, wanted=sudoers_asked or config.profile.setup.sudoers, password=password)
    by_node = {gate.node: gate for gate in gates}
    behind = (sudoers.BehindSudo(s, by_node[s.node]) if s.node in by_node else s for s in _stack(config))
    return (*gates, *behind)


def own_cluster(config: "Config") -> Cluster:
    """The cluster under whose name setup keeps what it makes."""
    return replace(config.cluster, name=f"{config.cluster.name}.setup")


def _with_all_wishes(config: "Config") -> "Config":
    wish = config.profile.setup
    netplan = wish.netplan.model_copy(update={"write": True})
    every = wish.model_copy(update={"toolkit": True, "ssh_mesh": True, "netplan": netplan})
    return replace(config, profile=config.profile.model_copy(update={"setup": every}))


def _stack(config: "Config") -> tuple[Step, ...]:
    """The network comes last but for what goes over it: its change cuts whatever else works on the node."""
    own = own_cluster(config)
    ground = tuple(_ground(config, own))
    mesh = ssh_trust.mesh(own) if config.profile.setup.ssh_mesh else ()
    return (*ground, *_network(config, own, ground), *mesh)


def _ground(config: "Config", own: Cluster) -> Iterable[Step]:
    profile = config.profile
    hosts = {node.name: HostWish(_architecture(config), skew_s=profile.host.max_clock_skew_s) for node in own.nodes}
    yield from host.steps(config.cluster, hosts)
    yield from host_state.steps(own, "setup --undo")
    yield from _packages(config, own)
    yield from host_docker.steps(own, after=("host", "state", "packages"))
    yield from gpu.steps(own, GpuWish(profile.host.gpu, profile.setup.min_driver, profile.setup.min_cuda))
    yield from toolkit.steps(own) if _wants_toolkit(config) else ()
    # What the watchdog stopped is the business of `up`.
    yield from (step for step in guard.steps(config, own) if step.layer is not Layer.WORKLOAD)


def _architecture(config: "Config") -> str:
    wished = config.profile.host.architecture
    return "" if wished == "any" else wished


def _wants_toolkit(config: "Config") -> bool:
    return bool(config.profile.setup.toolkit and config.profile.host.gpu)


def _packages(config: "Config", own: Cluster) -> Iterable[Step]:
    for node in own.nodes:
        step = _package_step(config, own, node)
        wished = config.profile.setup.packages.sources.items()
        sources = tuple(Source(name, s.uris, s.suites, s.components, s.key) for name, s in wished)
        yield SourcesStep(own, node, sources, step)
        yield step


def _package_step(config: "Config", own: Cluster, node: Node) -> PackagesStep:
    wish, optional = config.profile.setup, {"nvidia-ctk": _wants_toolkit(config)}
    commands = [command for command in COMMANDS if optional.get(command, True)]
    if wish.netplan.write and own.workers and node.fabric_ip:
        commands.append("netplan")
    return PackagesStep(
        own,
        node,
        tuple(commands),
        config.profile.host.install_packages,
        brings={"docker": wish.packages.docker, "nvidia-ctk": wish.packages.toolkit},
        after=("state", "sources"),
    )


def _network(config: "Config", own: Cluster, ground: Iterable[Step]) -> Iterable[Step]:
    wish = config.profile.setup.netplan
    prefix, second = config.settings.fabric_prefix, wish.second_subnet or ""
    mtu = config.profile.fabric.mtu or wish.mtu  # what `up` asks for is what setup brings
    plan = NetplanWish(prefix, second, mtu, wish.interfaces, wish.confirm_s)
    if wish.write:
        yield from netplan.steps(own, plan, ground)
    yield from links.steps(own, plan, written=wish.write)
