"""What a node's model cache holds of one model."""

import glob
import json
import shlex
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sparkctl.facts.probe import Answer, Probe
from sparkctl.topology import Cluster, Node

EVERY = frozenset({"*"})
"""The globs that leave no file out."""


@dataclass(frozen=True)
class ModelFact:
    """A model that was downloaded whole: its commit, its files with sizes in bytes, and what is there of them.

    `allow` are the globs of file names that the download was asked for.
    """

    commit: str
    wished: Mapping[str, int]
    present: Mapping[str, int]
    allow: frozenset[str] = EVERY

    @property
    def missing(self) -> tuple[str, ...]:
        """Files that are gone or have another size."""
        return tuple(name for name, size in self.wished.items() if self.present.get(name) != size)

    def covers(self, allow: Collection[str]) -> bool:
        """Whether the download was asked for what these globs mean, too."""
        return self.allow in (EVERY, frozenset(allow))

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(self.wished.values())


@dataclass(frozen=True)
class ModelRecords:
    """What a node remembers of a model at all its revisions, downloads that have not ended among them.

    `ours` is false where the model's folder was there before sparkctl came.
    """

    present: bool
    ours: bool


def folder_name(model: str) -> str:
    """The folder of a model in the cache: `models--org--name`."""
    return "models--" + model.replace("/", "--")


def marker_file(cluster: Cluster, node: Node, model: str, revision: str) -> str:
    """Where a node remembers that a download came to its end, and what came with it."""
    return f"{cluster.state_dir(node)}/{folder_name(model)}@{revision.replace('/', '_')}.json"


def marker_files(cluster: Cluster, node: Node, model: str) -> str:
    """A glob for the markers of all revisions; `.begun` after the name of one says that we made the folder."""
    return f"{glob.escape(f'{cluster.state_dir(node)}/{folder_name(model)}@')}*.json"


def model_probe(cluster: Cluster, node: Node, hf_cache: str, model: str, revision: str) -> Probe[ModelFact | None]:
    """The model as far as it is known to be whole; None where no download of it has ended.

    A commit may have come as the branch that meant it.
    """
    marker = shlex.quote(marker_file(cluster, node, model, revision))
    snapshots = shlex.quote(f"{hf_cache}/hub/{folder_name(model)}/snapshots")
    others = f"{shlex.quote(marker_file(cluster, node, model, '').removesuffix('.json'))}*.json"
    script = f"""\
marker={marker}
[ -e "$marker" ] || marker=$(grep -lsF {shlex.quote(f'"commit": "{revision}"')} {others} | head -n 1)
cat "$marker" && echo && cd {snapshots} && find -L . -type f -printf '%s %P\\n'
"""
    return Probe(f"model:{model}@{revision}", script, _model)


def records_probe(cluster: Cluster, node: Node, model: str) -> Probe[ModelRecords]:
    """What the node remembers of the model."""
    start = shlex.quote(f"{cluster.state_dir(node)}/{folder_name(model)}@")
    script = f"""\
for file in {start}*.json {start}*.json.begun; do [ ! -e "$file" ] || echo "record=${{file##*@}}"; done
grep -lqs '"ours": true' {start}*.json && echo ours=yes
exit 0
"""
    return Probe(f"model-records:{model}", script, _records)


def _model(answer: Answer) -> ModelFact | None:
    first, _, rest = answer.stdout.lstrip().partition("\n")
    try:
        record = json.loads(first)
        commit = str(record["commit"])
        files = {str(name): int(size) for name, size in record["files"]}
        allow = frozenset(map(str, record.get("allow", EVERY)))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    rows = (line.partition(" ") for line in rest.splitlines())
    found = {path: int(size) for size, _, path in rows if size.isdigit()}
    present = {path.removeprefix(f"{commit}/"): size for path, size in found.items() if path.startswith(f"{commit}/")}
    return ModelFact(commit, files, present, allow)


def _records(answer: Answer) -> ModelRecords:
    lines = answer.stdout.splitlines()
    records = [line for line in lines if line.startswith("record=")]
    return ModelRecords(bool(records), "ours=yes" in lines or any(line.endswith(".begun") for line in records))
