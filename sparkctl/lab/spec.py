"""What a lab is: its name, its machines, its addresses and the folder that remembers it. Pure data."""

import os
from dataclasses import dataclass
from pathlib import Path

from sparkctl.config import lab_name
from sparkctl.errors import ConfigError, Problem

LABEL = "io.sparkctl.lab"
"""Label of everything that a lab makes in a Docker engine; its value is the name of the lab."""
USER = "nvidia"
"""The login of a DGX Spark out of the box, uid 1000."""
MANAGEMENT_NIC, FABRIC_NIC = "enP7s7", "enp1s0f1np1"
FABRIC_MTU = 9000
REGISTRY_NAME, REGISTRY_PORT = "registry.lab", 5000
HUB_NAME, HUB_PORT = "hub.lab", 8090
OCTETS = range(77, 100)
"""Second octets that a lab may take for its two subnets."""
MAX_NODES = 16
FIRST_HOST = 11


@dataclass(frozen=True)
class LabSpec:
    """What the user asks for. Raises ConfigError for a name or a number that cannot be."""

    name: str = "sparklab"
    nodes: int = 2
    driver: str = "container"

    def __post_init__(self) -> None:
        from sparkctl.lab.driver import DRIVERS

        problems = [*lab_name.problems(self.name)]
        if not 1 <= self.nodes <= MAX_NODES:
            problems.append(Problem("lab", "nodes", str(self.nodes), f"1 to {MAX_NODES}"))
        if self.driver not in DRIVERS:
            problems.append(Problem("lab", "driver", repr(self.driver), " or ".join(DRIVERS)))
        if problems:
            raise ConfigError(
                tuple(problems), place="with what was asked of the lab", fix="see: sparkctl lab up --help"
            )


@dataclass(frozen=True)
class LabNode:
    """One machine: `name` is its host name, `address` its management address, where SSH answers."""

    name: str
    address: str
    fabric_ip: str


@dataclass(frozen=True)
class Lab:
    """A lab on this machine. `octet` is k of its subnets 10.k.0.0/24 (management) and 10.k.1.0/24 (fabric)."""

    name: str
    driver: str
    octet: int
    size: int
    home: Path

    @property
    def nodes(self) -> tuple[LabNode, ...]:
        """The machines in rank order; the first is the head."""
        return tuple(
            LabNode(f"spark-{i + 1}", f"10.{self.octet}.0.{FIRST_HOST + i}", f"10.{self.octet}.1.{FIRST_HOST + i}")
            for i in range(self.size)
        )

    def resource(self, what: str) -> str:
        """How something of this lab is called in the Docker engine: `sparklab-spark-1`."""
        return f"{self.name}-{what}"

    @property
    def management_subnet(self) -> str:
        """The network that laptop and nodes share, as CIDR."""
        return f"10.{self.octet}.0.0/24"

    @property
    def fabric_subnet(self) -> str:
        """The network between nodes alone, as CIDR."""
        return f"10.{self.octet}.1.0/24"

    @property
    def gateway(self) -> str:
        """The address of this machine on the management network."""
        return f"10.{self.octet}.0.1"

    @property
    def depot_ip(self) -> str:
        """Where registry and model hub of the lab answer."""
        return f"10.{self.octet}.0.2"

    @property
    def names(self) -> dict[str, str]:
        """What every machine finds in its /etc/hosts, as name: address."""
        return {REGISTRY_NAME: self.depot_ip, HUB_NAME: self.depot_ip}

    @property
    def management_bridge(self) -> str:
        """Name of the Linux bridge of the management network (15 bytes at most)."""
        return f"spark{self.octet}m"

    @property
    def fabric_bridge(self) -> str:
        """Name of the Linux bridge of the fabric."""
        return f"spark{self.octet}f"

    @property
    def env_file(self) -> Path:
        """The *where* of this lab, read by `--profile lab` instead of unified-config.env."""
        return self.home / "lab.env"

    @property
    def key_file(self) -> Path:
        """The private key that opens every node for `USER`."""
        return self.home / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        """The host keys of the nodes, by management address and by name."""
        return self.home / "known_hosts"

    @property
    def host_keys(self) -> Path:
        """The folder of the nodes' own private host keys, one file per host name."""
        return self.home / "hostkeys"


def labs_dir() -> Path:
    """Where labs remember themselves: SPARKCTL_LAB_HOME, else below XDG_STATE_HOME."""
    if chosen := os.environ.get("SPARKCTL_LAB_HOME"):
        return Path(chosen)
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "sparkctl/lab"


def home_of(name: str) -> Path:
    """The folder of the lab of that name. Raises ConfigError for a name that no lab can have."""
    return labs_dir() / lab_name.check(name)


def cache_dir() -> Path:
    """Where downloads and built root file systems stay; may be deleted at any time."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sparkctl/lab"
