"""Preflight of a node: everything that must hold before sparkctl changes anything, and that it must not change."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sparkctl.amounts import size
from sparkctl.core.action import Action
from sparkctl.core.service import LABEL_CLUSTER
from sparkctl.core.step import Blocked, Finding, Layer, Ok
from sparkctl.facts.docker import CONTAINERS, ContainerFact, ImageFact, image_probe
from sparkctl.facts.dockerd import DOCKERD, DockerdFact
from sparkctl.facts.gpu import GPU, GpuFact, GpuProcess
from sparkctl.facts.host import HOST, DiskFact, HostFact, disk_probe
from sparkctl.facts.probe import Facts, Probe, Want
from sparkctl.steps.place import OnNode
from sparkctl.topology import Cluster, Node

GIB = 2**30


@dataclass(frozen=True)
class HostWish:
    """What a node must be. An empty text, 0 or 0.0 means: any.

    `architecture` as `uname -m` prints it, `gpu` a part of the GPU's name, `disk_gib` the room that the model cache
    `disk_path` and Docker's folder must each have before the first deployment, `model_paths` folders of models and
    `images` images that count as such room where they are, and `skew_s` how far clocks may differ in seconds.
    """

    architecture: str = ""
    gpu: str = ""
    disk_gib: float = 0.0
    disk_path: str = "/"
    model_paths: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    skew_s: float = 0.0


@dataclass(frozen=True)
class Trouble:
    """One thing that is wrong, and what mends it."""

    problem: str
    fix: str


@dataclass(frozen=True)
class HostStep(OnNode):
    """One node against the wish; it changes nothing, and reports all that is wrong at once."""

    wish: HostWish
    name: str = "host"
    layer: Layer = Layer.HOST
    needs: tuple[str, ...] = ()

    @property
    def wants(self) -> tuple[Want, ...]:
        disk, images = disk_probe(self.wish.disk_path, self.wish.model_paths), map(image_probe, self.wish.images)
        probes: tuple[Probe[Any], ...] = (HOST, GPU, DOCKERD, CONTAINERS, disk, *images)
        own = tuple(Want(self.node, probe) for probe in probes)
        head = self.cluster.head.name
        return own if self.node == head else (*own, Want(head, HOST), Want(head, GPU))

    def check(self, facts: Facts) -> Finding:
        troubles = tuple(self._troubles(facts))
        if troubles:
            return Blocked("\n".join(t.problem for t in troubles), "\n".join(t.fix for t in troubles))
        host, gpu = facts.get(self.node, HOST), facts.get(self.node, GPU)
        available = f"{size(host.memory_available or 0)} of memory available"
        return Ok(", ".join(filter(None, (host.architecture, *gpu.names, gpu.driver, available))))

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        return ()

    def _troubles(self, facts: Facts) -> Iterator[Trouble]:
        host, gpu, dockerd = facts.get(self.node, HOST), facts.get(self.node, GPU), facts.get(self.node, DOCKERD)
        containers = facts.get(self.node, CONTAINERS)
        ours = _running_ours(containers or {}, self.cluster.name)
        yield from _account(host, self.on)
        yield from _machine(host, gpu, dockerd, self.wish)
        if self.wish.gpu:
            yield from _holders(gpu, containers, ours)
        if not ours:
            disk = facts.get(self.node, disk_probe(self.wish.disk_path, self.wish.model_paths))
            images = [facts.get(self.node, image_probe(image)) for image in self.wish.images]
            yield from _room(disk, dockerd, images, self.wish)
        if self.node != self.cluster.head.name:
            head = self.cluster.head.name
            yield from _skew(host, facts.get(head, HOST), head, self.wish.skew_s)
            yield from driver_parity(gpu, facts.get(head, GPU), head)


def steps(cluster: Cluster, wishes: Mapping[str, HostWish]) -> tuple[HostStep, ...]:
    """A preflight for every node, by node name."""
    return tuple(HostStep(cluster, node, wishes[node.name]) for node in cluster.nodes)


def _running_ours(containers: Mapping[str, ContainerFact], cluster: str) -> frozenset[str]:
    return frozenset(c.id for c in containers.values() if c.running and c.labels.get(LABEL_CLUSTER) == cluster)


def _account(host: HostFact, node: Node) -> Iterator[Trouble]:
    if host.home != node.home:
        yield Trouble(
            f"the home folder of {node.user} is {host.home or 'unknown'}, not {node.home}",
            f"use an account whose home is {node.home}, or move its home there: sudo usermod -d {node.home} -m USER",
        )
    if not host.sudo:
        yield Trouble(
            f"{node.user} cannot use sudo without a password",
            f"sparkctl setup --sudoers --ask-sudo-password; or, on {node.name}: {allow_sudo(node.user)}",
        )


def allow_sudo(user: str) -> str:
    """What to type on a node so that sudo asks no password; sudo reads no file whose name holds a dot (sudoers(5))."""
    return f"echo '{user} ALL=(ALL) NOPASSWD:ALL' | sudo tee /etc/sudoers.d/90-{user.replace('.', '_')}"


def _machine(host: HostFact, gpu: GpuFact, dockerd: DockerdFact, wish: HostWish) -> Iterator[Trouble]:
    if wish.architecture and host.architecture != wish.architecture:
        yield Trouble(
            f"the machine is {host.architecture or 'of unknown architecture'}, not {wish.architecture}",
            "name a machine of that architecture, or set host.architecture in the profile",
        )
    if not wish.gpu:
        return
    yield from missing_gpu(gpu, wish.gpu)
    if dockerd.client and not dockerd.toolkit and "nvidia" not in dockerd.runtimes:
        yield Trouble(
            "Docker cannot hand out the GPU: the NVIDIA container toolkit is missing",
            "let sparkctl install it: sparkctl setup",
        )


def missing_gpu(gpu: GpuFact, wished: str) -> Iterator[Trouble]:
    """No GPU whose name holds the wished text."""
    if not any(wished.lower() in name.lower() for name in gpu.names):
        found = ", ".join(gpu.names) or ("none that the driver answers for" if gpu.tools else "no NVIDIA driver")
        yield Trouble(
            f"no GPU named {wished} ({found})",
            "try nvidia-smi on the node; after a driver update it needs a reboot",
        )


def _holders(gpu: GpuFact, containers: Mapping[str, ContainerFact] | None, ours: frozenset[str]) -> Iterator[Trouble]:
    """Whose container a process lives in is unknown (None) while the engine does not answer: it may be ours."""
    names = {c.id: name for name, c in (containers or {}).items()}
    judged = [process for process in gpu.processes if containers is not None or not process.container]
    foreign = [process for process in judged if process.container not in ours]
    if foreign:
        stops = sorted({_stop(process, names) for process in foreign})
        yield Trouble(
            "the GPU is held by " + ", ".join(_holder(process, names) for process in foreign),
            "stop it first: " + "; ".join(stops),
        )


def _holder(process: GpuProcess, names: Mapping[str, str]) -> str:
    where = f" in container {names.get(process.container, process.container[:12])}" if process.container else ""
    memory = f", {process.mebibytes} MiB" if process.mebibytes is not None else ""
    return f"{process.name} (pid {process.pid}{memory}){where}"


def _stop(process: GpuProcess, names: Mapping[str, str]) -> str:
    if process.container:
        return f"docker stop {names.get(process.container, process.container[:12])}"
    return "sudo systemctl stop ollama" if "ollama" in process.name else f"sudo kill {process.pid}"


def _room(
    disk: DiskFact, dockerd: DockerdFact, images: Sequence[ImageFact | None], wish: HostWish
) -> Iterator[Trouble]:
    """Disk for what is not there yet; what is there counts as room on its own disk, and nothing else is to come."""
    if images and all(images) and disk.whole:
        return
    image_bytes, model_bytes = sum(image.size for image in images if image), disk.held or 0
    together = disk.device is not None and disk.device == dockerd.device
    in_cache = model_bytes + image_bytes * together
    in_engine = image_bytes + model_bytes * together
    for path, free, taken in ((wish.disk_path, disk.free, in_cache), (dockerd.root, dockerd.free, in_engine)):
        if free is not None and free + taken < wish.disk_gib * GIB:
            beside = f" beside {size(taken)} of image and model" if taken else ""
            yield Trouble(
                f"the disk of {path} has {size(free)} free{beside}, {wish.disk_gib:g} GiB are needed",
                f"make room (docker system df; sudo du -xh -d2 {path}), or lower host.min_disk_gib in the profile",
            )


def _skew(host: HostFact, head: HostFact, head_name: str, allowed: float) -> Iterator[Trouble]:
    if allowed and host.clock is not None and head.clock is not None and abs(host.clock - head.clock) > allowed:
        yield Trouble(
            f"its clock is {host.clock - head.clock:+.1f} s from that of {head_name}",
            "set both clocks by the network: sudo timedatectl set-ntp true",
        )


def driver_parity(gpu: GpuFact, head: GpuFact, head_name: str) -> Iterator[Trouble]:
    """Different drivers work, 2.4 times slower (facts.md, A)."""
    if gpu.driver and head.driver and gpu.driver != head.driver:
        yield Trouble(
            f"NVIDIA driver {gpu.driver} here, {head.driver} on {head_name}",
            "bring both nodes to one version: sudo apt-get update && sudo apt-get dist-upgrade, then reboot",
        )
