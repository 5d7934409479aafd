"""The model store `copy`: each worker holds its own copy of the model, brought from the head over the fabric."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sparkctl.amounts import plural, size
from sparkctl.core.action import Action
from sparkctl.core.step import Absent, Blocked, Drifted, Finding, Layer, Ok, Pending, step_id
from sparkctl.facts.model_files import CopyRecord, ModelFiles, copy_record_probe, model_files_probe
from sparkctl.facts.probe import Facts, Probe, Want
from sparkctl.steps.copy_actions import CopyJob, CopyModel, RemoveCopy, VerifyCopy, job_of
from sparkctl.steps.nfs_mount import MountStep
from sparkctl.steps.place import OnWorker
from sparkctl.topology import Cluster, Node


@dataclass(frozen=True)
class CopyStep(OnWorker):
    """One model on one worker: everything that the head has of it, verified by checksum once per listing.

    What the worker has beyond that (another revision, say) is not touched. `source` and `target` are the model caches
    of the head and of the worker. A copy that is not `wanted`, as the store is another, stays until it is undone or
    the mount takes its place. `model` is the step that brings it to the head.
    """

    repo: str
    source: str
    target: str
    parallel: int = 4
    wanted: bool = True
    model: str = "model"
    layer: Layer = Layer.MODEL

    @property
    def name(self) -> str:
        return self.model.replace("model", "copy", 1)

    @property
    def needs(self) -> tuple[str, ...]:
        here, there = self.node, self.cluster.head.name
        if not self.wanted:
            return (step_id("cache", here),)
        own = (step_id(name, here) for name in ("cache", "packages", "ssh-trust", "nfs-mount"))
        return (*own, step_id("packages", there), step_id(self.model, there))

    @property
    def wants(self) -> tuple[Want, ...]:
        own = (Want(self.node, self._record_probe), *self._mount.wants)
        listings = (Want(self.cluster.head.name, self._there), Want(self.node, self._here))
        return (*own, *listings) if self.wanted else own

    def check(self, facts: Facts) -> Finding:
        if not self.wanted:
            return Ok("not used")
        if self._mount.undo(facts):
            return Pending(step_id("nfs-mount", self.node))
        if self._mount.is_mounted(facts):
            return Blocked(
                f"{self.target} on {self.node} is a mount of {self.cluster.head.name}'s own cache: nothing to copy",
                f"sudo umount {self.target} and take it out of /etc/fstab, or set store.kind: nfs in the profile",
            )
        there = facts.get(self.cluster.head.name, self._there)
        here = facts.get(self.node, self._here)
        record = facts.get(self.node, self._record_probe)
        if not there.sizes:
            return Pending(step_id(self.model, self.cluster.head.name))
        lacking = here.lacking(there)
        missing = sum(there.sizes.get(path, 0) for path in lacking)
        if lacking and here.free is not None and here.free < missing:
            return Blocked(
                f"{self.node} lacks {size(missing)} of {self.repo} and has {size(here.free)} free",
                f"make room on the disk of {self.target}, or choose store.kind: nfs in the profile",
            )
        return self._compare(there, here, record, lacking)

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        """Through a mount of the head's cache the head's own model would go: then the record alone is removed."""
        record = facts.get(self.node, self._record_probe)
        through = bool(self._mount.undo(facts)) or self._mount.is_mounted(facts)
        return (RemoveCopy(self._job, record.made and not through),) if record.present else ()

    def _compare(self, there: ModelFiles, here: ModelFiles, record: CopyRecord, lacking: tuple[str, ...]) -> Finding:
        verify = VerifyCopy(self._job, there.digest)
        if lacking:
            sizes = tuple((path, there.sizes.get(path, 0)) for path in lacking)
            actions = (CopyModel(self._job, sizes, self.parallel), verify)
            if not here.present:
                return Absent(actions)
            return Drifted(
                (f"{plural(len(lacking), 'file')} of {len(there.sizes) + len(there.links)} missing or different",),
                actions,
            )
        if record.verified != there.digest:
            return Drifted(("this copy has not been verified",), (verify,))
        return Ok(f"{plural(len(there.sizes), 'file')}, {size(there.bytes)}")

    @property
    def _job(self) -> CopyJob:
        return job_of(self.cluster, self.worker, self.repo, self.source, self.target)

    @property
    def _mount(self) -> MountStep:
        return MountStep(self.cluster, self.worker, self.source, self.target, self.repo, wanted=False)

    @property
    def _record_probe(self) -> Probe[CopyRecord]:
        return copy_record_probe(self._job.record)

    @property
    def _there(self) -> Probe[ModelFiles]:
        return model_files_probe(f"{self.source}/hub", self.repo)

    @property
    def _here(self) -> Probe[ModelFiles]:
        return model_files_probe(f"{self.target}/hub", self.repo)


def steps(
    cluster: Cluster,
    repo: str,
    caches: Mapping[str, str],
    parallel: int = 4,
    *,
    workers: Sequence[Node] | None = None,
    model: str = "model",
    wanted: bool = True,
) -> tuple[CopyStep, ...]:
    """One for each of these workers, None for all; `parallel` rsyncs run at once.

    `caches` are the Hugging Face caches by node name, `model` is the step that brings the model to the head.
    """
    source = caches[cluster.head.name]
    nodes = cluster.workers if workers is None else workers
    return tuple(CopyStep(cluster, node, repo, source, caches[node.name], parallel, wanted, model) for node in nodes)
