"""Every image of a node: names, digests, size."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sparkctl.facts.docker import ALLOWED
from sparkctl.facts.probe import Answer, Facts, Probe

_FORMAT = '{"Id":{{json .Id}},"RepoTags":{{json .RepoTags}},"RepoDigests":{{json .RepoDigests}},"Size":{{json .Size}}}'


@dataclass(frozen=True)
class LocalImage:
    """One image; `tags` are names with a tag, `digests` names with the digest of a registry, `size` is in bytes."""

    id: str
    tags: tuple[str, ...]
    digests: tuple[str, ...]
    size: int

    def is_called(self, reference: str) -> bool:
        """Whether a name with tag or digest means it; `latest` is what no tag means."""
        return full(reference) in (*self.tags, *self.digests)

    def digest_at(self, reference: str) -> str:
        """The digest that it has in that repository; empty where it did not come from there."""
        repository = repository_of(reference)
        found = (text.partition("@") for text in self.digests)
        return next((digest for name, _, digest in found if name == repository), "")


IMAGES: Probe[tuple[LocalImage, ...] | None] = Probe(
    "images",
    f"engine /images/json || {{ {ALLOWED}ids=$($ask docker images -q --no-trunc | sort -u) || exit 3\n"
    f"[ -z \"$ids\" ] || $ask docker image inspect -f '{_FORMAT}' $ids; }}",
    lambda answer: _images(answer),
)
"""Every image that has a name or came by one; None when the engine does not answer."""


def repository_of(reference: str) -> str:
    """An image's name without tag and digest."""
    name = reference.partition("@")[0]
    head, slash, last = name.rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}"


def full(reference: str) -> str:
    """The name by which the engine keeps it: with the digest alone where there is one, with `latest` without a tag."""
    name, at, digest = reference.partition("@")
    if at:
        return f"{repository_of(name)}@{digest}"
    return reference if ":" in name.rpartition("/")[2] else f"{reference}:latest"


def images_on(facts: Facts, node: str) -> tuple[LocalImage, ...]:
    """The images of a node; none where its engine does not answer."""
    found = facts.get(node, IMAGES)
    return found or ()


def _images(answer: Answer) -> tuple[LocalImage, ...] | None:
    if answer.rc != 0:
        return None
    found = {image.id: image for data in _objects(answer.stdout) if (image := _image(data)).id}
    return tuple(found.values())


def _image(data: dict[str, Any]) -> LocalImage:
    size = data.get("Size")
    return LocalImage(
        str(data.get("Id") or ""),
        _names(data.get("RepoTags")),
        _names(data.get("RepoDigests")),
        size if isinstance(size, int) else 0,
    )


def _names(found: object) -> tuple[str, ...]:
    """Docker writes `<none>:<none>` where there is no name."""
    return tuple(str(name) for name in found if "<none>" not in str(name)) if isinstance(found, list) else ()


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """The API's list, or one object a line."""
    for line in text.splitlines():
        try:
            data = json.loads(line)
        except ValueError:
            continue
        yield from (item for item in (data if isinstance(data, list) else [data]) if isinstance(item, dict))
