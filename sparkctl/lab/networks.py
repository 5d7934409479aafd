"""The two networks of a lab: Linux bridges that Docker makes, and to which virtual machines can attach taps."""

from collections.abc import Iterable
from ipaddress import IPv4Network, ip_network
from typing import TYPE_CHECKING, cast

from sparkctl.errors import SparkctlError
from sparkctl.lab.spec import FABRIC_MTU, LABEL, OCTETS, Lab

if TYPE_CHECKING:
    import docker
    from docker.models.networks import Network
    from docker.types import EndpointConfig, NetworkingConfig

MANAGEMENT, FABRIC = "mgmt", "fabric"


def create(client: "docker.DockerClient", lab: Lab) -> None:
    """Make what is missing of both networks. Raises SparkctlError where the subnet is taken meanwhile."""
    have = {network.name for network in find(client, lab)}
    if lab.resource(MANAGEMENT) not in have:
        _create(client, lab, MANAGEMENT, lab.management_subnet, lab.management_bridge, mtu=1500, internal=False)
    if lab.resource(FABRIC) not in have:
        _create(client, lab, FABRIC, lab.fabric_subnet, lab.fabric_bridge, mtu=FABRIC_MTU, internal=True)


def find(client: "docker.DockerClient", lab: Lab) -> "list[Network]":
    """The networks of this lab that exist."""
    return client.networks.list(filters={"label": f"{LABEL}={lab.name}"})


def attach(client: "docker.DockerClient", network: str, address: str) -> "NetworkingConfig":
    """The argument of `create_container` that gives it that address on that network."""
    from docker.types import NetworkingConfig

    endpoint = client.api.create_endpoint_config(ipv4_address=address)
    return NetworkingConfig(cast("EndpointConfig", {network: endpoint}))


def free_octet(client: "docker.DockerClient", reserved: Iterable[int]) -> int:
    """The first k whose subnets 10.k.0.0/24 and 10.k.1.0/24 nobody uses: no Docker network, no route of this machine.

    `reserved` are those that other labs remember. Raises SparkctlError when all are taken.
    """
    taken = [*_docker_subnets(client), *_routed_subnets()]
    for octet in OCTETS:
        wanted = IPv4Network(f"10.{octet}.0.0/23")
        if octet not in reserved and not any(wanted.overlaps(subnet) for subnet in taken):
            return octet
    raise SparkctlError(
        f"no free subnet pair between 10.{OCTETS[0]}.0.0 and 10.{OCTETS[-1]}.1.0",
        where="lab",
        fix="remove labs that are no longer needed: sparkctl lab down --name NAME",
    )


def _create(
    client: "docker.DockerClient", lab: Lab, what: str, subnet: str, bridge: str, *, mtu: int, internal: bool
) -> None:
    from docker.errors import APIError
    from docker.types import IPAMConfig, IPAMPool

    # The laptop has no way into a fabric, as in reality: the bridge gets no address of this machine.
    private = {"com.docker.network.bridge.inhibit_ipv4": "true"} if internal else {}
    gateway = str(next(iter(IPv4Network(subnet).hosts())))
    try:
        client.networks.create(
            lab.resource(what),
            driver="bridge",
            internal=internal,
            check_duplicate=True,
            ipam=IPAMConfig(pool_configs=[IPAMPool(subnet=subnet, gateway=gateway)]),
            options={"com.docker.network.bridge.name": bridge, "com.docker.network.driver.mtu": str(mtu), **private},
            labels={LABEL: lab.name},
        )
    except APIError as error:
        raise SparkctlError(
            f"the engine refuses the network {subnet}: {error.explanation}",
            where=lab.resource(what),
            fix=f"sparkctl lab down --name {lab.name}, then lab up again takes another subnet",
        ) from error


def _docker_subnets(client: "docker.DockerClient") -> Iterable[IPv4Network]:
    for network in client.networks.list():
        for pool in (network.attrs.get("IPAM") or {}).get("Config") or ():
            subnet = ip_network(pool["Subnet"])
            if isinstance(subnet, IPv4Network):
                yield subnet


def _routed_subnets() -> Iterable[IPv4Network]:
    """Every IPv4 route of this machine but the default ones, from /proc/net/route (hexadecimal, little-endian)."""
    from pathlib import Path

    for line in Path("/proc/net/route").read_text().splitlines()[1:]:
        fields = line.split()
        network, mask = (int.from_bytes(bytes.fromhex(fields[i]), "little") for i in (1, 7))
        if mask:
            yield IPv4Network((network, mask.bit_count()))
