"""The actions that make and take away containers, by the Docker SDK over the node's own SSH connection."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sparkctl.core.action import Context
from sparkctl.core.service import LABEL_CLUSTER, LABEL_SERVICE, NODES_USER, Gpus, Mount, Service
from sparkctl.errors import CommandFailed, ConnectionLost
from sparkctl.topology import Cluster
from sparkctl.transport.session import Session

if TYPE_CHECKING:
    import docker


DROP_CACHES = "sync; echo 3 > /proc/sys/vm/drop_caches"
"""A Spark's GPU counts the page cache as used (docs/how-it-works.md)."""


PREVIOUS = "-previous"
"""What the name of a container ends in while its successor is tried."""


def container_name(cluster: Cluster, service: str) -> str:
    """The fixed name of a service's container on its node."""
    return f"sparkctl-{cluster.name}-{service}"


def service_of(name: str, labels: Mapping[str, str]) -> str:
    """The service that a container is; one that was set aside is told apart by how its name ends."""
    service = labels.get(LABEL_SERVICE)
    return f"{service}{PREVIOUS * name.endswith(PREVIOUS)}" if service else name


def is_ours(cluster: Cluster, labels: Mapping[str, str]) -> bool:
    """True for what this cluster made: the only things that sparkctl changes or removes."""
    return labels.get(LABEL_CLUSTER) == cluster.name


def short_json(service: Service) -> str:
    """What a later plan compares field by field; holds no secret, as a service holds none."""
    spec = service.spec
    fields = "image", "entrypoint", "command", "env", "mounts", "devices", "shm_bytes", "ulimits", "joins", "confined"
    return json.dumps({key: spec[key] for key in fields if key in spec}, separators=(",", ":"))


@dataclass(frozen=True)
class Create:
    """Create and start one container from an image id; `labels` are the marks beyond cluster and service."""

    cluster: Cluster
    service: Service
    image_id: str
    labels: tuple[tuple[str, str], ...]

    @property
    def summary(self) -> str:
        return f"start container {container_name(self.cluster, self.service.name)} on {self.service.node}"

    @property
    def detail(self) -> str:
        """The container as one would write it in a Compose file."""
        s = self.service
        lines = [f"image: {s.image} ({self.image_id[:19]})", f"entrypoint: {' '.join(s.entrypoint) or '(image)'}"]
        lines.append(f"command: {' '.join(s.command)}")
        lines += [f"env: {key}={value}" for key, value in s.env]
        lines += [f"mount: {m.source} -> {m.target}{' (read-only)' * m.read_only}" for m in s.mounts]
        lines += [f"secret: {secret.path} -> /run/secrets/{secret.name}" for secret in s.secrets]
        if s.drop_caches_on:
            lines.append(f"before: drop the page cache on {', '.join(s.drop_caches_on)}")
        lines.append(f"network: {s.network}; gpus: {s.gpus}; shm: {s.shm_bytes >> 20} MiB")
        lines += [f"published: {address}:{port}" for address, port in s.published]
        if c := s.confined:
            lines.append(f"confined: user {c.user}, read-only, no capability, {c.memory_bytes >> 20} MiB")
        return "\n".join(lines)

    def perform(self, context: Context) -> None:
        for node in self.service.drop_caches_on:
            context.peers[node].script(DROP_CACHES, sudo=True, timeout=120)
        client = context.peers[self.service.node].docker
        with docker_errors(self.service.node, self.summary):
            labels = self._labels()
            for mount in self.service.mounts:
                if not mount.source.startswith("/"):
                    _fresh_volume(client, mount.source, labels)
            options = {**self._options(labels), **self._confinement(context.peers[self.service.node])}
            client.containers.create(self.image_id, **options).start()

    def _labels(self) -> dict[str, str]:
        marks = {LABEL_CLUSTER: self.cluster.name, LABEL_SERVICE: self.service.name}
        return {**marks, **dict(self.labels)}

    def _options(self, labels: dict[str, str]) -> dict[str, Any]:
        from docker.types import DeviceRequest, Ulimit

        s = self.service
        join = f"container:{container_name(self.cluster, s.joins)}" if s.joins else ""
        return {
            "name": container_name(self.cluster, s.name),
            "command": list(s.command),
            "entrypoint": list(s.entrypoint) or None,
            "environment": dict(s.env),
            "labels": labels,
            "volumes": _binds(s),
            "network_mode": s.network,
            "ports": {f"{port}/tcp": (address, port) for address, port in s.published},
            "ipc_mode": join or "shareable",
            "pid_mode": join or None,
            "shm_size": s.shm_bytes if s.shm_bytes and not join else None,
            "devices": [f"{path}:{path}:rwm" for path in s.devices],
            "device_requests": [DeviceRequest(count=-1, capabilities=[["gpu"]])] if s.gpus is Gpus.ALL else None,
            "cap_add": list(s.capabilities),
            "ulimits": [Ulimit(name=name, soft=limit, hard=limit) for name, limit in s.ulimits],
            "init": not join,
            "restart_policy": {"Name": "no"},
            "stop_signal": "SIGTERM",
            "log_config": {"Type": "json-file", "Config": {"max-size": "50m", "max-file": "3"}},
        }

    def _confinement(self, session: Session) -> dict[str, Any]:
        confined = self.service.confined
        if confined is None:
            return {}
        asked = zip(("-u", "-g"), confined.user.split(":"), strict=True)
        ids = (session.run(("id", flag)).stdout.strip() if who == NODES_USER else who for flag, who in asked)
        return {
            "user": ":".join(ids),
            "read_only": True,
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges"],
            "pids_limit": confined.pids or None,
            "mem_limit": confined.memory_bytes or None,
            "memswap_limit": confined.memory_bytes or None,
            "tmpfs": dict(confined.tmpfs),
            "ipc_mode": "private",
            "init": not confined.first,
            "restart_policy": {"Name": "unless-stopped"},
        }


