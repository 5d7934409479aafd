"""The tiny model of the lab: made by the engine image, byte for byte the same, kept in the cache."""

import hashlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from sparkctl.errors import SparkctlError
from sparkctl.lab import files, images, wheels
from sparkctl.lab.progress import Report, stage
from sparkctl.lab.rootfs import IMAGES
from sparkctl.lab.spec import cache_dir

if TYPE_CHECKING:
    import docker

NAME = "tiny-llama"
_SOURCE = IMAGES / "engine/make-model"


def folder() -> Path:
    """Where the cache has the model, once made."""
    key = hashlib.sha256(_SOURCE.read_bytes() + wheels.key().encode()).hexdigest()[:12]
    return cache_dir() / "models" / f"{NAME}-{key}"


def ensure(client: "docker.DockerClient", engine_tag: str, report: Report) -> Path:
    """The folder of the model's files, from the cache or made now in that image. Raises SparkctlError."""
    done = folder()
    if done.is_dir():
        return done
    done.parent.mkdir(parents=True, exist_ok=True)
    with stage(report, "make the tiny model"), tempfile.TemporaryDirectory(dir=done.parent) as scratch:
        made = Path(scratch) / NAME
        made.mkdir()
        for name, content in _make(client, engine_tag).items():
            (made / name).write_bytes(content)
        made.rename(done)
    return done


def sweep(client: "docker.DockerClient") -> None:
    """Remove what a killed run left of making the model."""
    for container in client.containers.list(all=True, filters={"label": f"{images.LABEL_IMAGE}={NAME}"}):
        container.remove(force=True, v=True)


def _make(client: "docker.DockerClient", engine_tag: str) -> dict[str, bytes]:
    sweep(client)
    command = ["python3", "-c", _SOURCE.read_text(), f"/srv/{NAME}"]
    labels = {images.LABEL_IMAGE: NAME}
    container = client.containers.create(engine_tag, command, network_mode="none", labels=labels)
    try:
        container.start()
        status = container.wait()["StatusCode"]
        if status:
            raise SparkctlError(
                f"making the tiny model ended with status {status}",
                where=engine_tag,
                fix="sparkctl lab down --images, then lab up builds the image anew",
                output=container.logs(tail=15).decode(errors="replace"),
            )
        return files.get(container, f"/srv/{NAME}")
    finally:
        container.remove(force=True, v=True)
