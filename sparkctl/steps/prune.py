"""Taking away models and images that nothing uses: these steps make nothing, and undo what is of no use."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from sparkctl.amounts import plural, size
from sparkctl.core.action import Action
from sparkctl.core.actions import Script
from sparkctl.core.step import Finding, Layer, Ok
from sparkctl.facts.hub_cache import CachedModel, HubCache, Ledger, folder_of, hub_cache_probe, ledger_probe
from sparkctl.facts.image import brought_file, brought_probe
from sparkctl.facts.images import IMAGES, LocalImage
from sparkctl.facts.kept import kept_probe
from sparkctl.facts.model import folder_name
from sparkctl.facts.probe import Facts, Want
from sparkctl.facts.state import COPIES, state_path
from sparkctl.facts.users import USERS, loaded, users_of
from sparkctl.steps.place import OnNode


@dataclass(frozen=True)
class PruneModels(OnNode):
    """The models in one node's cache that no profile serves and no running container uses, and such revisions.

    What the keeper has on record stays, too: it comes back with the node's power. `keep` are (model, revision) pairs
    that are served, `only` the models to look at (empty: all), `every` is true where models count too that sparkctl
    did not bring. Of a model that is kept, revisions go only where a kept one is there; of a model in use, none goes.
    A cache that is another node's is left alone.
    """

    hf_cache: str
    keep: frozenset[tuple[str, str]]
    only: frozenset[str] = frozenset()
    every: bool = False
    name: str = "models"
    layer: Layer = Layer.MODEL
    needs: tuple[str, ...] = ()

    @property
    def wants(self) -> tuple[Want, ...]:
        users = (Want(node.name, USERS) for node in self.cluster.nodes)
        kept = Want(self.cluster.head.name, kept_probe(self.cluster))
        own = (hub_cache_probe(self.hf_cache), ledger_probe(self.cluster, self.on))
        return (*(Want(self.node, probe) for probe in own), *users, kept)

    def check(self, facts: Facts) -> Finding:
        return Ok()

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        cache = facts.get(self.node, hub_cache_probe(self.hf_cache))
        ledger = facts.get(self.node, ledger_probe(self.cluster, self.on))
        return tuple(self._actions(cache, ledger, facts))

    def _actions(self, cache: HubCache, ledger: Ledger, facts: Facts) -> Iterator[Action]:
        if cache.cut or any(facts.get(node.name, USERS) is None for node in self.cluster.nodes):
            return  # what stands on what, or who uses it, is unknown
        keep = self.keep | facts.get(self.cluster.head.name, kept_probe(self.cluster)).models
        for model in cache.models.values():
            meant = (not self.only or model.repo in self.only) and (self.every or ledger.ours(model.repo))
            folder = folder_of(self.hf_cache, model.repo)
            if not meant or loaded(users_of(self.cluster, facts), model.repo, folder, self.node):
                continue
            kept = {revision for repo, revision in keep if repo == model.repo}
            if not kept:
                yield self._remove_model(model)
            elif gone := self._gone(model, kept):
                yield self._remove_revisions(model, gone, ledger)

    def _gone(self, model: CachedModel, kept: set[str]) -> tuple[str, ...]:
        """The commits that no kept revision means; none as long as no kept one is here."""
        commits = {commit for revision in kept if (commit := model.commit(revision))}
        return tuple(sorted(model.snapshots.keys() - commits)) if commits else ()

    def _remove_model(self, model: CachedModel) -> Action:
        start = shlex.quote(state_path(self.cluster, self.on, f"{folder_name(model.repo)}@"))
        copies = state_path(self.cluster, self.on, COPIES)
        record = shlex.quote(f"{copies}/{folder_name(model.repo)}")
        text = (
            f"set -e\nrm -rf -- {shlex.quote(folder_of(self.hf_cache, model.repo))}\n"
            f"rm -f -- {start}*.json {start}*.json.begun {record}\nrmdir {shlex.quote(copies)} 2>/dev/null || true\n"
        )
        return Script(f"remove {model.repo}: {size(model.bytes)}", text, timeout=600)

    def _remove_revisions(self, model: CachedModel, gone: tuple[str, ...], ledger: Ledger) -> Action:
        folder, blobs = folder_of(self.hf_cache, model.repo), model.only_of(gone)
        names = [name for name, commit in model.refs.items() if commit in gone]
        markers = [
            state_path(self.cluster, self.on, f"{folder_name(model.repo)}@{revision}.json")
            for (repo, revision), marker in ledger.markers.items()
            if repo == model.repo and marker.commit in gone
        ]
        files = [*(f"{folder}/refs/{name}" for name in names), *(f"{folder}/blobs/{blob}" for blob in blobs), *markers]
        text = (
            f"set -e\nrm -rf -- {shlex.join(f'{folder}/snapshots/{commit}' for commit in gone)}\n"
            f"rm -f -- {shlex.join(files)}\n"
        )
        commits = ", ".join(commit[:12] for commit in gone)
        freed = size(sum(blobs.values()) + sum(model.loose.get(commit, 0) for commit in gone))
        return Script(
            f"remove {plural(len(gone), 'revision')} of {model.repo} ({commits}): {freed}", text, timeout=600
        )


@dataclass(frozen=True)
class PruneImages(OnNode):
    """The images that sparkctl brought to one node, that no profile names and no container stands on.

    `keep` are the references of profiles; what one of them means on the head is kept on every node, by its id.
    """

    keep: frozenset[str]
    name: str = "images"
    layer: Layer = Layer.IMAGE
    needs: tuple[str, ...] = ()

    @property
    def wants(self) -> tuple[Want, ...]:
        own = (IMAGES, USERS, brought_probe(self.cluster, self.on))
        return (*(Want(self.node, probe) for probe in own), Want(self.cluster.head.name, IMAGES))

    def check(self, facts: Facts) -> Finding:
        return Ok()

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        users = facts.get(self.node, USERS)
        here, head = facts.get(self.node, IMAGES), facts.get(self.cluster.head.name, IMAGES)
        brought = facts.get(self.node, brought_probe(self.cluster, self.on))
        if users is None or here is None or head is None:
            return ()
        kept = {image.id for image in (*here, *head) if any(map(image.is_called, self.keep))}
        kept |= {user.image for user in users}
        return tuple(self._remove(image) for image in here if image.id in brought - kept)

    def _remove(self, image: LocalImage) -> Action:
        record = shlex.quote(brought_file(self.cluster, self.on))
        text = (
            f"set -e\ndocker rmi -f {shlex.quote(image.id)} >/dev/null\n"
            f"{{ grep -vxF {shlex.quote(image.id)} {record} || true; }} >{record}.new\nmv {record}.new {record}\n"
            f"[ -s {record} ] || rm {record}\n"
        )
        name = next(iter((*image.tags, *image.digests)), image.id[7:19])
        return Script(f"remove {name}: {size(image.size)}", text, timeout=600)


@dataclass(frozen=True)
class DropBlobs(OnNode):
    """Files of a model that are not what their names say; once they are gone, the next pull fetches them anew."""

    hf_cache: str
    model: str
    blobs: tuple[str, ...]
    name: str = "repair"
    layer: Layer = Layer.MODEL
    needs: tuple[str, ...] = ()

    @property
    def wants(self) -> tuple[Want, ...]:
        return (Want(self.node, hub_cache_probe(self.hf_cache)),)

    def check(self, facts: Facts) -> Finding:
        return Ok()

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        model = facts.get(self.node, hub_cache_probe(self.hf_cache)).models.get(self.model)
        there = {blob: model.blobs[blob] for blob in self.blobs if blob in model.blobs} if model else {}
        if not there:
            return ()
        folder = folder_of(self.hf_cache, self.model)
        what = f"remove {plural(len(there), 'bad file')} of {self.model}: {size(sum(there.values()))}"
        return (Script(what, f"rm -f -- {shlex.join(f'{folder}/blobs/{blob}' for blob in there)}"),)
