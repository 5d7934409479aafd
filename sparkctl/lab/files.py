"""Files in and out of containers, by the engine's archive calls; the containers need not run."""

import io
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from docker.models.containers import Container


@dataclass(frozen=True)
class File:
    """A file to be. `path` is absolute; `owner` is uid and gid of the file, and of its folder where `private`."""

    path: str
    content: bytes
    mode: int = 0o644
    owner: int = 0
    private: bool = False


def put(container: "Container", files: Iterable[File]) -> None:
    """Put files into a container; a `private` file gets a folder of mode 0700."""
    container.put_archive("/", pack(files))


def pack(files: Iterable[File]) -> bytes:
    """The files as a tar archive to be unpacked at /."""
    with io.BytesIO() as raw:
        with tarfile.open(fileobj=raw, mode="w") as tar:
            for file in files:
                if file.private:
                    folder = tarfile.TarInfo(str(Path(file.path).parent).lstrip("/"))
                    folder.type, folder.mode, folder.uid, folder.gid = tarfile.DIRTYPE, 0o700, file.owner, file.owner
                    tar.addfile(folder)
                info = tarfile.TarInfo(file.path.lstrip("/"))
                info.size, info.mode, info.uid, info.gid = len(file.content), file.mode, file.owner, file.owner
                tar.addfile(info, io.BytesIO(file.content))
        return raw.getvalue()


def get(container: "Container", folder: str) -> dict[str, bytes]:
    """The files of a flat folder of a container, by name."""
    chunks, _ = container.get_archive(folder)
    with io.BytesIO(b"".join(chunks)) as raw, tarfile.open(fileobj=raw) as tar:
        found = ((Path(member.name).name, tar.extractfile(member)) for member in tar.getmembers())
        return {name: source.read() for name, source in found if source is not None}
