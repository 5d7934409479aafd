"""The depot of a lab: one container with the registry that nodes pull from, and the stand-in for the model hub."""

import platform
from pathlib import Path
from typing import TYPE_CHECKING

from sparkctl.errors import SparkctlError
from sparkctl.lab import files, images, networks
from sparkctl.lab.progress import Report, stage
from sparkctl.lab.registry import Registry
from sparkctl.lab.spec import LABEL, REGISTRY_PORT, Lab

if TYPE_CHECKING:
    import docker
    from docker.models.containers import Container

VOLUME = "sparkctl-lab-registry"
"""The registry's storage, shared by all labs of an engine; it outlives them."""
LOCAL = "127.0.0.1"
ENGINE, ENGINE_TAG = "sparklab/vllm-cpu", "0.32.0"
NORAY, WRONGARCH, PLAIN_TAG = "sparklab/noray", "sparklab/wrongarch", "1"
AGENTS, POSTGRES, PROMETHEUS = "sparklab/agents-base", "sparklab/postgres", "sparklab/prometheus"
MODEL, GATED_MODEL = "sparklab/tiny-llama", "sparklab/gated-llama"
GATE_TOKEN = "hf_lab"  # noqa: S105
"""The token that opens the gated model of every lab."""
_FOREIGN = {"x86_64": "arm64", "aarch64": "amd64"}


def start(client: "docker.DockerClient", lab: Lab, image: str) -> None:
    """Make the depot, or start it again; anew when it is of an older image."""
    container = find(client, lab)
    if container is not None and container.attrs["Config"]["Image"] != image:
        container.remove(force=True)
        container = None
    if container is None:
        container = _create(client, lab, image)
    if container.status != "running":
        container.start()
    registry(client, lab).wait()


def find(client: "docker.DockerClient", lab: Lab) -> "Container | None":
    """The depot's container, if there is one."""
    found = client.containers.list(all=True, filters={"label": f"{LABEL}={lab.name}", "name": f"^/{_name(lab)}$"})
    return found[0] if found else None


def registry(client: "docker.DockerClient", lab: Lab) -> Registry:
    """The registry as this machine reaches it. Raises SparkctlError where the depot does not run."""
    container = find(client, lab)
    ports = container.ports.get(f"{REGISTRY_PORT}/tcp") if container is not None else None
    if not ports:
        fix = f"sparkctl lab up --name {lab.name}"
        raise SparkctlError("the depot does not run", where=_name(lab), fix=fix)
    return Registry(f"{LOCAL}:{ports[0]['HostPort']}")


def publish(client: "docker.DockerClient", lab: Lab, local: str, repository: str, tag: str, report: Report) -> None:
    """Push a local image as `repository:tag`, unless the registry has the very same."""
    if is_published(client, lab, local, repository, tag):
        return
    target, key = registry(client, lab), local.rpartition(":")[2]
    with stage(report, f"push {repository}:{tag} to the lab's registry"):
        for name in (key, tag):
            _push(client, local, f"{target.address}/{repository}", name)


def publish_foreign(client: "docker.DockerClient", lab: Lab) -> None:
    """An image for an architecture that this machine is not."""
    target = registry(client, lab)
    if not target.digest(WRONGARCH, PLAIN_TAG):
        target.put_foreign(WRONGARCH, PLAIN_TAG, _FOREIGN.get(platform.machine(), "riscv64"))


def is_published(client: "docker.DockerClient", lab: Lab, local: str, repository: str, tag: str) -> bool:
    """Whether the registry has, as `repository:tag`, what the local tag stands for."""
    target = registry(client, lab)
    have = target.digest(repository, local.rpartition(":")[2])
    return bool(have) and have == target.digest(repository, tag)


def stock_hub(client: "docker.DockerClient", lab: Lab, model: Path) -> None:
    """Put the model's files into the hub, open and behind a gate."""
    container = find(client, lab)
    if container is None:
        raise SparkctlError("the depot is gone", where=_name(lab), fix=f"sparkctl lab up --name {lab.name}")
    stock = [files.File("/srv/hub/gated", f"{GATED_MODEL}\n".encode())]
    stock.append(files.File("/srv/hub/tokens", f"{GATE_TOKEN}\n".encode()))
    for repository in (MODEL, GATED_MODEL):
        for path in sorted(model.iterdir()):
            stock.append(files.File(f"/srv/hub/repos/{repository}/{path.name}", path.read_bytes()))
    files.put(container, stock)


def remove_volume(client: "docker.DockerClient") -> None:
    """Remove the registry's storage. Raises SparkctlError while another lab's depot uses it."""
    from docker.errors import APIError, NotFound

    try:
        client.volumes.get(VOLUME).remove()
    except NotFound:
        return
    except APIError as error:
        what = "the registry's volume stays: another lab uses it"
        raise SparkctlError(what, where=VOLUME, fix="take the other labs down first") from error


def _name(lab: Lab) -> str:
    return lab.resource("depot")


def _create(client: "docker.DockerClient", lab: Lab, image: str) -> "Container":
    network = lab.resource(networks.MANAGEMENT)
    client.volumes.create(VOLUME, labels={images.LABEL_IMAGE: "registry"})
    made = client.api.create_container(
        image,
        name=_name(lab),
        hostname="depot",
        labels={LABEL: lab.name},
        ports=[REGISTRY_PORT],
        host_config=client.api.create_host_config(
            binds=[f"{VOLUME}:/var/lib/registry"],
            port_bindings={REGISTRY_PORT: (LOCAL,)},
            network_mode=network,
            restart_policy={"Name": "unless-stopped"},
        ),
        networking_config=networks.attach(client, network, lab.depot_ip),
    )
    return client.containers.get(made["Id"])


def _push(client: "docker.DockerClient", local: str, repository: str, tag: str) -> None:
    client.images.get(local).tag(repository, tag)
    try:
        for answer in client.api.push(repository, tag, stream=True, decode=True):
            if "error" in answer:
                fix = "sparkctl lab down --images, then lab up"
                raise SparkctlError(f"the push failed: {answer['error']}", where=f"{repository}:{tag}", fix=fix)
    finally:
        client.images.remove(f"{repository}:{tag}")
