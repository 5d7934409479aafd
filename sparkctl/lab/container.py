"""The default driver: a node is a container with systemd, sshd and a Docker engine of its own. It boots in 2 s."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from sparkctl.errors import SparkctlError
from sparkctl.lab import files, home, host, images, login, networks, privileges
from sparkctl.lab.driver import NodeState, NodeStatus
from sparkctl.lab.progress import Event, Report, stage
from sparkctl.lab.spec import LABEL, USER, Lab, LabNode

if TYPE_CHECKING:
    import docker
    from docker.models.containers import Container

LABEL_NODE = "io.sparkctl.lab.node"
"""Label of node containers; the value is the host name."""
BOOT_LIMIT = 90.0
"""Seconds that a node may take from start to `docker info`; 2 on an idle machine."""
_UID = 1000
_SHM = "8g"


class ContainerDriver:
    """Nodes as containers of this machine's engine."""

    def prepare(self, report: Report) -> None:
        """Build the node's image, unless the engine has it."""
        images.ensure(host.engine(report), images.node(), report)

    def up(self, lab: Lab, report: Report) -> None:
        """Make missing nodes, start stopped ones, wait for SSH and `docker info` of all."""
        missing = privileges.withheld_here()
        if missing:
            report(Event(f"this kernel withholds {', '.join(missing)}: nodes run without, instead of --privileged"))
        tag = images.node().tag
        with stage(report, f"boot {', '.join(node.name for node in lab.nodes)}"), ThreadPoolExecutor() as pool:
            list(pool.map(lambda node: _boot(lab, node, tag, missing), lab.nodes))

    def status(self, lab: Lab) -> tuple[NodeStatus, ...]:
        """Every node, as engine and SSH tell."""
        client = host.connect()
        if client is None:
            return tuple(NodeStatus(node, NodeState.ABSENT, "no Docker engine answers") for node in lab.nodes)
        with ThreadPoolExecutor() as pool:
            return tuple(pool.map(lambda node: _look(client, lab, node), lab.nodes))

    def down(self, lab: Lab) -> None:
        """Remove the node containers and their volumes."""
        client = host.connect()
        if client is None:
            return
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda node: node.remove(force=True, v=True), _find_all(client, lab)))
        for volume in client.volumes.list(filters={"label": f"{LABEL}={lab.name}"}):
            volume.remove()

    def drop_images(self) -> None:
        """Remove the node's image and root file system from the engine."""
        client = host.connect()
        if client is not None:
            images.remove(client, ("node", "rootfs-node"))


def make() -> ContainerDriver:
    """The driver."""
    return ContainerDriver()


def _labels(*labels: str) -> dict[str, str | list[str] | bool]:
    return {"label": [*labels]}


def _find_all(client: "docker.DockerClient", lab: Lab) -> "list[Container]":
    wanted = _labels(f"{LABEL}={lab.name}", LABEL_NODE)
    return client.containers.list(all=True, filters=wanted, ignore_removed=True)


def _find(client: "docker.DockerClient", lab: Lab, node: LabNode) -> "Container | None":
    wanted = _labels(f"{LABEL}={lab.name}", f"{LABEL_NODE}={node.name}")
    found = client.containers.list(all=True, filters=wanted, ignore_removed=True)
    return found[0] if found else None


def _boot(lab: Lab, node: LabNode, tag: str, missing: tuple[str, ...]) -> None:
    import docker

    client = docker.from_env(timeout=host.CALL_LIMIT)
    container = _find(client, lab, node)
    if container is not None and container.status == "created":
        # An earlier run was cut short between create and start; what it had not yet done to it is not known.
        container.remove(force=True, v=True)
        container = None
    if container is None:
        container = _create(client, lab, node, tag, missing)
    if container.status == "paused":
        container.unpause()
    elif container.status != "running":
        container.start()
    _wait(lab, node)


def _create(client: "docker.DockerClient", lab: Lab, node: LabNode, tag: str, missing: tuple[str, ...]) -> "Container":
    name, management = lab.resource(node.name), lab.resource(networks.MANAGEMENT)
    volume = client.volumes.create(f"{name}-docker", labels={LABEL: lab.name})
    config = client.api.create_host_config(
        **privileges.host_config(missing),
        binds=[f"{volume.name}:/var/lib/docker"],
        tmpfs={"/run": "", "/tmp": "exec"},
        shm_size=_SHM,
        cgroupns="private",
        network_mode=management,
        extra_hosts=lab.names,
        restart_policy={"Name": "unless-stopped"},
    )
    made = client.api.create_container(
        tag,
        name=name,
        hostname=node.name,
        labels={LABEL: lab.name, LABEL_NODE: node.name},
        environment={"LAB_FABRIC_IP": node.fabric_ip, "container": "docker"},
        stop_signal="SIGRTMIN+3",
        host_config=privileges.unmask(config),
        networking_config=networks.attach(client, management, node.address),
    )
    container = client.containers.get(made["Id"])
    client.networks.get(lab.resource(networks.FABRIC)).connect(container, ipv4_address=node.fabric_ip)
    files.put(container, _identity(lab, node))
    return container


def _identity(lab: Lab, node: LabNode) -> list[files.File]:
    """The node's host key, and the key that opens it."""
    private = lab.host_keys / node.name
    return [
        files.File("/etc/ssh/ssh_host_ed25519_key", private.read_bytes(), mode=0o600),
        files.File("/etc/ssh/ssh_host_ed25519_key.pub", private.with_name(f"{node.name}.pub").read_bytes()),
        files.File(
            f"/home/{USER}/.ssh/authorized_keys",
            f"{home.public_key(lab)}\n".encode(),
            mode=0o600,
            owner=_UID,
            private=True,
        ),
    ]


def _wait(lab: Lab, node: LabNode) -> None:
    deadline = time.monotonic() + BOOT_LIMIT
    while (trouble := login.try_docker(lab, node)) and time.monotonic() < deadline:
        time.sleep(0.1)
    if trouble:
        raise SparkctlError(
            f"the node is not ready {BOOT_LIMIT:.0f} s after its start: {trouble}",
            where=node.name,
            fix=f"look inside: docker exec -it {lab.resource(node.name)} systemctl status",
        )


def _look(client: "docker.DockerClient", lab: Lab, node: LabNode) -> NodeStatus:
    container = _find(client, lab, node)
    if container is None:
        return NodeStatus(node, NodeState.ABSENT)
    if container.status != "running":
        return NodeStatus(node, NodeState.STOPPED, f"its container is {container.status}")
    trouble = login.try_docker(lab, node)
    return NodeStatus(node, NodeState.BOOTING if trouble else NodeState.READY, trouble)
