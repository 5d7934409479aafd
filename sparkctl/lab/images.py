"""The images of the lab, built on this machine by its engine's classic builder, without network.

An image is tagged with a hash of everything that goes into it, so what is there need not be looked into.
"""

import contextlib
import hashlib
import io
import platform
import tarfile
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

from sparkctl.errors import SparkctlError
from sparkctl.lab import rootfs, wheels
from sparkctl.lab.progress import Report, stage
from sparkctl.lab.rootfs import IMAGES

if TYPE_CHECKING:
    import docker

LABEL_IMAGE = "io.sparkctl.lab.image"
"""Label of every image of the lab; the value is the image's name."""
STAGE = f"{LABEL_IMAGE}=build"
"""Label that the Dockerfiles give to a stage that is not the last."""
PREFIX = "sparkctl-lab"


@dataclass(frozen=True)
class Context:
    """A build context. `folder` is below images/; `bases` are build arguments with the root file systems they name.

    `extra` are files from elsewhere, as name in the context: path. The wheels of the lock file `lock` are known
    through its key and are not read to make the image's own.
    """

    name: str
    folder: Path
    bases: Mapping[str, str]
    extra: Mapping[str, Path] = field(default_factory=dict)
    lock: Path | None = None

    @property
    def tag(self) -> str:
        """`sparkctl-lab/<name>:<hash of what goes in>`."""
        digest = hashlib.sha256((wheels.key(self.lock) if self.lock else "").encode())
        for base in self.bases.values():
            digest.update(rootfs.recipe(base).key.encode())
        with io.BytesIO() as tar:
            _write_tar(tar, self._small())
            digest.update(tar.getvalue())
        return f"{PREFIX}/{self.name}:{digest.hexdigest()[:12]}"

    def write(self, target: IO[bytes]) -> None:
        """The whole context as a tar."""
        bulk = sorted(wheels.folder(self.lock).iterdir()) if self.lock else []
        _write_tar(target, [*self._small(), *((f"wheels/{path.name}", path) for path in bulk)])

    def _small(self) -> list[tuple[str, Path]]:
        own = (path for path in sorted(self.folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)
        return [(path.relative_to(self.folder).as_posix(), path) for path in own] + sorted(self.extra.items())


def node() -> Context:
    """A simulated Spark."""
    return Context("node", IMAGES / "node", {"BASE": "node"})


def depot() -> Context:
    """Registry and model hub of a lab."""
    hub = Path(__file__).with_name("hub.py")
    return Context("depot", IMAGES / "depot", {"BASE": "tools"}, extra={"rootfs/usr/local/lib/hub.py": hub})


def engine() -> Context:
    """vLLM and Ray for the CPU."""
    bases = {"BASE": "engine", "BUILDER": "tools"}
    return Context("vllm-cpu", IMAGES / "engine", bases, lock=wheels.LOCK)


def noray() -> Context:
    """An engine image that lacks Ray."""
    return Context("noray", IMAGES / "noray", {"BASE": "engine"})


def agents() -> Context:
    """What the image of the agents is built on: every library of sparkctl[agents], and not sparkctl itself."""
    folder = IMAGES / "agents"
    return Context("agents-base", folder, {"BASE": "agents", "BUILDER": "tools"}, lock=folder / "lock.txt")


def postgres() -> Context:
    """PostgreSQL of Debian, told what to do as the official image is."""
    return Context("postgres", IMAGES / "postgres", {"BASE": "postgres"})


def prometheus() -> Context:
    """Prometheus of Debian."""
    return Context("prometheus", IMAGES / "prometheus", {"BASE": "prometheus"})


def ensure(client: "docker.DockerClient", context: Context, report: Report) -> str:
    """The tag of an image that the engine has, built now unless it did already. Raises SparkctlError."""
    if exists(client, context.tag):
        return context.tag
    arguments = {argument: _ensure_base(client, name, report) for argument, name in context.bases.items()}
    if context.lock:
        wheels.download(report, context.lock)
    with stage(report, f"build the image '{context.name}'"), tempfile.TemporaryFile() as tar:
        context.write(tar)
        tar.seek(0)
        _build(client, context, tar, arguments)
    # The classic builder leaves the stages that the last one copied from, without a name.
    if context.lock:
        client.images.prune(filters={"dangling": True, "label": [STAGE]})
    return context.tag


def exists(client: "docker.DockerClient", tag: str) -> bool:
    """Whether the engine has that image."""
    from docker.errors import ImageNotFound

    try:
        client.images.get(tag)
    except ImageNotFound:
        return False
    return True


def remove(client: "docker.DockerClient", names: Iterable[str] = ()) -> None:
    """Remove the lab's images of these names, or all of them."""
    labels = [f"{LABEL_IMAGE}={name}" for name in names] or [LABEL_IMAGE]
    for label in labels:
        for image in client.images.list(filters={"label": label}):
            for tag in image.tags:
                client.images.remove(tag)


def tidy(client: "docker.DockerClient") -> None:
    """Remove images of earlier versions that no container uses."""
    from docker.errors import APIError

    for context in (node(), depot(), engine(), noray(), agents(), postgres(), prometheus()):
        for image in client.images.list(filters={"label": f"{LABEL_IMAGE}={context.name}"}):
            for tag in image.tags:
                if tag.startswith(f"{PREFIX}/{context.name}:") and tag != context.tag:
                    with contextlib.suppress(APIError):
                        client.images.remove(tag)


def _ensure_base(client: "docker.DockerClient", name: str, report: Report) -> str:
    recipe = rootfs.recipe(name)
    tag = f"{PREFIX}/rootfs-{name}:{recipe.key}"
    if exists(client, tag):
        return tag
    path = rootfs.make(recipe, report)
    with stage(report, f"import the root file system '{name}'"):
        repository, _, version = tag.rpartition(":")
        label = f"LABEL {LABEL_IMAGE}=rootfs-{name}"
        client.api.import_image(src=str(path), repository=repository, tag=version, changes=[label])
    return tag


def _build(client: "docker.DockerClient", context: Context, tar: IO[bytes], arguments: dict[str, str]) -> None:
    output: list[str] = []
    answers = client.api.build(
        fileobj=tar,
        custom_context=True,
        tag=context.tag,
        buildargs=arguments,
        network_mode="none",
        rm=True,
        forcerm=True,
        labels={LABEL_IMAGE: context.name},
        platform=None,
        decode=True,
    )
    for answer in answers:
        output.append(answer.get("stream", "").rstrip())
        if "error" in answer:
            raise SparkctlError(
                f"the image '{context.name}' could not be built: {answer['error']}",
                where=f"docker build on {platform.node()}",
                fix="see the last lines; if a download is broken: sparkctl lab down --images, then lab up",
                output="\n".join(filter(None, output[-30:])),
            )


def _write_tar(target: IO[bytes], files: Iterable[tuple[str, Path]]) -> None:
    """Equal files give equal bytes; scripts are executable."""
    with tarfile.open(fileobj=target, mode="w") as tar:
        for name, path in files:
            info = tarfile.TarInfo(name)
            info.size = path.stat().st_size
            with path.open("rb") as source:
                info.mode = 0o755 if source.read(2) == b"#!" else 0o644
                source.seek(0)
                tar.addfile(info, source)
