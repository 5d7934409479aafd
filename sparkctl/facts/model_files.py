"""The files of one model in a Hugging Face cache, and our record of a copy."""

import hashlib
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from sparkctl.facts.lines import number, values
from sparkctl.facts.model import folder_name
from sparkctl.facts.probe import Answer, Probe
from sparkctl.facts.state import COPIES, state_path
from sparkctl.topology import Cluster, Node

PARTIAL = ".sparkctl-partial"
"""The folder in which rsync keeps what was cut short, beside the file that it will become."""


@dataclass(frozen=True)
class ModelFiles:
    """What lies in a model's folder: sizes in bytes by relative path, targets of links by relative path.

    `free` is the room on its filesystem in bytes, None where unknown. Downloads cut short are left out.
    """

    present: bool
    sizes: Mapping[str, int]
    links: Mapping[str, str]
    free: int | None

    @property
    def bytes(self) -> int:
        """The size of all files."""
        return sum(self.sizes.values())

    @property
    def digest(self) -> str:
        """SHA-256 over sorted paths, sizes and link targets: equal where two folders hold the same listing."""
        lines = [f"f {size} {path}" for path, size in self.sizes.items()]
        lines += [f"l {target} {path}" for path, target in self.links.items()]
        return hashlib.sha256("\n".join(sorted(lines)).encode(errors="surrogateescape")).hexdigest()

    def lacking(self, other: "ModelFiles") -> tuple[str, ...]:
        """Paths that `other` has and this folder has not, or with another size or target; largest first."""
        files = [path for path, size in other.sizes.items() if self.sizes.get(path) != size]
        links = [path for path, target in other.links.items() if self.links.get(path) != target]
        return (*sorted(files, key=lambda path: (-other.sizes[path], path)), *sorted(links))


@dataclass(frozen=True)
class CopyRecord:
    """What sparkctl remembers of a copy: whether it made the folder, and which listing it last verified."""

    present: bool
    made: bool
    verified: str


def copy_record(cluster: Cluster, node: Node, repo: str) -> str:
    """Where a node remembers its copy of a model."""
    return state_path(cluster, node, f"{COPIES}/{folder_name(repo)}")


def model_files_probe(hub: str, repo: str) -> Probe[ModelFiles]:
    """List a model in the cache folder `hub`, without reading it."""
    folder = shlex.quote(f"{hub}/{folder_name(repo)}")
    script = f"""\
at={folder}; while [ ! -d "$at" ] && [ "$at" != / ]; do at=$(dirname "$at"); done
echo "free=$(timeout 2 df -B1 --output=avail "$at" | tail -n 1)"
cd {folder} || exit 0
echo present=yes
timeout 10 find . -name {PARTIAL} -prune -o -type f -printf 'file=%s %P\\n' -o -type l -printf 'link=%P\\t%l\\n'
"""
    return Probe(f"model-files:{repo}", script, _files)


def copy_record_probe(path: str) -> Probe[CopyRecord]:
    """Read the record of a copy."""
    return Probe(f"copy-record:{path}", f"cat {shlex.quote(path)}", _record)


def _files(answer: Answer) -> ModelFiles:
    found = values(answer.stdout)
    sizes: dict[str, int] = {}
    for line in found.get("file", ()):
        size, _, path = line.partition(" ")
        count = number(size)
        if count is not None and path:
            sizes[path] = count
    whole = {path: size for path, size in sizes.items() if PurePosixPath(path).suffix != ".incomplete"}
    links = dict(line.split("\t", 1) for line in found.get("link", ()) if "\t" in line)
    free = number(next(iter(found.get("free", ())), None))
    return ModelFiles("present" in found, whole, links, free)


def _record(answer: Answer) -> CopyRecord:
    words = [line.split() for line in answer.stdout.splitlines()]
    verified = next((line[1] for line in reversed(words) if len(line) == 2 and line[0] == "verified"), "")
    return CopyRecord(answer.rc == 0, ["made"] in words, verified)
