"""Services: what an engine or a stack wants to run, as plain data that any runtime can turn into steps."""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from enum import StrEnum

LABEL_CLUSTER = "io.sparkctl.cluster"
LABEL_SERVICE = "io.sparkctl.service"
LABEL_SPEC = "io.sparkctl.spec"
LABEL_ON = "io.sparkctl.on"
LABEL_SECRETS = "io.sparkctl.secrets"
LABEL_DETAIL = "io.sparkctl.detail"


OF_THE_START = ("needs", "stop_seconds", "ports", "drop_caches_on")
"""Fields that say how a container is started and stopped, not what it is."""
NODES_USER = "node"
"""Stands for the login on the node, by number: whoever owns the secrets and the folders there."""


class Gpus(StrEnum):
    """Which GPUs a container sees."""

    NONE = "none"
    ALL = "all"


@dataclass(frozen=True)
class Mount:
    """A folder of the node (absolute path), or a named volume, inside the container."""

    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True)
class Secret:
    """A file with a secret, made by another step; mounted read-only at `/run/secrets/<name>`."""

    name: str
    path: str


@dataclass(frozen=True)
class Confinement:
    """What a container that is no engine may do.

    `user` is USER:GROUP, each a number or the node's login (`NODES_USER`); it has no capability but
    the service's, gains no privilege, and writes only to its mounts and to `tmpfs`, each a path with its options.
    `pids` and `memory_bytes` are limits, 0 for none. With `first` its program is the first process, and reaps by
    itself.
    """

    user: str = f"{NODES_USER}:{NODES_USER}"
    pids: int = 0
    memory_bytes: int = 0
    tmpfs: tuple[tuple[str, str], ...] = (("/tmp", "rw,nosuid,nodev,size=64m"),)
    first: bool = False


@dataclass(frozen=True)
class Service:
    """One container on one node.

    `needs` are step ids that must hold before it starts. `stands_on` are (service, node) pairs whose restart makes
    this one stale; `joins` is a service of the same node whose processes and shared memory it sees. `shm_bytes` is
    the size of /dev/shm; `network` is `host`, `none`, or the name of one that a step makes; `ports` are the TCP ports
    that it will listen on, by address: its own on the network `host`, published by Docker from a named one; `volumes`
    go when it goes; on the nodes `drop_caches_on` the page cache is dropped before it starts. One that is `confined`
    Docker itself starts again when it ends, or after a boot; an engine is for the keeper.
    Nothing in `entrypoint`, `command` and `env` is secret: secrets are files.
    """

    name: str
    node: str
    image: str
    command: tuple[str, ...]
    entrypoint: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    mounts: tuple[Mount, ...] = ()
    secrets: tuple[Secret, ...] = ()
    gpus: Gpus = Gpus.NONE
    devices: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    ulimits: tuple[tuple[str, int], ...] = ()
    shm_bytes: int = 0
    joins: str = ""
    volumes: tuple[str, ...] = ()
    network: str = "host"
    ports: tuple[tuple[str, int], ...] = ()
    needs: tuple[str, ...] = ()
    stands_on: tuple[tuple[str, str], ...] = ()
    stop_seconds: int = 30
    drop_caches_on: tuple[str, ...] = ()
    confined: Confinement | None = None

    @property
    def published(self) -> tuple[tuple[str, int], ...]:
        """The ports that Docker brings to the node, by address."""
        return () if self.network in ("host", "none") else self.ports

    @property
    def spec(self) -> dict[str, object]:
        """Everything that makes the container what it is, and nothing of how it is started and stopped."""
        left_out = OF_THE_START if self.confined else (*OF_THE_START, "confined")
        return {key: value for key, value in asdict(self).items() if key not in left_out}


def suffixed(service: Service, suffix: str) -> Service:
    """The service of one of several models: its own name, its own volumes, the same of what it stands on."""

    def own(name: str) -> str:
        return f"{name}{suffix}" if name else ""

    def mount(one: Mount) -> Mount:
        return one if one.source.startswith("/") else replace(one, source=own(one.source))

    return replace(
        service,
        name=own(service.name),
        joins=own(service.joins),
        mounts=tuple(map(mount, service.mounts)),
        volumes=tuple(map(own, service.volumes)),
        stands_on=tuple((own(name), node) for name, node in service.stands_on),
    )


def spec_hash(*parts: object) -> str:
    """Twelve hex digits over JSON data: a spec and the hashes of what it stands on, so that drift cascades upwards."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]
