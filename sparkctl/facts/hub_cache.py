"""What a Hugging Face cache holds: every model, its revisions and blobs, and what we remember of having brought it."""

import json
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sparkctl.facts.lines import number, values
from sparkctl.facts.model import folder_name
from sparkctl.facts.probe import Answer, Probe
from sparkctl.facts.state import COPIES, state_path
from sparkctl.topology import Cluster, Node

REPO = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?")
"""ORG/NAME, or a name alone: what may become a folder of the cache."""
_MARKER = re.compile(r"models--(?P<repo>[^@]+)@(?P<revision>.+)\.json(?P<begun>\.begun)?")


@dataclass(frozen=True)
class CachedModel:
    """One model's folder. Sizes are in bytes.

    `blobs` are whole files by their names, which are the hub's hashes; `snapshots` are the files of each commit with
    the blob that each stands for; `loose` are the sizes of files that lie in a snapshot themselves; `refs` are commits
    by branch or tag; `partial` is what downloads that were cut have left.
    """

    repo: str
    blobs: Mapping[str, int] = field(default_factory=dict)
    snapshots: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    loose: Mapping[str, int] = field(default_factory=dict)
    refs: Mapping[str, str] = field(default_factory=dict)
    partial: int = 0

    @property
    def bytes(self) -> int:
        """All that it takes on the disk."""
        return sum(self.blobs.values()) + sum(self.loose.values()) + self.partial

    def commit(self, revision: str) -> str:
        """The commit that a branch, a tag or a commit stands for here; empty where it is not here."""
        found = self.refs.get(revision, revision)
        return found if found in self.snapshots else ""

    def bytes_of(self, commit: str) -> int:
        """The size of one revision, blobs that others share included."""
        blobs = {blob for blob in self.snapshots.get(commit, {}).values() if blob}
        return sum(self.blobs.get(blob, 0) for blob in blobs) + self.loose.get(commit, 0)

    def only_of(self, commits: Iterable[str]) -> dict[str, int]:
        """The blobs that no other revision than these stands on, with their sizes."""
        gone = set(commits)
        kept = {blob for commit, files in self.snapshots.items() if commit not in gone for blob in files.values()}
        ours = {blob for commit in gone for blob in self.snapshots.get(commit, {}).values()}
        return {blob: self.blobs[blob] for blob in sorted(ours - kept) if blob in self.blobs}


@dataclass(frozen=True)
class HubCache:
    """The models by name; `mounted` is what lies over the folder, such as another node's export: that is not read.

    `cut` is true where the listing is not whole: it took too long, or a folder is closed to our login.
    """

    models: Mapping[str, CachedModel]
    mounted: str = ""
    cut: bool = False


@dataclass(frozen=True)
class Marker:
    """A download that came to its end: the commit, the files with their sizes in bytes, whether the folder is ours."""

    commit: str
    files: Mapping[str, int]
    ours: bool


@dataclass(frozen=True)
class Ledger:
    """What a node remembers of models: downloads by (model, revision), downloads that were begun, copies we made."""

    markers: Mapping[tuple[str, str], Marker]
    begun: frozenset[str]
    copies: frozenset[str]

    def ours(self, repo: str) -> bool:
        """Whether sparkctl made the model's folder."""
        marked = any(marker.ours for (name, _), marker in self.markers.items() if name == repo)
        return marked or repo in self.begun or repo in self.copies


def repo_of(folder: str) -> str:
    """The model of a folder of the cache, the other way of `facts.model.folder_name`; empty for other folders."""
    repo = folder.removeprefix("models--").replace("--", "/", 1)
    return repo if folder.startswith("models--") and REPO.fullmatch(repo) else ""


def hub_cache_probe(hf_cache: str) -> Probe[HubCache]:
    """List every model of the cache at `hf_cache`, without reading a file of it."""
    folder = shlex.quote(hf_cache)
    seek = '{ for (i = 7; i < NF && $i != "-"; i++); if ($(i + 1) ~ /^(fuse\\.)?nfs4?$|^autofs$/) print $(i + 2) }'
    script = f"""\
mounted=$(at={folder} awk '$5 == ENVIRON["at"] {seek}' /proc/self/mountinfo | tail -n 1)
if [ -n "$mounted" ]; then echo "mounted=$mounted"; exit 0; fi
cd {folder}/hub || exit 0
shopt -s nullglob; set -- models--*; [ $# -gt 0 ] || exit 0
{{ timeout 60 find "$@" -type f -printf 'file=%s %p\\n' -o -type l -printf 'link=%p\\t%l\\n' &&
  timeout 60 find "$@" -path '*/refs/*' -type f -printf 'ref=%p\\t' -exec head -c 64 {{}} ';' -printf '\\n'
}} || echo cut=yes
"""
    return Probe(f"hub-cache:{hf_cache}", script, _cache)


