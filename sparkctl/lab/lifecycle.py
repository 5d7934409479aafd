"""A lab from nothing to ready machines, and back. What is there already is kept; what is missing is made."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sparkctl.config import lab_name
from sparkctl.errors import SparkctlError
from sparkctl.lab import depot, home, host, images, model, networks, rootfs, wheels
from sparkctl.lab.driver import NodeState, NodeStatus, load
from sparkctl.lab.progress import Event, Report, stage
from sparkctl.lab.spec import LABEL, Lab, LabSpec, cache_dir, home_of, labs_dir

if TYPE_CHECKING:
    import docker


@dataclass(frozen=True)
class LabStatus:
    """A lab as it is now; `depot` is a container state of Docker's (`running`), or `absent`."""

    lab: Lab
    depot: str
    nodes: tuple[NodeStatus, ...]

    @property
    def ready(self) -> bool:
        """Whether every machine and the depot can be used."""
        return self.depot == "running" and all(node.state is NodeState.READY for node in self.nodes)


def up(spec: LabSpec, report: Report) -> Lab:
    """Make the lab, or what is missing of it, and return when it can be used.

    A lab only grows: fewer nodes than it has keeps those that are there. Raises SparkctlError.
    """
    client = host.engine(report)
    with home.lock():
        lab = plan(client, spec, report)
        home.write(lab)
        driver = load(lab.driver)
        with ThreadPoolExecutor() as pool:
            machines = pool.submit(driver.prepare, report)
            downloads = pool.submit(_prefetch, client, report)
            _open(client, lab, report)
            machines.result()
            booted = pool.submit(driver.up, lab, report)
            downloads.result()
            _stock(client, lab, report)
            booted.result()
        images.tidy(client)
    return lab


def find(name: str) -> Lab:
    """The lab of that name. Raises SparkctlError when this machine remembers none, ConfigError for no name."""
    lab = home.read(name)
    if lab is None:
        fix = f"sparkctl lab up --name {name}"
        raise SparkctlError(f"there is no lab {name}", where=str(labs_dir()), fix=fix)
    return lab


def status(name: str) -> LabStatus:
    """The lab as it is now; changes nothing. Raises SparkctlError when there is none."""
    lab = find(name)
    client = host.connect()
    container = None if client is None else depot.find(client, lab)
    return LabStatus(lab, "absent" if container is None else container.status, load(lab.driver).status(lab))


def down(name: str, report: Report, *, images_too: bool = False) -> bool:
    """Remove everything that the lab of that name made; `images_too` takes images, registry and cache with it.

    Nothing to remove is fine, and returned as False. Raises ConfigError for what cannot be a name, SparkctlError.
    """
    lab_name.check(name)
    with home.lock():
        lab = home.read(name)
        client = host.connect()
        if lab is not None and client is None:
            what = f"no Docker engine answers, and the lab {name} lives in one"
            fix = f"start the engine and run this again; if it is gone for good, delete {lab.home}"
            raise SparkctlError(what, where="this machine", fix=fix)
        if lab is None:
            left = client is not None and _sweep(client, name)
            home.remove(name)
            report(Event(f"removed what was left of a lab {name}" if left else f"there is no lab {name}"))
        else:
            with stage(report, f"remove the lab {name}"):
                load(lab.driver).down(lab)
                if client is not None:
                    _sweep(client, name)
                home.remove(name)
        if images_too and client is not None:
            with stage(report, "remove images, registry and cache"):
                depot.remove_volume(client)
                model.sweep(client)
                images.remove(client)
                shutil.rmtree(cache_dir(), ignore_errors=True)
    return lab is not None or left


def plan(client: "docker.DockerClient", spec: LabSpec, report: Report) -> Lab:
    """The lab as it shall be: as remembered, with at least as many machines as asked for."""
    lab = home.read(spec.name)
    if lab is None:
        octet = networks.free_octet(client, home.octets())
        return Lab(spec.name, spec.driver, octet, spec.nodes, home_of(spec.name))
    if lab.driver != spec.driver:
        raise SparkctlError(
            f"the lab {spec.name} is one of driver {lab.driver}, not {spec.driver}",
            where=str(lab.home),
            fix=f"sparkctl lab down --name {spec.name}, or choose another --name",
        )
    if lab.size > spec.nodes:
        report(Event(f"the lab {lab.name} has {lab.size} machines and keeps them: a lab only grows"))
    return replace(lab, size=max(lab.size, spec.nodes))


def _prefetch(client: "docker.DockerClient", report: Report) -> None:
    """Get what the engine image is made of while other things are made, where it will be needed."""
    if not images.exists(client, images.engine().tag):
        wheels.download(report)
        rootfs.make(rootfs.recipe("engine"), report)


def _open(client: "docker.DockerClient", lab: Lab, report: Report) -> None:
    """Networks and depot."""
    image = images.ensure(client, images.depot(), report)
    networks.create(client, lab)
    depot.start(client, lab, image)


def _stock(client: "docker.DockerClient", lab: Lab, report: Report) -> None:
    """Fill the depot: images for nodes to pull, the model for them to download."""
    engine, noray = images.engine(), images.noray()
    if not depot.is_published(client, lab, engine.tag, depot.ENGINE, depot.ENGINE_TAG) or not model.folder().is_dir():
        images.ensure(client, engine, report)
    depot.stock_hub(client, lab, model.ensure(client, engine.tag, report))
    depot.publish(client, lab, engine.tag, depot.ENGINE, depot.ENGINE_TAG, report)
    depot.publish(client, lab, images.ensure(client, noray, report), depot.NORAY, depot.PLAIN_TAG, report)
    depot.publish_foreign(client, lab)
    platform = {
        depot.AGENTS: images.agents(),
        depot.POSTGRES: images.postgres(),
        depot.PROMETHEUS: images.prometheus(),
    }
    for repository, context in platform.items():
        if not depot.is_published(client, lab, context.tag, repository, depot.PLAIN_TAG):
            depot.publish(client, lab, images.ensure(client, context, report), repository, depot.PLAIN_TAG, report)


def _sweep(client: "docker.DockerClient", name: str) -> bool:
    """Remove what carries the lab's label, remembered or not; whether there was anything."""
    label: dict[str, str | list[str] | bool] = {"label": f"{LABEL}={name}"}
    containers = client.containers.list(all=True, filters=label)
    for container in containers:
        container.remove(force=True, v=True)
    bridges = client.networks.list(filters=label)
    for bridge in bridges:
        bridge.remove()
    volumes = client.volumes.list(filters=label)
    for volume in volumes:
        volume.remove()
    return bool(containers or bridges or volumes)
