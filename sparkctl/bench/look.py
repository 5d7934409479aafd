"""What a bench must know of a node before it measures: what its link really is, what is installed, what runs."""

import shlex
from dataclasses import dataclass
from typing import Any

from sparkctl.bench.results import Link, Machine
from sparkctl.core.service import LABEL_CLUSTER, LABEL_SERVICE
from sparkctl.engines.container import roce_devices
from sparkctl.facts.docker import CONTAINERS, ImageFact, image_probe
from sparkctl.facts.fabric import fabric_probe
from sparkctl.facts.gpu import GPU
from sparkctl.facts.host import HOST
from sparkctl.facts.lines import number, values
from sparkctl.facts.probe import Answer, Facts, Probe, Want
from sparkctl.topology import Node

TOOLS = ("ping", "iperf3", "ib_write_bw", "python3", "ss")
_SCRIPT = """\
nic={nic}
driver=$(readlink "/sys/class/net/$nic/device/driver") && echo "driver=${{driver##*/}}"
[ -e /proc/driver/nvidia/version ] && echo kernel=nvidia
for tool in {tools}; do command -v "$tool" >/dev/null && echo "tool=$tool"; done
ss -Hltn | while read -r _ _ _ local _; do echo "port=${{local##*:}}"; done
"""


@dataclass(frozen=True)
class Ground:
    """What only a bench asks. `driver` is that of the fabric interface, empty where no hardware is behind it.

    `nvidia` says that NVIDIA's kernel driver is loaded, which no stand-in for nvidia-smi can feign. `ports` listen.
    """

    driver: str
    nvidia: bool
    tools: frozenset[str]
    ports: frozenset[int]


@dataclass(frozen=True)
class Seen:
    """One node as the bench sees it. `serving` are the services of any of our clusters that run on it."""

    node: Node
    machine: Machine
    link: Link
    ground: Ground
    image: ImageFact | None
    serving: tuple[str, ...]

    def has(self, tool: str) -> bool:
        """Whether a program is installed."""
        return tool in self.ground.tools


def wants(node: Node, image: str) -> tuple[Want, ...]:
    """Every probe that `look` reads."""
    probes: list[Probe[Any]] = [HOST, GPU, CONTAINERS, fabric_probe(node.fabric_interface, (), None), _probe(node)]
    probes += [image_probe(image)] if image else []
    return tuple(Want(node.name, probe) for probe in probes)


def look(facts: Facts, node: Node, image: str, *, with_addresses: bool = False) -> Seen:
    """What the probes say of one node."""
    ground = facts.get(node.name, _probe(node))
    containers = (facts.get(node.name, CONTAINERS) or {}).values()
    ours = [one.labels.get(LABEL_SERVICE, "") for one in containers if one.running and LABEL_CLUSTER in one.labels]
    return Seen(
        node,
        _machine(facts, node, ground, with_addresses=with_addresses),
        _link(facts, node, ground),
        ground,
        facts.get(node.name, image_probe(image)),
        tuple(sorted(service for service in ours if service)),
    )


def _machine(facts: Facts, node: Node, ground: Ground, *, with_addresses: bool) -> Machine:
    architecture = facts.get(node.name, HOST).architecture or "unknown"
    gpu = ", ".join(facts.get(node.name, GPU).names)
    spark = ground.nvidia and architecture == "aarch64" and "GB10" in gpu
    addresses = (node.address, node.fabric_ip) if with_addresses else ("", "")
    return Machine(node.name, architecture, gpu, spark, *addresses)


def _link(facts: Facts, node: Node, ground: Ground) -> Link:
    """A virtual interface has no speed, whatever ethtool says of it."""
    fact = facts.get(node.name, fabric_probe(node.fabric_interface, (), None))
    found = fact.interface(node.fabric_interface)
    port = roce_devices(node.fabric_interface).split(",")
    rdma = tuple(device.name for device in fact.rdma if device.up and device.name in port)
    gbit = fact.megabits / 1000 if fact.megabits is not None and ground.driver else None
    return Link(node.name, node.fabric_interface, ground.driver, gbit, found.mtu if found else None, rdma)


def _probe(node: Node) -> Probe[Ground]:
    script = _SCRIPT.format(nic=shlex.quote(node.fabric_interface), tools=" ".join(TOOLS))
    return Probe(f"bench:{node.fabric_interface}", script, _ground)


def _ground(answer: Answer) -> Ground:
    found = values(answer.stdout)
    ports = (number(text) for text in found.get("port", ()))
    return Ground(
        driver=next(iter(found.get("driver", ())), ""),
        nvidia="kernel" in found,
        tools=frozenset(found.get("tool", ())),
        ports=frozenset(port for port in ports if port is not None),
    )
