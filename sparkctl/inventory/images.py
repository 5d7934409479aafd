"""The images on the nodes that concern this laptop's profiles: digests, sizes, parity, who uses them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparkctl.facts.image import brought_probe
from sparkctl.facts.images import IMAGES, LocalImage, images_on
from sparkctl.facts.probe import Facts, Want
from sparkctl.facts.users import USERS
from sparkctl.topology import Cluster, Node

if TYPE_CHECKING:
    from sparkctl.inventory.wishes import Wishes


@dataclass(frozen=True)
class Copy:
    """One image on one node: its id, the registry's digest where the engine knows one, its unpacked size in bytes.

    `containers` stand on it, running or not; `ours` says that sparkctl brought it.
    """

    node: str
    id: str
    digest: str
    bytes: int
    containers: tuple[str, ...]
    ours: bool


@dataclass(frozen=True)
class ImageEntry:
    """One image by the name that a profile has for it, or by the one that it has on a node.

    `same` is true where every node of the cluster has it, and all the same.
    """

    image: str
    profiles: tuple[str, ...]
    same: bool
    nodes: tuple[Copy, ...]


def wants(cluster: Cluster) -> list[Want]:
    """What must be asked."""
    return [
        Want(node.name, probe) for node in cluster.nodes for probe in (IMAGES, USERS, brought_probe(cluster, node))
    ]


def take(cluster: Cluster, wishes: "Wishes", facts: Facts) -> tuple[ImageEntry, ...]:
    """Images of profiles first, by tag where one has it, then those that sparkctl brought and no profile names.

    A node's image is that of a name where it bears it, or where the head's image of that name has the same id: what
    is carried from node to node may lose its name.
    """
    names = sorted(dict.fromkeys(wish.image for wish in wishes.all), key=lambda name: "@" in name)
    ids = {name: _ids(cluster, facts, name) for name in names}
    entries, told = [], set[tuple[str, str]]()
    for name in names:
        copies = tuple(_copies(cluster, facts, name, ids[name]))
        new = {(copy.node, copy.id) for copy in copies} - told
        if new:
            told |= new
            profiles = dict.fromkeys(wish.profile for wish in wishes.all if ids[wish.image] & ids[name])
            entries.append(ImageEntry(name, tuple(profiles), _same(cluster, copies), copies))
    return (*entries, *_others(cluster, facts, told))


def _ids(cluster: Cluster, facts: Facts, name: str) -> set[str]:
    """What a name means on the nodes."""
    return {image.id for node in cluster.nodes for image in images_on(facts, node.name) if image.is_called(name)}


def _others(cluster: Cluster, facts: Facts, told: set[tuple[str, str]]) -> Iterator[ImageEntry]:
    ids: dict[str, str] = {}
    for node in cluster.nodes:
        brought = facts.get(node.name, brought_probe(cluster, node))
        for image in images_on(facts, node.name):
            if image.id in brought and (node.name, image.id) not in told:
                name = next(iter((*image.tags, *image.digests)), "")
                ids[image.id] = ids.get(image.id) or name
    for image_id, name in ids.items():
        copies = tuple(_copies(cluster, facts, name, {image_id}))
        yield ImageEntry(name or image_id[:19], (), _same(cluster, copies), copies)


def _copies(cluster: Cluster, facts: Facts, name: str, ids: set[str]) -> Iterator[Copy]:
    for node in cluster.nodes:
        for image in images_on(facts, node.name):
            if image.id in ids:
                yield _copy(cluster, node, image, name, facts)


def _copy(cluster: Cluster, node: Node, image: LocalImage, name: str, facts: Facts) -> Copy:
    users = facts.get(node.name, USERS) or ()
    containers = tuple(sorted(user.name for user in users if user.image == image.id))
    ours = image.id in facts.get(node.name, brought_probe(cluster, node))
    return Copy(node.name, image.id, image.digest_at(name), image.size, containers, ours)


def _same(cluster: Cluster, copies: tuple[Copy, ...]) -> bool:
    return {copy.node for copy in copies} == {n.name for n in cluster.nodes} and len({copy.id for copy in copies}) == 1
