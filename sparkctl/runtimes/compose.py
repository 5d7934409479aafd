"""Services of one node as a Docker Compose file: the same containers, for those who run them without sparkctl."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sparkctl.core.service import Gpus, Mount, Service

Document = dict[str, Any]


def compose(services: Sequence[Service], health: Mapping[str, tuple[str, ...]], start_seconds: float) -> Document:
    """The document. `health` is a command in the container that ends with 0 once a service is ready, by its name.

    While it starts, up to `start_seconds`, a failed look does not count. Secrets are files that sparkctl put on the
    node: their values are not in here.
    """
    secrets = {secret.name: {"file": _plain(secret.path)} for service in services for secret in service.secrets}
    made = {s.name: _service(s, services, health.get(s.name, ()), start_seconds) for s in services}
    named = (mount.source for service in services for mount in service.mounts if not mount.source.startswith("/"))
    volumes: Document = {source: {} for source in named}
    parts = {"services": made, "secrets": secrets, "volumes": volumes}
    return {key: value for key, value in parts.items() if value}


def _service(service: Service, others: Sequence[Service], health: tuple[str, ...], start_seconds: float) -> Document:
    below = [name for name, _ in service.stands_on if any(name == other.name for other in others)]
    join = f"service:{service.joins}" if service.joins else ""
    keys: Document = {
        "image": _plain(service.image),
        "entrypoint": _words(service.entrypoint),
        "command": _words(service.command),
        "environment": {name: _plain(value) for name, value in service.env},
        "network_mode": service.network,
        "depends_on": below,
        "ipc": join or "shareable",
        "pid": join,
        "shm_size": service.shm_bytes if not join else 0,
        "ulimits": {name: {"soft": limit, "hard": limit} for name, limit in service.ulimits},
        "cap_add": list(service.capabilities),
        "devices": [f"{path}:{path}:rwm" for path in service.devices],
        "volumes": [_volume(mount) for mount in service.mounts],
        "secrets": [secret.name for secret in service.secrets],
        "init": not join,
        "restart": "no",
        "stop_grace_period": f"{service.stop_seconds}s",
        "healthcheck": _health(health, start_seconds) if health else {},
        "deploy": _gpus() if service.gpus is Gpus.ALL else {},
    }
    return {key: value for key, value in keys.items() if value}


def _health(command: tuple[str, ...], start_seconds: float) -> Document:
    times = {"interval": "10s", "timeout": "10s", "retries": 3, "start_period": f"{start_seconds:.0f}s"}
    return {"test": ["CMD", *_words(command)], **times}


def _gpus() -> Document:
    return {
        "resources": {"reservations": {"devices": [{"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}]}}
    }


def _volume(mount: Mount) -> Document:
    kind = "bind" if mount.source.startswith("/") else "volume"
    found = {"type": kind, "source": _plain(mount.source), "target": _plain(mount.target)}
    return {**found, "read_only": True} if mount.read_only else found


def _words(words: Iterable[str]) -> list[str]:
    return [_plain(word) for word in words]


def _plain(text: str) -> str:
    """Compose puts variables in the place of `$NAME`; `$$` is a dollar."""
    return text.replace("$", "$$")
