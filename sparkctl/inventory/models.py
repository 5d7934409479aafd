"""The models on the nodes, put together from what each of them says: sizes, revisions, who uses what."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sparkctl.facts.hub_cache import CachedModel, HubCache, Ledger, folder_of, hub_cache_probe, ledger_probe
from sparkctl.facts.probe import Facts, Want
from sparkctl.facts.users import USERS, UserFact, loaded, users_of
from sparkctl.topology import Cluster, Node

if TYPE_CHECKING:
    from sparkctl.inventory.wishes import Wishes


@dataclass(frozen=True)
class Revision:
    """One commit of a model on a node: the branches and tags that mean it, its size in bytes, files that lack."""

    commit: str
    names: tuple[str, ...]
    files: int
    bytes: int
    missing: int


@dataclass(frozen=True)
class Holding:
    """One model on one node. `bytes` is what it takes on the disk, `partial` of that what cut downloads left.

    `containers` are running ones that use it, or may; `ours` says that sparkctl brought it.
    """

    node: str
    folder: str
    bytes: int
    partial: int
    revisions: tuple[Revision, ...]
    containers: tuple[str, ...]
    ours: bool


@dataclass(frozen=True)
class ModelEntry:
    """One model, wherever it lies, and the profiles that serve it."""

    model: str
    profiles: tuple[str, ...]
    nodes: tuple[Holding, ...]

    @property
    def bytes(self) -> int:
        """All that it takes on all nodes."""
        return sum(holding.bytes for holding in self.nodes)


@dataclass(frozen=True)
class Inventory:
    """Every model that lies on a node; `mounted` are nodes that read another's cache, `cut` those of which not all is
    known."""

    models: tuple[ModelEntry, ...]
    mounted: Mapping[str, str]
    cut: tuple[str, ...] = ()


def wants(cluster: Cluster, caches: Mapping[str, str]) -> list[Want]:
    """What must be asked; `caches` are the Hugging Face caches by node name."""
    return [
        Want(node.name, probe)
        for node in cluster.nodes
        for probe in (hub_cache_probe(caches[node.name]), ledger_probe(cluster, node), USERS)
    ]


def take(cluster: Cluster, caches: Mapping[str, str], wishes: "Wishes", facts: Facts) -> Inventory:
    """What the answers say; a node that did not answer holds nothing."""
    caches_of = {node.name: facts.get(node.name, hub_cache_probe(caches[node.name])) for node in cluster.nodes}
    names = {model for cache in caches_of.values() for model in cache.models}
    wished = dict.fromkeys(wish.model for wish in wishes.all)
    entries = [
        ModelEntry(
            model,
            wishes.of_model(model),
            tuple(_holdings(cluster, caches, caches_of, facts, model)),
        )
        for model in (*wished, *sorted(names - wished.keys()))
        if model in names
    ]
    mounted = {name: cache.mounted for name, cache in caches_of.items() if cache.mounted}
    return Inventory(tuple(entries), mounted, tuple(name for name, cache in caches_of.items() if cache.cut))


def _holdings(
    cluster: Cluster, caches: Mapping[str, str], found: Mapping[str, HubCache], facts: Facts, model: str
) -> Iterator[Holding]:
    users = users_of(cluster, facts)
    for node in cluster.nodes:
        if cached := found[node.name].models.get(model):
            ledger = facts.get(node.name, ledger_probe(cluster, node))
            yield _holding(node, caches[node.name], cached, ledger, users)


def _holding(
    node: Node, hf_cache: str, cached: CachedModel, ledger: Ledger, users: Mapping[str, tuple[UserFact, ...]]
) -> Holding:
    folder = folder_of(hf_cache, cached.repo)
    containers = loaded(users, cached.repo, folder, node.name)
    revisions = tuple(replace(r, missing=r.missing + _lost(cached, ledger, r)) for r in _revisions(cached))
    return Holding(node.name, folder, cached.bytes, cached.partial, revisions, containers, ledger.ours(cached.repo))


def _revisions(cached: CachedModel) -> Iterator[Revision]:
    for commit, files in sorted(cached.snapshots.items()):
        names = tuple(sorted(name for name, found in cached.refs.items() if found == commit))
        dangling = sum(1 for blob in files.values() if blob and blob not in cached.blobs)
        yield Revision(commit, names, len(files), cached.bytes_of(commit), dangling)


def _lost(cached: CachedModel, ledger: Ledger, revision: Revision) -> int:
    """How many files that the hub listed have no entry in the snapshot."""
    listed = {
        name
        for (repo, _), marker in ledger.markers.items()
        if repo == cached.repo and marker.commit == revision.commit
        for name in marker.files
    }
    return len(listed - cached.snapshots[revision.commit].keys())
