"""A worker's half of the model store `nfs`: the mount over the fabric, and the proof that it works."""

from dataclasses import dataclass

from sparkctl.amounts import plural, size
from sparkctl.core.action import Action
from sparkctl.core.step import Absent, Blocked, Drifted, Finding, Layer, Ok, Pending, step_id
from sparkctl.facts.model import folder_name
from sparkctl.facts.model_files import copy_record
from sparkctl.facts.nfs import MountFact, mount_probe, token_probe, unescape
from sparkctl.facts.probe import Facts, Probe, Want
from sparkctl.steps.copy_actions import RemoveCopy, job_of
from sparkctl.steps.nfs_actions import AddToFstab, Detach, DropFromFstab, Mount, ReadBack, RemoveToken, token_path
from sparkctl.steps.place import OnWorker
from sparkctl.topology import Cluster, Node

OPTIONS = (
    "ro,vers=4.2,hard,noatime,nconnect=8,rsize=1048576,wsize=1048576,lookupcache=positive,"
    "_netdev,nofail,x-systemd.automount"
)
"""Read only; else as facts.md, D recommends (eight connections, large blocks, mounted on first use, no hang at boot),
and one more: without lookupcache=positive a worker that looked for a file too early denies for up to a minute that it
exists."""


@dataclass(frozen=True)
class MountStep(OnWorker):
    """The head's folder `source`, mounted on `folder`, with a line of our own in fstab.

    A copy of the model `repo` that is ours and would be hidden is removed before. What is not `wanted`, as the store
    is another, goes where it is ours.
    """

    source: str
    folder: str
    repo: str
    wanted: bool = True
    name: str = "nfs-mount"
    layer: Layer = Layer.STORAGE

    @property
    def needs(self) -> tuple[str, ...]:
        fabric = (step_id("fabric", self.node),) if self.worker.fabric_ip else ()
        own = (step_id("packages", self.node), step_id("cache", self.node))
        if not self.wanted:
            return own
        return (*own, *fabric, step_id("nfs-export", self.cluster.head.name))

    @property
    def wants(self) -> tuple[Want, ...]:
        return (Want(self.node, self._probe),)

    def check(self, facts: Facts) -> Finding:
        fact = facts.get(self.node, self._probe)
        if not self.wanted:
            return unused(f"{self.folder} is a mount of {self._remote}", self.undo(facts))
        if blocked := self._foreign(fact):
            return blocked
        if not fact.source:
            return self._unmounted(fact)
        differences, actions = [], list[Action]()
        if not self._lines_match(fact):
            differences.append(f"/etc/fstab does not mount {self._remote} as wished")
            actions.append(AddToFstab(self.cluster, self.fstab_line))
        if fact.source != self._remote:
            differences.append(f"{self.folder} is a mount of {fact.source}, not of {self._remote}")
        elif not fact.answers:
            differences.append(f"the mount of {self._remote} is stale: it does not answer")
        if fact.source != self._remote or not fact.answers:
            actions += [Detach(self.folder), Mount(self.folder)]
        return Drifted(tuple(differences), tuple(actions)) if actions else Ok(f"{fact.source} as {fact.kind}")

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        fact = facts.get(self.node, self._probe)
        if not self._own_lines(fact):
            return ()
        drop = DropFromFstab(self.cluster, self.folder)
        mounted = fact.source in {self._remote, *self._own_sources(fact)}
        return (Detach(self.folder), drop) if mounted else (drop,)

    def is_mounted(self, facts: Facts) -> bool:
        """Whether the folder shows the head's, whoever mounted it."""
        return facts.get(self.node, self._probe).source == self._remote

    @property
    def fstab_line(self) -> str:
        """Our line of fstab; the option `x-sparkctl` is a comment to mount(8), and makes the line ours."""
        escaped = (path.replace(" ", "\\040") for path in (self._remote, self.folder))
        return f"{' '.join(escaped)} nfs4 {OPTIONS},{_mark(self.cluster)} 0 0"

    @property
    def _remote(self) -> str:
        return f"{self.cluster.head.data_ip}:{self.source}"

    @property
    def _probe(self) -> Probe[MountFact]:
        return _mount_probe(self.cluster, self.worker, self.folder, self.repo)

    def _own_lines(self, fact: MountFact) -> list[str]:
        return [line for line in fact.fstab if _is_marked(line, self.cluster)]

    def _own_sources(self, fact: MountFact) -> set[str]:
        return {unescape(line.split()[0]) for line in self._own_lines(fact)}

    def _strange_lines(self, fact: MountFact) -> list[str]:
        return [line for line in fact.fstab if not _is_marked(line, self.cluster)]

    def _lines_match(self, fact: MountFact) -> bool:
        """Our line word by word, or somebody else's line that mounts the same."""
        strange = [unescape(line.split()[0]) for line in self._strange_lines(fact)]
        own = [line.split() for line in self._own_lines(fact)]
        return own == [self.fstab_line.split()] or (not own and strange == [self._remote])

    def _foreign(self, fact: MountFact) -> Blocked | None:
        if fact.source and not (fact.is_nfs and fact.source in {self._remote, *self._own_sources(fact)}):
            return Blocked(
                f"{self.folder} on {self.node} is a mount of {fact.source} ({fact.kind}) that sparkctl did not make",
                f"sudo umount {self.folder} and take it out of /etc/fstab, or choose another cache folder",
            )
        strange = [line for line in self._strange_lines(fact) if unescape(line.split()[0]) != self._remote]
        if strange:
            return Blocked(
                f"/etc/fstab on {self.node} already has a mount for {self.folder}: {strange[0]}",
                "remove that line, or choose another cache folder",
            )
        return None

    def _unmounted(self, fact: MountFact) -> Finding:
        if fact.held_files:
            return Blocked(
                f"{self.folder} on {self.node} holds {plural(fact.held_files, 'file')} "
                f"({size(fact.held_bytes)}) that the mount would hide",
                f"move them away (mv {self.folder} {self.folder}.local), or set store.kind: copy in the profile",
            )
        add = () if self._lines_match(fact) else (AddToFstab(self.cluster, self.fstab_line),)
        actions = (*add, Mount(self.folder))
        if fact.copied:
            job = job_of(self.cluster, self.worker, self.repo, self.source, self.folder)
            return Drifted(
                (f"{job.target} is a copy of ours that the mount would hide",), (RemoveCopy(job, True), *actions)
            )
        if fact.fstab:
            return Drifted((f"{self.folder} is not mounted",), actions)
        return Absent(actions)


