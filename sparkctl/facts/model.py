"""What a node's model cache holds of one model."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from sparkctl.facts.probe import Answer, Probe
from sparkctl.topology import Cluster, Node


@dataclass(frozen=True)
class ModelFact:
    """A model that was downloaded whole: its commit, its files with their sizes in bytes, and what is there of them.

    `ours` is false where the model's folder was there before sparkctl came.
    """

    commit: str
    ours: bool
    wished: Mapping[str, int]
    present: Mapping[str, int]

    @property
    def missing(self) -> tuple[str, ...]:
        """Files that are gone or have another size."""
        return tuple(name for name, size in self.wished.items() if self.present.get(name) != size)

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(self.wished.values())


def folder_name(model: str) -> str:
    """The folder of a model in the cache: `models--org--name`."""
    return "models--" + model.replace("/", "--")


def marker_file(cluster: Cluster, node: Node, model: str, revision: str) -> str:
    """Where a node remembers that a download came to its end, and what came with it."""
    return f"{cluster.state_dir(node)}/{folder_name(model)}@{revision.replace('/', '_')}.json"


def model_probe(cluster: Cluster, node: Node, hf_cache: str, model: str, revision: str) -> Probe[ModelFact | None]:
    """The model as far as it is known to be whole; None where no download of it has ended."""
    marker = marker_file(cluster, node, model, revision)
    snapshots = f"{hf_cache}/hub/{folder_name(model)}/snapshots"
    script = f"cat '{marker}' && echo && cd '{snapshots}' && find -L . -type f -printf '%s %P\\n'"
    return Probe(f"model:{model}@{revision}", script, _model)


def begun_probe(cluster: Cluster, node: Node, model: str, revision: str) -> Probe[bool]:
    """Whether a download into a folder that was not there before has begun, and not come to its end."""
    marker = marker_file(cluster, node, model, revision)
    return Probe(f"model-begun:{model}@{revision}", f"test -e '{marker}.begun'", lambda answer: answer.rc == 0)


def _model(answer: Answer) -> ModelFact | None:
    first, _, rest = answer.stdout.lstrip().partition("\n")
    try:
        record = json.loads(first)
        commit, ours = str(record["commit"]), bool(record["ours"])
        files = {str(name): int(size) for name, size in record["files"]}
    except (ValueError, KeyError, TypeError):
        return None
    rows = (line.partition(" ") for line in rest.splitlines())
    found = {path: int(size) for size, _, path in rows if size.isdigit()}
    present = {path.removeprefix(f"{commit}/"): size for path, size in found.items() if path.startswith(f"{commit}/")}
    return ModelFact(commit, ours, files, present)