@dataclass(frozen=True)
class Remove:
    """Stop one container, give it time to end, remove it and the volumes that it alone used."""

    cluster: Cluster
    service: str
    node: str
    stop_seconds: int
    volumes: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        return f"stop and remove container {container_name(self.cluster, self.service)} on {self.node}"

    @property
    def detail(self) -> str:
        return f"docker stop -t {self.stop_seconds}; docker rm" + "".join(f"; volume {v}" for v in self.volumes)

    def perform(self, context: Context) -> None:
        import docker.errors

        client = context.peers[self.node].docker
        with docker_errors(self.node, self.summary):
            try:
                container = client.containers.get(container_name(self.cluster, self.service))
            except docker.errors.NotFound:
                return
            if not is_ours(self.cluster, container.labels):
                raise CommandFailed(f"{container.name} is not ours any more", where=self.node)
            container.stop(timeout=self.stop_seconds)
            container.remove(force=True)
            for volume in self.volumes:
                _drop_volume(client, volume, self.cluster)


@dataclass(frozen=True)
class SetAside:
    """Stop one container and keep it under another name: it comes back where its successor does not serve."""

    cluster: Cluster
    service: str
    node: str
    stop_seconds: int

    @property
    def summary(self) -> str:
        name = container_name(self.cluster, self.service)
        return f"stop container {name} on {self.node}, and keep it until its successor serves"

    @property
    def detail(self) -> str:
        name = container_name(self.cluster, self.service)
        return f"docker stop -t {self.stop_seconds}; docker rename {name} {name}{PREVIOUS}"

    def perform(self, context: Context) -> None:
        import docker.errors

        name = container_name(self.cluster, self.service)
        with docker_errors(self.node, self.summary):
            containers = context.peers[self.node].docker.containers
            try:
                container = containers.get(name)
            except docker.errors.NotFound:
                return
            container.stop(timeout=self.stop_seconds)
            with suppress(docker.errors.NotFound):  # of a change before, whose end was cut short
                containers.get(name + PREVIOUS).remove(force=True)
            container.rename(name + PREVIOUS)


@dataclass(frozen=True)
class Restart:
    """Stop and start one container as it is."""

    cluster: Cluster
    service: Service

    @property
    def summary(self) -> str:
        return f"restart container {container_name(self.cluster, self.service.name)} on {self.service.node}"

    @property
    def detail(self) -> str:
        return f"docker restart -t {self.service.stop_seconds}"

    def perform(self, context: Context) -> None:
        client = context.peers[self.service.node].docker
        with docker_errors(self.service.node, self.summary):
            client.containers.get(container_name(self.cluster, self.service.name)).restart(
                timeout=self.service.stop_seconds
            )


@contextmanager
def docker_errors(node: str, doing: str) -> Iterator[None]:
    """The engine's errors as ours, with the node and what was being done."""
    import docker.errors
    import paramiko
    import requests.exceptions as http
    import urllib3.exceptions as stream

    try:
        yield
    except stream.ReadTimeoutError as error:
        raise CommandFailed(f"could not {doing}: the engine fell silent", where=node) from error
    except (
        http.ConnectionError,
        http.ChunkedEncodingError,
        stream.HTTPError,
        paramiko.SSHException,
        EOFError,
    ) as error:
        raise ConnectionLost(f"the connection to Docker broke while trying to {doing}", where=node) from error
    except (docker.errors.DockerException, http.RequestException) as error:
        text = getattr(error, "explanation", None) or str(error)
        raise CommandFailed(f"could not {doing}", where=node, output=str(text)) from error


def _binds(service: Service) -> list[str]:
    mounts = [*service.mounts, *(Mount(s.path, f"/run/secrets/{s.name}", read_only=True) for s in service.secrets)]
    return [f"{m.source}:{m.target}{':ro' * m.read_only}" for m in mounts]


def _fresh_volume(client: "docker.DockerClient", name: str, labels: dict[str, str]) -> None:
    """A volume that exists is kept: another container of this cluster made it."""
    if not client.volumes.list(filters={"name": f"^{name}$"}):
        client.volumes.create(name, labels={LABEL_CLUSTER: labels[LABEL_CLUSTER]})


def _drop_volume(client: "docker.DockerClient", name: str, cluster: Cluster) -> None:
    """A container that was set aside may still need it."""
    if client.containers.list(all=True, filters={"volume": name}, ignore_removed=True):
        return
    for volume in client.volumes.list(filters={"name": f"^{name}$"}):
        if is_ours(cluster, volume.attrs.get("Labels") or {}):
            volume.remove()
