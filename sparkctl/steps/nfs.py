"""The model store `nfs`: the head's model cache, exported over the fabric and mounted by every worker."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass

from sparkctl.core.action import Action
from sparkctl.core.actions import RemoveFile, Run, WriteFile
from sparkctl.core.step import Absent, Blocked, Drifted, Finding, Layer, Ok, step_id
from sparkctl.facts.nfs import Export, ExportsFact, export_probe
from sparkctl.facts.probe import Facts, Probe, Want
from sparkctl.rendering import render
from sparkctl.steps.nfs_mount import MountStep, ReadBackStep, unused
from sparkctl.steps.place import OnHead
from sparkctl.topology import Cluster

EXPORTS = "/etc/exports.d"
"""Debian's packages neither bring this folder nor miss it: exports(5) reads it where it is there."""

EXPORT_OPTIONS = ("ro", "sync", "no_subtree_check", "no_root_squash")
"""Workers only read. Containers read as root, which must stay root: files may be open to their owner alone."""

NEEDED = frozenset({"no_root_squash"})
"""Without this an export that somebody else made is of no use to us."""


@dataclass(frozen=True)
class ExportStep(OnHead):
    """The export on the head, in a file of our own, to the fabric addresses of the workers and nobody else.

    Where the store is another, it is not `wanted`, and goes after the mounts.
    """

    folder: str
    wanted: bool = True
    name: str = "nfs-export"
    layer: Layer = Layer.STORAGE

    @property
    def needs(self) -> tuple[str, ...]:
        own = (step_id("packages", self.node), step_id("cache", self.node))
        if not self.wanted:
            return (*own, *(step_id("nfs-mount", worker.name) for worker in self.cluster.workers))
        fabric = (step_id("fabric", self.node),) if self.cluster.head.fabric_ip else ()
        return (*own, *fabric)

    @property
    def wants(self) -> tuple[Want, ...]:
        return (Want(self.node, self._probe),)

    def check(self, facts: Facts) -> Finding:
        fact = facts.get(self.node, self._probe)
        if not self.wanted:
            return unused(f"{self.file} exports {self.folder}", self.undo(facts))
        foreign = [e for e in fact.files if e.path == self.folder and e.source != self.file]
        wanting = [e for e in foreign for ip in self._clients if _admits(e, ip) and not e.options >= NEEDED]
        if wanting:
            return self._insufficient(wanting[0])
        served = {ip for ip in self._clients if any(_admits(export, ip) for export in foreign)}
        own = tuple(ip for ip in self._clients if ip not in served)
        text = self._text(own) if own else ""
        differences = self._differences(fact, text)
        if not differences:
            return Ok(f"{self.folder} to {', '.join(self._clients)}")
        actions = self._actions(fact, text)
        return Drifted(differences, actions) if fact.own_text or not own else Absent(actions)

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        ours = facts.get(self.node, self._probe).own_text
        return (RemoveFile(self.file, sudo=True), _tidy(), _reexport()) if ours else ()

    @property
    def file(self) -> str:
        """The file that only sparkctl writes."""
        return f"{EXPORTS}/sparkctl-{self.cluster.name}.exports"

    @property
    def _clients(self) -> tuple[str, ...]:
        return tuple(worker.data_ip for worker in self.cluster.workers)

    @property
    def _probe(self) -> Probe[ExportsFact]:
        return export_probe(self.file)

    def _text(self, clients: tuple[str, ...]) -> str:
        path = self.folder.replace("\\", "\\134").replace(" ", "\\040")
        options = ",".join(EXPORT_OPTIONS)
        return render("exports.j2", cluster=self.cluster.name, path=path, clients=clients, options=options)

    def _differences(self, fact: ExportsFact, text: str) -> tuple[str, ...]:
        found = []
        if fact.own_text != text:
            found.append(f"{self.file} is {'missing' if not fact.own_text else 'not as wished'}")
        if not fact.running:
            found.append("the NFS server is not running")
        admitted = [e for e in fact.active if e.path == self.folder and e.options >= NEEDED]
        closed = [ip for ip in self._clients if not any(_admits(e, ip) for e in admitted)]
        if closed:
            found.append(f"the kernel does not export {self.folder} to {', '.join(closed)}")
        return tuple(found)

    def _actions(self, fact: ExportsFact, text: str) -> tuple[Action, ...]:
        actions = list[Action]()
        if text and fact.own_text != text:
            actions.append(WriteFile(self.file, text, sudo=True))
        if fact.own_text and not text:
            actions.append(RemoveFile(self.file, sudo=True))
        if not fact.running:
            actions.append(Run("start the NFS server", ("systemctl", "start", "nfs-server"), sudo=True))
        return (*actions, _reexport())

    def _insufficient(self, export: Export) -> Blocked:
        options = ",".join(sorted(export.options)) or "no options"
        return Blocked(
            f"{export.source} on {self.node} exports {self.folder} to {export.client} with {options}",
            f"sparkctl does not change that line: give it {','.join(EXPORT_OPTIONS)}, or remove it, then: "
            "sudo exportfs -ra",
        )


def steps(
    cluster: Cluster, folders: Mapping[str, str], repo: str, *, wanted: bool = True
) -> tuple[ExportStep | MountStep | ReadBackStep, ...]:
    """Export, mounts and read-backs of a model; all that they made goes where they are not `wanted`.

    `folders` by node name: the head's is shared, a worker's is where it appears.
    """
    if not cluster.workers:
        return ()
    source = folders[cluster.head.name]
    mounts = (MountStep(cluster, worker, source, folders[worker.name], repo, wanted) for worker in cluster.workers)
    reads = (ReadBackStep(cluster, worker, source, folders[worker.name], repo, wanted) for worker in cluster.workers)
    return (ExportStep(cluster, source, wanted), *mounts, *reads)


def _tidy() -> Run:
    empty = ("rmdir", "--ignore-fail-on-non-empty", EXPORTS)
    return Run(f"remove {EXPORTS} where that leaves it empty", empty, sudo=True)


def _reexport() -> Run:
    return Run("make the kernel's exports those of the files", ("exportfs", "-ra"), sudo=True)


def _admits(export: Export, address: str) -> bool:
    """True when an export's client names the address: `*`, the address, or a network around it."""
    if export.client in {"*", address}:
        return True
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(export.client, strict=False)
    except ValueError:
        return False
