"""A tiny image with a static shell, made here: no registry is needed."""

import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import pytest


@contextmanager
def busybox_image(name: str) -> Iterator[str]:
    """An image of this machine's engine under that name; skips where there is no busybox to make it of."""
    path = Path("/bin/busybox")
    if not path.exists():
        pytest.skip("no static busybox to make an image of")
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        tar.add(path, "bin/busybox")
        for applet in ("sh", "cat", "echo", "sleep", "seq"):
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    client = docker.from_env()
    client.api.import_image_from_data(data.getvalue(), repository=name, tag="1")
    yield f"{name}:1"
    client.images.remove(f"{name}:1", force=True)
    client.close()
