"""Every image of a node: names, digests, size."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

from sparkctl.facts.docker import ALLOWED
from sparkctl.facts.probe import Answer, Facts, Probe

_FORMAT = '{"Id":{{json .Id}},"RepoTags":{{json .RepoTags}},"RepoDigests":{{json .RepoDigests}},"Size":{{json .Size}}}'

OWN_REGISTRY = "docker.io"


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


def registry_of(reference: str) -> str:
    """The registry that an image's name says; Docker's own where it says none."""
    first, slash, _ = repository_of(reference).partition("/")
    return first if slash and (first == "localhost" or re.search("[.:]", first)) else OWN_REGISTRY


def full(reference: str) -> str:
    """The name by which the engine keeps it: with the digest alone where there is one, with `latest` without a tag."""
    name, at, digest = reference.partition("@")
    if at:
        return f"{repository_of(name)}@{digest}"
    return reference if ":" in name.rpartition("/")[2] else f"{reference}:latest"


@dataclass(frozen=True)
class Source:
    """Where an image comes from: its registry's URL, the repository there, a tag or a digest."""

    base: str
    repository: str
    reference: str


def source_of(reference: str, info: Mapping[str, Any]) -> Source:
    """The source that an engine takes an image from; `info` is what the engine says of itself (`GET /info`).

    A name without a registry means the engine's own; one without a slash there is short for `library/NAME`.
    """
    known = (info.get("RegistryConfig") or {}).get("IndexConfigs") or {}
    repository, name = repository_of(reference), full(reference)
    first, _, rest = repository.partition("/")
    if known.get(first, {}).get("Official"):
        repository, rest = rest, ""
    host = first if rest and first == registry_of(repository) else ""
    tag = name[len(repository_of(name)) + 1 :]
    if not host:
        base = urlsplit(str(info.get("IndexServerAddress") or ""))
        return Source(f"{base.scheme}://{base.netloc}", f"{'' if '/' in repository else 'library/'}{repository}", tag)
    return Source(f"http{'s' * _secure(host, info)}://{host}", rest, tag)


def _secure(host: str, info: Mapping[str, Any]) -> bool:
    """Whether the engine asks a registry by HTTPS alone."""
    config = info.get("RegistryConfig") or {}
    name = host.partition(":")[0].replace("localhost", "127.0.0.1")
    named = (config.get("IndexConfigs") or {}).get(host, {}).get("Secure", True)
    plain = {ip_network(text) for text in config.get("InsecureRegistryCIDRs") or ()}
    return bool(named) and not (re.fullmatch(r"[\d.]+", name) and any(ip_address(name) in net for net in plain))


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
