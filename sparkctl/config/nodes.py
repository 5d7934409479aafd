"""Builds the cluster from the settings: who is head, who are workers, on which addresses."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from sparkctl.config.addresses import clashes
from sparkctl.config.laptop import is_file, login_name, path_of
from sparkctl.config.origin import Raw, quoted
from sparkctl.config.settings import IPV4, TARGET, Settings
from sparkctl.config.values import parse_target
from sparkctl.errors import Problem
from sparkctl.topology import Cluster, Node, Role

UNSET = "not set"
"""What is found where `sparkctl init` would have written a value."""
UserOn = Callable[[str], str]
"""The login that the SSH configuration names for a host name, an address or an alias; empty where it names none."""


def nobody(_: str) -> str:
    """The logins of an SSH configuration that names none."""
    return ""


@dataclass
class Roster:
    """The nodes that the settings name; `problems` collects what forbids a cluster, `values` say what is set where.

    `wanted` is how many take part, None for all; where it is one, nothing about workers is looked at. A node's login
    is that of its target, else its variable's, else `user_on` says, else it is the login name of this machine.
    """

    settings: Settings
    values: Mapping[str, Raw]
    environ: Mapping[str, str]
    cwd: Path
    wanted: int | None = None
    user_on: UserOn = nobody
    problems: list[Problem] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)

    def __post_init__(self) -> None:
        workers = self._workers() if self.wanted != 1 else []
        self.nodes = [self._head(), *workers]
        self._key_file()
        for name, found, accepted in clashes(self.settings, self.nodes):
            self.refuse(name, found, accepted)

    def cluster(self) -> Cluster:
        """The cluster of the wanted nodes. One node alone has no fabric: it finds itself where its clients do."""
        s = self.settings
        head, *workers = self.nodes[: self.wanted]
        if not workers:
            head = replace(head, fabric_ip=s.control_plane_api_ip, fabric_interface="")
        return Cluster(s.cluster_name, head, tuple(workers), s.control_plane_api_ip)

    def where(self, name: str) -> str:
        """The place where a variable is set."""
        return self.values[name].where if name in self.values else "default"

    def refuse(self, name: str, found: str, accepted: str) -> None:
        """Add the problem of a variable."""
        self.problems.append(Problem(self.where(name), name, found, accepted))

    def _head(self) -> Node:
        s = self.settings
        if not s.control_plane_api_ip:
            self.refuse("CONTROL_PLANE_API_IP", UNSET, IPV4)
        target = s.head_ssh_target or s.control_plane_api_ip or "unset"
        node = self._node(s.head_node_name, Role.HEAD, target, s.head_ssh_user, s.head_ssh_port)
        return replace(node, fabric_ip=s.fabric_ctrl_ip, fabric_interface=s.fabric_ctrl_interface)

    def _workers(self) -> list[Node]:
        s = self.settings
        ips = self._list("WORKER_IPS", "WORKER_NODE_IP")
        if ips and not s.fabric_ctrl_ip:
            self.refuse("FABRIC_CTRL_IP", UNSET, f"{IPV4} that the workers reach")
        targets = self._targets(len(ips)) if ips or s.worker_ssh_targets else ()
        user = s.worker_node_ssh_user or s.worker_user or s.head_ssh_user
        interface = s.worker_node_interface or s.fabric_ctrl_interface
        nodes = [
            self._node(name, Role.WORKER, target, user, s.worker_node_ssh_port)
            for name, target in zip(self._names(len(ips)), targets, strict=False)
        ]
        linked = [replace(n, fabric_ip=ip, fabric_interface=interface) for n, ip in zip(nodes, ips, strict=False)]
        return [replace(n, api_ip=ip) for n, ip in zip(linked, self._api_ips(len(linked)), strict=True)]

    def _api_ips(self, count: int) -> tuple[str, ...]:
        ips = self.settings.worker_api_ips
        if ips and len(ips) != count:
            self.refuse("WORKER_API_IPS", f"{len(ips)} for {count} workers", "one address for each worker")
        return ips if len(ips) == count else ("",) * count

    def _node(self, name: str, role: Role, target: str, user: str, port: int) -> Node:
        """A node without its fabric; the target's own user and port win."""
        own_user, host, own_port = parse_target(target)
        key = self.settings.ssh_key_file
        path = str(path_of(key, self.cwd)) if key else ""
        login = own_user or user or self.user_on(host) or login_name(self.environ)
        return Node(name, role, host, login, own_port or port, identity_file=path)

    def _targets(self, count: int) -> tuple[str, ...]:
        targets = self._list("WORKER_SSH_TARGETS", "WORKER_NODE_SSH_TARGET")
        many = self.settings.worker_ssh_targets or count > 1
        if len(targets) > count and not self.settings.worker_ips:
            self.refuse("WORKER_IPS", f"{count} for {len(targets)} workers", "the fabric address of each worker")
        elif len(targets) != count:
            found = f"{len(targets)} for {count} workers" if targets else UNSET
            name = "WORKER_SSH_TARGETS" if many else "WORKER_NODE_SSH_TARGET"
            self.refuse(name, found, f"for each worker {TARGET}")
        return (*targets, *("unset" for _ in range(len(targets), count)))

    def _names(self, count: int) -> tuple[str, ...]:
        if not self.settings.worker_node_names:
            return (self.settings.worker_node_name, *(f"spark-{rank + 1}" for rank in range(2, count + 1)))
        names = self._list("WORKER_NODE_NAMES", "WORKER_NODE_NAME")
        if len(names) != count:
            self.refuse("WORKER_NODE_NAMES", f"{len(names)} for {count} workers", "one name for each worker")
        return names

    def _list(self, many: str, one: str) -> tuple[str, ...]:
        """The list, or the one-worker spelling where there is no list or it was set in a higher layer."""
        items: tuple[str, ...] = getattr(self.settings, many.lower())
        item: str = getattr(self.settings, one.lower())
        if not items:
            return (item,) if item else ()
        if one not in self.values or not item or item == items[0]:
            return items
        list_layer, item_layer = self.values[many].layer, self.values[one].layer
        if item_layer > list_layer and len(items) == 1:
            return (item,)
        if item_layer >= list_layer:
            self.refuse(
                one, quoted(item), f"{items[0]}, the first of {many} ({self.where(many)}), or one of both unset"
            )
        return items

    def _key_file(self) -> None:
        if (path := self.nodes[0].identity_file) and not is_file(Path(path)):
            self.refuse("SSH_KEY_FILE", f"no such file: {path}", "a private key on this machine")
