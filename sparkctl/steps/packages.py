"""Commands that the other steps need on the nodes, and the Debian packages that bring them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sparkctl.core.action import Action
from sparkctl.core.actions import InstallPackages, RemovePackages
from sparkctl.core.step import Absent, Blocked, Drifted, Finding, Layer, Ok, step_id
from sparkctl.facts.packages import PackagesFact, packages_probe
from sparkctl.facts.probe import Facts, Probe, Want
from sparkctl.facts.state import PACKAGES, state_path
from sparkctl.steps.host_state import tidy
from sparkctl.steps.place import OnNode
from sparkctl.topology import Cluster, Node, Role

PACKAGE_OF = {
    "ssh": "openssh-client",
    "ping": "iputils-ping",
    "ss": "iproute2",
    "rsync": "rsync",
    "exportfs": "nfs-kernel-server",
    "mount.nfs": "nfs-common",
    "python3": "python3",
    "curl": "curl",
    "docker": "docker.io",
    "nvidia-ctk": "nvidia-container-toolkit",
    "netplan": "netplan.io",
    "earlyoom": "earlyoom",
}
"""The Debian and Ubuntu package of each command that a step may ask for."""


@dataclass(frozen=True)
class PackagesStep(OnNode):
    """The commands of one node. Layer image, as what was installed stays on `down` and goes on `down --purge`.

    A step of another `name` keeps a record of its own. `brings` are the packages of a command, where they are not
    those of PACKAGE_OF; `after` are the steps of the node that come first.
    """

    commands: tuple[str, ...]
    allowed: bool
    name: str = PACKAGES
    layer: Layer = Layer.IMAGE
    brings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    after: tuple[str, ...] = ("state", "docker")

    @property
    def needs(self) -> tuple[str, ...]:
        return tuple(step_id(name, self.node) for name in self.after)

    @property
    def wants(self) -> tuple[Want, ...]:
        return (Want(self.node, self._probe),)

    def check(self, facts: Facts) -> Finding:
        fact = self._fact(facts)
        missing = [command for command in self.commands if command not in fact.commands]
        if not missing and fact.half:
            cut = f"the installation of {', '.join(fact.half)} was cut short"
            return Drifted((cut,), (InstallPackages(fact.half, self._record),))
        if not missing:
            return Ok(", ".join(self.commands))
        brought = (self.brings.get(command) or (PACKAGE_OF[command],) for command in missing)
        packages = tuple(dict.fromkeys(package for packages in brought for package in packages))
        if not (self.allowed and fact.apt):
            return self._refused(", ".join(missing), " ".join(packages), fact.apt)
        return Absent((InstallPackages(tuple(dict.fromkeys((*packages, *fact.half))), self._record),))

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        recorded = self._fact(facts).recorded
        tidied = tidy(self.cluster.state_dir(self.on))
        return (RemovePackages(recorded, self._record, tidied),) if recorded else ()

    def _refused(self, missing: str, packages: str, apt: bool) -> Blocked:
        if apt:
            fix = f"on {self.node}: sudo apt-get install {packages}; or set host.install_packages in the profile"
            return Blocked(f"{self.node} lacks {missing}, and installing is not allowed", fix)
        fix = f"install by that system's own means what Debian calls {packages}"
        return Blocked(f"{self.node} lacks {missing}, and has no apt-get", fix)

    def _fact(self, facts: Facts) -> PackagesFact:
        return facts.get(self.node, self._probe)

    @property
    def _probe(self) -> Probe[PackagesFact]:
        return packages_probe(self.commands, self._record, self.name)

    @property
    def _record(self) -> str:
        return state_path(self.cluster, self.on, self.name)


def commands_for(node: Node, *, alone: bool, store: str) -> tuple[str, ...]:
    """What one node needs: nothing but `ss` when it is alone, else the tools of the fabric and of the model store."""
    if alone:
        return ("ss",)
    head = node.role is Role.HEAD
    stores = {"copy": ("rsync",), "nfs": ("exportfs",) if head else ("mount.nfs",)}
    return ("ss", "ping", *(("ssh",) if head else ()), *stores.get(store, ()))


def steps(
    cluster: Cluster, *, store: str, allowed: bool, extra: Mapping[str, Iterable[str]] | None = None
) -> tuple[PackagesStep, ...]:
    """One for every node; `store` is nfs, copy or anything else for none, `extra` adds commands by node name."""
    found = []
    for node in cluster.nodes:
        more = tuple((extra or {}).get(node.name, ()))
        commands = (*commands_for(node, alone=not cluster.workers, store=store), *more)
        found.append(PackagesStep(cluster, node, tuple(dict.fromkeys(commands)), allowed))
    return tuple(found)
