"""A real sandbox to test against: this machine's programs in a container as `up` makes it. No image is built."""

import asyncio
import io
import os
import shutil
import socket
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import docker
import pytest
import typer

import sparkctl
from sparkctl.agents.sandbox.client import SandboxClient

T = TypeVar("T")
NOBODY = 65534
REPOSITORY = "sparkctl-test/sandbox"
HARDENED: dict[str, Any] = {
    "network_mode": "none",
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "pids_limit": 64,
    "mem_limit": "256m",
    "memswap_limit": "256m",
    "user": f"{NOBODY}:{NOBODY}",
    "tmpfs": {"/tmp": "size=16m"},
}
"""The container's own limits, as docs/sandbox.md has them."""


@dataclass(frozen=True)
class Box:
    """A running sandbox: its client, its container, and its workspaces as this machine sees them."""

    client: SandboxClient
    container: Any
    workspaces: Path

    def ask(self, call: Coroutine[Any, Any, T]) -> T:
        """Wait for a call of the client."""
        return asyncio.run(call)

    def proc(self, name: str) -> Path:
        """A file of the server's process."""
        return Path("/proc", str(self.container.attrs["State"]["Pid"]), name)


@contextmanager
def sandbox_image() -> Iterator[str]:
    """An image of nothing but folders, and secrets that no job may read; skips where there is no Docker."""
    try:
        engine = docker.from_env()
        engine.ping()
    except docker.errors.DockerException:
        pytest.skip("no Docker engine to make a sandbox with")
    if os.getuid():
        pytest.skip("the sandbox's folders are made by root")
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name in ("usr", "app", "site", "run/sandbox", "workspaces", "tmp", "etc"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(folder)
        for name in ("bin", "lib", "lib64", "sbin"):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, f"usr/{name}"
            tar.addfile(link)
        for name in ("/etc/passwd", "/etc/ld.so.cache", "/etc/alternatives"):
            tar.add(name, name)
    tag = uuid4().hex
    engine.api.import_image_from_data(data.getvalue(), repository=REPOSITORY, tag=tag)
    try:
        yield f"{REPOSITORY}:{tag}"
    finally:
        engine.images.remove(f"{REPOSITORY}:{tag}", force=True)
        engine.close()


@contextmanager
def box(image: str, *words: str, room_mib: int = 0, **changed: Any) -> Iterator[Box]:
    """A sandbox with these limits; `words` are further options of the server, `changed` of its container.

    With `room_mib` its workspaces are on a disk of their own, of that size.
    """
    if not shutil.which("python3", path="/usr/bin"):
        pytest.skip("no Python in /usr to run the sandbox with")
    folder = Path(tempfile.mkdtemp(prefix="sandbox-"))
    for name in ("run", "workspaces"):
        (folder / name).mkdir(mode=0o700)
        if room_mib and name == "workspaces":
            subprocess.run(
                ["mount", "-t", "tmpfs", "-o", f"size={room_mib}m,mode=700", "tmpfs", folder / name], check=True
            )
        os.chown(folder / name, NOBODY, NOBODY)
    mounts = {
        "/usr": {"bind": "/usr", "mode": "ro"},
        str(Path(sparkctl.__file__).parent): {"bind": "/app/sparkctl", "mode": "ro"},
        str(Path(typer.__file__).parents[1]): {"bind": "/site", "mode": "ro"},
        str(folder / "run"): {"bind": "/run/sandbox", "mode": "rw"},
        str(folder / "workspaces"): {"bind": "/workspaces", "mode": "rw"},
    }
    command = ["/usr/bin/python3", "-m", "sparkctl", "agents", "sandbox", "--socket", "/run/sandbox/sandbox.sock"]
    command += ["--workspaces", "/workspaces", "--memory-mib=256", "--seconds=30", "--disk-mib=16", *words]
    environment = {"PYTHONPATH": "/app:/site", "SECRET_OF_THE_SERVER": "canary", "PYTHONDONTWRITEBYTECODE": "1"}
    engine = docker.from_env()
    container = engine.containers.run(
        image, command, detach=True, volumes=mounts, environment=environment, **{**HARDENED, **changed}
    )
    try:
        client = SandboxClient(str(folder / "run" / "sandbox.sock"))
        _wait(container, folder / "run" / "sandbox.sock")
        yield Box(client, container, folder / "workspaces")
    finally:
        container.remove(force=True, v=True)
        engine.close()
        if room_mib:
            subprocess.run(["umount", folder / "workspaces"], check=True)
        shutil.rmtree(folder)


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as link:
        return link.connect_ex(str(path)) == 0


def _wait(container: Any, path: Path) -> None:
    while not _listens(path):
        container.reload()
        if container.status == "exited":
            raise RuntimeError(container.logs().decode())
        time.sleep(0.02)
    container.reload()
