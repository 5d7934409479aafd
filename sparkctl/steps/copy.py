"""The model store `copy`: each worker holds its own copy of the model, brought from the head over the fabric."""

from collections.abc import Mapping
from dataclasses import dataclass

from sparkctl.amounts import plural, size
from sparkctl.core.action import Action
from sparkctl.core.step import Absent, Blocked, Drifted, Finding, Layer, Ok, Pending, step_id
from sparkctl.facts.model import folder_name
from sparkctl.facts.model_files import CopyRecord, ModelFiles, copy_record_probe, model_files_probe
from sparkctl.facts.probe import Facts, Probe, Want
from sparkctl.facts.state import COPIES, state_path
from sparkctl.steps.copy_actions import CopyJob, CopyModel, RemoveCopy, VerifyCopy
from sparkctl.steps.place import OnWorker
from sparkctl.topology import Cluster


@dataclass(frozen=True)
class CopyStep(OnWorker):
    """One model on one worker: everything that the head has of it, verified by checksum once per listing.

    What the worker has beyond that (another revision, say) is not touched. `source` and `target` are the model caches
    of the head and of the worker.
    """

    repo: str
    source: str
    target: str
    parallel: int = 4
    name: str = "copy"
    layer: Layer = Layer.MODEL

    @property
    def needs(self) -> tuple[str, ...]:
        own = (step_id("cache", self.node), step_id("packages", self.node), step_id("ssh-trust", self.node))
        return (*own, step_id("packages", self.cluster.head.name), step_id("model", self.cluster.head.name))

    @property
    def wants(self) -> tuple[Want, ...]:
        head = Want(self.cluster.head.name, self._there)
        return (head, Want(self.node, self._here), Want(self.node, self._record_probe))

    def check(self, facts: Facts) -> Finding:
        there = facts.get(self.cluster.head.name, self._there)
        here = facts.get(self.node, self._here)
        record = facts.get(self.node, self._record_probe)
        if not there.sizes or there.incomplete:
            return Pending(step_id("model", self.cluster.head.name))
        lacking = here.lacking(there)
        missing = sum(there.sizes.get(path, 0) for path in lacking)
        if lacking and here.free is not None and here.free < missing:
            return Blocked(
                f"{self.node} lacks {size(missing)} of {self.repo} and has {size(here.free)} free",
                f"make room on the disk of {self.target}, or choose store.kind: nfs in the profile",
            )
        return self._compare(there, here, record, lacking)

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        record = facts.get(self.node, self._record_probe)
        return (RemoveCopy(self._job, record.made),) if record.present else ()

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
        name = folder_name(self.repo)
        source, target = f"{self.source}/hub/{name}", f"{self.target}/hub/{name}"
        return CopyJob(self.cluster, self.worker, self.repo, source, target, self._record)

    @property
    def _record(self) -> str:
        return state_path(self.cluster, self.worker, f"{COPIES}/{folder_name(self.repo)}")

    @property
    def _record_probe(self) -> Probe[CopyRecord]:
        return copy_record_probe(self._record)

    @property
    def _there(self) -> Probe[ModelFiles]:
        return model_files_probe(f"{self.source}/hub", self.repo)

    @property
    def _here(self) -> Probe[ModelFiles]:
        return model_files_probe(f"{self.target}/hub", self.repo)


def steps(cluster: Cluster, repo: str, caches: Mapping[str, str], parallel: int = 4) -> tuple[CopyStep, ...]:
    """One for every worker. `caches` are the Hugging Face caches by node name, `parallel` rsyncs run at once."""
    source = caches[cluster.head.name]
    return tuple(CopyStep(cluster, worker, repo, source, caches[worker.name], parallel) for worker in cluster.workers)
