"""What a node's Docker engine holds: containers and images, without their environment."""

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sparkctl.facts.probe import Answer, Probe

_CONTAINER_FORMAT = (
    '{"id":{{json .Id}},"name":{{json .Name}},"image":{{json .Image}},"labels":{{json .Config.Labels}},'
    '"status":{{json .State.Status}},"exit_code":{{json .State.ExitCode}},"started":{{json .State.StartedAt}}}'
)
_IMAGE_FORMAT = (
    '{"id":{{json .Id}},"architecture":{{json .Architecture}},"size":{{json .Size}},"digests":{{json .RepoDigests}}}'
)

ALLOWED = "ask=env; [ -e /var/run/docker.sock ] && [ ! -w /var/run/docker.sock ] && ask=as_root\n"
"""Before `$ask docker`: as root where our user may not speak to the engine yet, or any more."""

_IMAGE_ID = re.compile(r'(?:^|"Id":")(sha256:[0-9a-f]+)', re.MULTILINE)
"""An image's id: as a line of its own, or in the API's list, which holds other digests too."""


@dataclass(frozen=True)
class ContainerFact:
    """One container. `started` is the engine's own time stamp: with `id` it names one life of the container."""

    id: str
    name: str
    image: str
    labels: Mapping[str, str]
    status: str
    exit_code: int
    started: str

    @property
    def running(self) -> bool:
        """True while its process lives."""
        return self.status == "running"

    @property
    def life(self) -> str:
        """One start of one container, told apart from every other."""
        return f"{self.id[:12]}/{self.started}"


@dataclass(frozen=True)
class ImageFact:
    """One image; `size` in bytes, `architecture` in Docker's words (arm64, amd64)."""

    id: str
    architecture: str
    size: int
    digests: tuple[str, ...]


CONTAINERS: Probe[Mapping[str, ContainerFact] | None] = Probe(
    "containers",
    f"{ALLOWED}if list=$(engine '/containers/json?all=1'); then\n"
    "  [ \"$list\" = '[]' ] && exit 0\n"
    '  ids=$(grep -o \'{"Id":"[0-9a-f]*\' <<<"$list" | cut -d\'"\' -f4)\n'
    "else ids=$($ask docker ps -aq --no-trunc) || exit 3; fi\n"
    f"[ -z \"$ids\" ] || $ask docker inspect -f '{_CONTAINER_FORMAT}' $ids\nexit 0",
    lambda answer: _containers(answer),
)
"""Every container by name; None when the engine does not answer."""

IMAGE_IDS: Probe[frozenset[str] | None] = Probe(
    "image-ids",
    f"{ALLOWED}engine /images/json || $ask docker images -q --no-trunc",
    lambda answer: frozenset(_IMAGE_ID.findall(answer.stdout)) if answer.rc == 0 else None,
)
"""The ids of every image; None when the engine does not answer."""


def image_probe(reference: str) -> Probe[ImageFact | None]:
    """The image that `reference` names on the node, None where there is none."""
    refused = 22  # curl's status for an answer that is an error: there is no such image
    script = (
        f"engine {shlex.quote(f'/images/{reference}/json')}\n"
        f"case $? in 0) exit 0 ;; {refused}) exit 1 ;; esac\n"
        f"{ALLOWED}$ask docker image inspect -f '{_IMAGE_FORMAT}' {shlex.quote(reference)}"
    )
    return Probe(f"image:{reference}", script, _image)


def _containers(answer: Answer) -> Mapping[str, ContainerFact] | None:
    if answer.rc != 0:
        return None
    found = (_container(data) for data in map(_json, answer.stdout.splitlines()) if data)
    return {container.name: container for container in found}


def _container(data: Mapping[str, Any]) -> ContainerFact:
    return ContainerFact(
        id=str(data.get("id", "")),
        name=str(data.get("name", "")).lstrip("/"),
        image=str(data.get("image", "")),
        labels=data.get("labels") or {},
        status=str(data.get("status", "")),
        exit_code=int(data.get("exit_code") or 0),
        started=str(data.get("started", "")),
    )


def _image(answer: Answer) -> ImageFact | None:
    data = _json(answer.stdout.strip())
    if answer.rc != 0 or not data:
        return None
    data = {key.lower(): value for key, value in data.items()}  # the API's own names begin in upper case
    return ImageFact(
        str(data.get("id", "")),
        str(data.get("architecture", "")),
        int(data.get("size") or 0),
        tuple(data.get("digests") or data.get("repodigests") or ()),
    )


def _json(line: str) -> dict[str, Any] | None:
    try:
        data = json.loads(line)
    except ValueError:
        return None
    return data if isinstance(data, dict) else None