@dataclass(frozen=True)
class ReadBackStep(OnWorker):
    """The proof: what the head writes into the folder, the worker reads through the mount; the rest is as above."""

    source: str
    folder: str
    repo: str
    wanted: bool = True
    name: str = "nfs-readback"
    layer: Layer = Layer.STORAGE

    @property
    def needs(self) -> tuple[str, ...]:
        return (step_id("nfs-mount", self.node), step_id("packages", self.cluster.head.name))

    @property
    def wants(self) -> tuple[Want, ...]:
        there = Want(self.cluster.head.name, self._there)
        return (there, Want(self.node, self._here), Want(self.node, self._mount)) if self.wanted else (there,)

    def check(self, facts: Facts) -> Finding:
        if not self.wanted:
            return unused(f"a token for {self.node} lies in {self.source}", self.undo(facts))
        written, read = facts.get(self.cluster.head.name, self._there), facts.get(self.node, self._here)
        if not facts.get(self.node, self._mount).is_nfs:
            return Pending(step_id("nfs-mount", self.node))
        if written and written == read:
            return Ok("read what the head wrote")
        action = ReadBack(self.cluster, self.worker, self.source, self.folder)
        if written:
            return Drifted((f"{self.node} does not read what {self.cluster.head.name} wrote",), (action,))
        return Absent((action,))

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        written = facts.get(self.cluster.head.name, self._there)
        return (RemoveToken(self.cluster, self.worker, self.source),) if written else ()

    @property
    def _mount(self) -> Probe[MountFact]:
        return _mount_probe(self.cluster, self.worker, self.folder, self.repo)

    @property
    def _there(self) -> Probe[str]:
        return token_probe(token_path(self.cluster, self.worker, self.source))

    @property
    def _here(self) -> Probe[str]:
        return token_probe(token_path(self.cluster, self.worker, self.folder))


def unused(left: str, actions: tuple[Action, ...]) -> Finding:
    """What a step of this store finds where the profile names another: `left` of it, which the actions take away."""
    return Drifted((f"{left}, and the store is another now",), actions) if actions else Ok("not used")


def _mount_probe(cluster: Cluster, worker: Node, folder: str, repo: str) -> Probe[MountFact]:
    return mount_probe(folder, cluster.name, f"hub/{folder_name(repo)}", copy_record(cluster, worker, repo))


def _mark(cluster: Cluster) -> str:
    return f"x-sparkctl={cluster.name}"


def _is_marked(line: str, cluster: Cluster) -> bool:
    words = line.split()
    return len(words) > 3 and _mark(cluster) in words[3].split(",")
