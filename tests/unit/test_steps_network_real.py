"""The network of one service on a real Docker engine: its clients come by loopback, its neighbours do not come in."""

import secrets
import socket
import subprocess
from collections.abc import Iterator

import docker
import pytest
from sshd import eventually
from tiny_image import busybox_image

from sparkctl.core.action import Context
from sparkctl.core.service import Confinement, Service
from sparkctl.facts.probe import Answer, Facts
from sparkctl.runtimes.containers import Create, Remove, container_name
from sparkctl.steps.network import MakeNetwork, NetworkStep, RemoveNetwork
from sparkctl.topology import Cluster, Node, Role
from sparkctl.transport.memory import MemoryHost

HEAD = Node("spark-1", Role.HEAD, "192.0.2.1", "spark")


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    with busybox_image(f"sparkctl-test-{secrets.token_hex(4)}") as name:
        yield name


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    made = Cluster(f"test-{secrets.token_hex(4)}", HEAD, (), "192.0.2.1")
    yield made
    client, name = docker.from_env(), container_name(made, "milvus")
    for container in client.containers.list(all=True, filters={"name": f"^{name}$"}):
        container.remove(force=True)
    for network in client.networks.list(names=[f"^{name}$"]):
        network.remove()


def seen(step: NetworkStep) -> Facts:
    """What the step's probe says on this machine."""
    (probe,) = (want.probe for want in step.wants if want.probe.name == "network:milvus")
    said = subprocess.run(["bash", "-c", probe.script], capture_output=True, text=True, check=False)
    return Facts({"spark-1": {probe.name: Answer(said.stdout, said.returncode), "containers": Answer("")}})


def reaches(client: docker.DockerClient, image: str, ask: list[str], network: str = "bridge") -> bool:
    """Whether a container on that network connects."""
    try:
        client.containers.run(image, ask, network=network, remove=True)
    except docker.errors.ContainerError:
        return False
    return True


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_neighbours_on_dockers_own_network_do_not_reach_it(image: str, cluster: Cluster) -> None:
    client, port, name = docker.from_env(), free_port(), container_name(cluster, "milvus")
    host = MemoryHost(HEAD, engine=client)
    host.reply(["id"], "65534\n")
    context, step = Context(host, {"spark-1": host}, print), NetworkStep(cluster, "milvus")
    (make,) = step.check(seen(step)).actions
    assert make == MakeNetwork(cluster, name)
    make.perform(context)
    words = ("sh", "-c", f"/bin/busybox httpd -p {port} -h /bin; exec /bin/busybox httpd -f -p 9091 -h /bin")
    place = (("127.0.0.1", port),)
    service = Service("milvus", "spark-1", image, words, network=name, ports=place, confined=Confinement())
    Create(cluster, service, image, ()).perform(context)
    try:
        inside = client.containers.get(name).attrs["NetworkSettings"]["Networks"]
        assert list(inside) == [name]
        socket.create_connection(("127.0.0.1", port), timeout=60).close()
        ask = ["/bin/busybox", "nc", "-w", "2", inside[name]["IPAddress"], "9091"]
        assert eventually(lambda: reaches(client, image, ask, network=name)), "it never listened"
        assert not reaches(client, image, ask)
    finally:
        Remove(cluster, "milvus", "spark-1", 0).perform(context)
    (remove,) = step.undo(seen(step))
    assert remove == RemoveNetwork(cluster, name)
    remove.perform(context)
    assert step.undo(seen(step)) == ()
