"""Builds the cluster from the settings: who is head, who are workers, on which addresses."""

import getpass
import ipaddress
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from sparkctl.config.origin import Raw
from sparkctl.config.settings import CIDR, IPV4, TARGET, Settings
from sparkctl.config.values import parse_target
from sparkctl.errors import Problem
from sparkctl.topology import Cluster, Node, Role

INIT = "run: sparkctl init"


class Assembly:
    """Puts a cluster together and collects what does not fit; `values` say where each setting was written."""

    def __init__(self, settings: Settings, values: Mapping[str, Raw], environ: Mapping[str, str], cwd: Path) -> None:
        self.settings, self.values, self.environ, self.cwd = settings, values, environ, cwd
        self.problems: list[Problem] = []

    def cluster(self, count: int | None) -> Cluster | None:
        """The cluster of the first `count` nodes (None: all), or None where problems forbid one."""
        head = self._head()
        workers = self._workers() if count != 1 else []
        if count and count > 1 + len(workers):
            return None
        workers = workers[: count - 1] if count else workers
        self.problems += self._clashes([head, *workers])
        if self.problems:
            return None
        return Cluster(self.settings.cluster_name, head, tuple(workers), self.settings.control_plane_api_ip)

    @property
    def configured(self) -> int:
        """How many nodes the settings name."""
        return 1 + len(self._ips())

    def where(self, name: str) -> str:
        """The place where a variable is set."""
        return self.values[name].where if name in self.values else "default"

    def _head(self) -> Node:
        s = self.settings
        if not s.control_plane_api_ip:
            self.problems.append(
                Problem(self.where("CONTROL_PLANE_API_IP"), "CONTROL_PLANE_API_IP", "not set", f"{IPV4}; {INIT}")
            )
        target = s.head_ssh_target or s.control_plane_api_ip or "unset"
        alone = not self._ips()
        if not alone and not s.fabric_ctrl_ip:
            accepted = f"{IPV4} that the workers reach"
            self.problems.append(Problem(self.where("FABRIC_CTRL_IP"), "FABRIC_CTRL_IP", "not set", accepted))
        return self._node(
            s.head_node_name,
            Role.HEAD,
            target,
            s.head_ssh_user,
            s.head_ssh_port,
            s.fabric_ctrl_ip,
            s.fabric_ctrl_interface,
        )

    def _workers(self) -> list[Node]:
        s = self.settings
        ips, targets, names = self._ips(), self._targets(), self._names()
        user = s.worker_node_ssh_user or s.worker_user or s.head_ssh_user
        interface = s.worker_node_interface or s.fabric_ctrl_interface
        return [
            self._node(name, Role.WORKER, target, user, s.worker_node_ssh_port, ip, interface)
            for name, target, ip in zip(names, targets, ips, strict=False)
        ]

    def _node(self, name: str, role: Role, target: str, user: str, port: int, ip: str, interface: str) -> Node:
        own_user, host, own_port = parse_target(target)
        key = self._file("SSH_KEY_FILE", self.settings.ssh_key_file)
        return Node(name, role, host, own_user or user or login(self.environ), own_port or port, ip, interface, key)

    def _file(self, name: str, path: str) -> str:
        if not path:
            return ""
        full = self.cwd / Path(path).expanduser()
        return str(full)

    def _ips(self) -> tuple[str, ...]:
        one = self.settings.worker_node_ip
        return self._chosen("WORKER_IPS", self.settings.worker_ips, "WORKER_NODE_IP", (one,) if one else ())

    def _targets(self) -> tuple[str, ...]:
        one = self.settings.worker_node_ssh_target
        many = self.settings.worker_ssh_targets
        targets = self._chosen("WORKER_SSH_TARGETS", many, "WORKER_NODE_SSH_TARGET", (one,) if one else ())
        if len(targets) != len(self._ips()):
            name = "WORKER_SSH_TARGETS" if many or len(self._ips()) > 1 else "WORKER_NODE_SSH_TARGET"
            found = f"{len(targets)} SSH targets for {len(self._ips())} workers"
            self.problems.append(Problem(self.where(name), name, found, f"one for each worker: {TARGET}; {INIT}"))
        return targets

    def _names(self) -> tuple[str, ...]:
        count = len(self._ips())
        names = self.settings.worker_node_names
        if not names:
            rest = (f"spark-{rank + 1}" for rank in range(2, count + 1))
            return (self.settings.worker_node_name, *rest)
        if len(names) != count:
            found = f"{len(names)} names for {count} workers"
            self.problems.append(Problem(self.where("WORKER_NODE_NAMES"), "WORKER_NODE_NAMES", found, "one for each"))
        return names

    def _chosen(self, many: str, items: tuple[str, ...], one: str, item: tuple[str, ...]) -> tuple[str, ...]:
        """The list, unless the one-worker spelling was set in a higher layer."""
        if not items or not item or item[0] == items[0]:
            return items or item
        high = self.values[one].layer if one in self.values else 0
        low = self.values[many].layer
        if high > low and len(items) == 1:
            return item
        if high >= low:
            problem = Problem(
                self.where(one),
                one,
                repr(item[0]),
                f"the first of {many}, which says {items[0]} at {self.where(many)}",
            )
            if problem not in self.problems:
                self.problems.append(problem)
        return items

    def _clashes(self, nodes: list[Node]) -> Iterator[Problem]:
        """Two nodes with one name or one address; fabric addresses outside of the subnet."""
        faces = {
            "SSH target": [f"{node.address}:{node.port}" for node in nodes],
            "fabric address": [node.fabric_ip for node in nodes if node.fabric_ip],
            "node name": [node.name for node in nodes],
        }
        variables = {
            "SSH target": "WORKER_NODE_SSH_TARGET",
            "fabric address": "WORKER_NODE_IP",
            "node name": "WORKER_NODE_NAME",
        }
        for face, values in faces.items():
            for value, times in Counter(values).items():
                if times > 1:
                    name = self._spelling(variables[face])
                    yield Problem(
                        self.where(name),
                        name,
                        f"{times} nodes with the {face} {value}",
                        "a different one for each node",
                    )
        yield from self._strays([node for node in nodes if node.fabric_ip] if len(nodes) > 1 else [])

    def _spelling(self, one: str) -> str:
        """The variable that was used: the list where it is set, else the one-worker spelling."""
        many = {
            "WORKER_NODE_SSH_TARGET": "WORKER_SSH_TARGETS",
            "WORKER_NODE_IP": "WORKER_IPS",
            "WORKER_NODE_NAME": "WORKER_NODE_NAMES",
        }
        return many[one] if getattr(self.settings, many[one].lower()) else one

    def _strays(self, nodes: list[Node]) -> Iterator[Problem]:
        s = self.settings
        for name, cidr, base in (
            ("WORKER_NODE_NETWORK", s.worker_node_network, s.worker_node_ip),
            ("FABRIC_CTRL_CIDR", s.fabric_ctrl_cidr, s.fabric_ctrl_ip),
            ("WORKER_NODE_CIDR", s.worker_node_cidr, s.worker_node_ip),
        ):
            if not cidr or (cidr.startswith("/") and not base):
                continue
            network = ipaddress.IPv4Interface(f"{base}{cidr}" if cidr.startswith("/") else cidr).network
            outside = [node.fabric_ip for node in nodes if ipaddress.IPv4Address(node.fabric_ip) not in network]
            if outside:
                found = f"{network} does not hold {', '.join(outside)}"
                yield Problem(self.where(name), name, found, f"one subnet for all fabric addresses: {CIDR}")


def login(environ: Mapping[str, str]) -> str:
    """The login name of whoever runs sparkctl: USER, LOGNAME, else the password database."""
    return environ.get("USER") or environ.get("LOGNAME") or _account()


def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a uid without an account, as in some containers
        return f"uid{os.getuid()}"