def ledger_probe(cluster: Cluster, node: Node) -> Probe[Ledger]:
    """What the node remembers of models."""
    folder, copies = shlex.quote(cluster.state_dir(node)), shlex.quote(state_path(cluster, node, COPIES))
    script = f"""\
shopt -s nullglob
for file in {folder}/models--*@*.json {folder}/models--*@*.json.begun; do
  printf 'marker=%s\\t%s\\n' "${{file##*/}}" "$(tr -d '\\n' <"$file")"
done
for file in {copies}/models--*; do grep -qsx made "$file" && echo "copy=${{file##*/}}"; done
exit 0
"""
    return Probe("model-ledger", script, _ledger)


def configs_probe(hf_cache: str, repo: str) -> Probe[Mapping[str, str]]:
    """The text of config.json in each revision of a model, by commit."""
    script = f"""\
cd {shlex.quote(folder_of(hf_cache, repo))}/snapshots || exit 0
for file in */config.json; do
  [ -s "$file" ] && printf '\\n@config=%s\\n' "${{file%%/*}}" && head -c 1000000 "$file"
done
exit 0
"""
    return Probe(f"model-configs:{repo}", script, _configs)


def _configs(answer: Answer) -> Mapping[str, str]:
    parts = (part.partition("\n") for part in answer.stdout.split("\n@config=")[1:])
    return {commit: text for commit, _, text in parts}


def _cache(answer: Answer) -> HubCache:
    found = values(answer.stdout)
    parts: dict[str, _Part] = {}
    for line in found.get("file", ()):
        size, _, path = line.partition(" ")
        repo, kind, name = _split(path)
        parts.setdefault(repo, _Part()).file(kind, name, number(size) or 0)
    for line in found.get("link", ()):
        path, _, target = line.partition("\t")
        repo, kind, name = _split(path)
        parts.setdefault(repo, _Part()).link(kind, name, target)
    for line in found.get("ref", ()):
        path, _, commit = line.partition("\t")
        repo, kind, name = _split(path)
        if kind == "refs":
            parts.setdefault(repo, _Part()).refs[name] = commit.strip()
    models = {repo: CachedModel(repo, **vars(parts[repo])) for repo in sorted(parts) if repo}
    return HubCache(models, next(iter(found.get("mounted", ())), ""), "cut" in found)


def _split(path: str) -> tuple[str, str, str]:
    """The model, the kind of folder and the name in it."""
    folder, _, rest = path.partition("/")
    kind, _, name = rest.partition("/")
    return repo_of(folder), kind, name


@dataclass
class _Part:
    """A model that is being put together."""

    blobs: dict[str, int] = field(default_factory=dict)
    snapshots: dict[str, dict[str, str]] = field(default_factory=dict)
    loose: dict[str, int] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    partial: int = 0

    def file(self, kind: str, name: str, size: int) -> None:
        commit = name.partition("/")[0]
        if kind == "blobs" and name.endswith(".incomplete"):
            self.partial += size
        elif kind == "blobs":
            self.blobs[name] = size
        elif kind == "snapshots" and commit != name:
            self.link(kind, name, "")
            self.loose[commit] = self.loose.get(commit, 0) + size

    def link(self, kind: str, name: str, target: str) -> None:
        commit, slash, file = name.partition("/")
        if kind == "snapshots" and slash:
            self.snapshots.setdefault(commit, {})[file] = target.rpartition("/")[2]


def _ledger(answer: Answer) -> Ledger:
    found = values(answer.stdout)
    markers: dict[tuple[str, str], Marker] = {}
    begun = set()
    for line in found.get("marker", ()):
        name, _, text = line.partition("\t")
        match = _MARKER.fullmatch(name)
        repo = repo_of(f"models--{match['repo']}") if match else ""
        if match and repo and match["begun"]:
            begun.add(repo)
        elif match and repo and (marker := _marker(text)):
            markers[repo, match["revision"]] = marker
    copies = (repo_of(name) for name in found.get("copy", ()))
    return Ledger(markers, frozenset(begun), frozenset(repo for repo in copies if repo))


def _marker(text: str) -> Marker | None:
    try:
        record = json.loads(text)
        files = {str(name): int(size) for name, size in record["files"]}
        return Marker(str(record["commit"]), files, record.get("ours") is True)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def folder_of(hf_cache: str, repo: str) -> str:
    """Where a model lies in a cache."""
    return f"{hf_cache}/hub/{folder_name(repo)}"
