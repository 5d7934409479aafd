"""The disk, kernel and initial RAM disk that every virtual machine of a lab starts from."""

import hashlib
import os
import shlex
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparkctl.lab import host, rootfs
from sparkctl.lab.progress import Report, stage
from sparkctl.lab.spec import cache_dir

FOLDER = rootfs.IMAGES / "vm"
"""The data files of the image."""
_NODE_FILES = rootfs.IMAGES / "node" / "rootfs"


@dataclass(frozen=True)
class Image:
    """A folder with the three files that QEMU boots."""

    folder: Path

    @property
    def disk(self) -> Path:
        """A raw ext4 file system without partitions."""
        return self.folder / "disk.img"

    @property
    def kernel(self) -> Path:
        """Debian's kernel for virtual machines."""
        return self.folder / "vmlinuz"

    @property
    def initrd(self) -> Path:
        """Drivers of the disk and the NICs, and `images/vm/initrd/init`."""
        return self.folder / "initrd.gz"


def recipe() -> rootfs.Recipe:
    """The packages of a container node, and what only a machine with a kernel of its own has."""
    node, extra = rootfs.recipe("node"), _settings()
    names = f"KERNEL={extra['kernel']}\nARCHIVE={shlex.quote(' '.join(extra['archive']))}\n"
    hooks = (*node.hooks, names + (FOLDER / "fetch").read_text())
    return rootfs.Recipe("vm", node.suite, (*node.packages, *extra["packages"]), hooks)


def image() -> Image:
    """Where the cache has the image of the present recipe and data files, once made."""
    digest = hashlib.sha256(recipe().key.encode())
    for folder in (_NODE_FILES, FOLDER):
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            digest.update(f"{path.relative_to(folder)}\0{path.stat().st_mode & 0o111}\0".encode())
            digest.update(path.read_bytes())
    return Image(cache_dir() / "vm" / digest.hexdigest()[:12])


def make(report: Report) -> Image:
    """The image, from the cache or from Debian's packages. Raises SparkctlError."""
    made = image()
    if made.folder.exists():
        return made
    tar = rootfs.make(recipe(), report)
    partial = made.folder.with_suffix(".partial")
    host.run_as_root(["rm", "-rf", str(partial)])
    partial.mkdir(parents=True)
    program, units = str(FOLDER / "make-disk"), _settings()["masked"]
    with stage(report, "make the disk of the virtual machines"):
        host.run_as_root(["sh", program, str(tar), str(partial), str(os.getuid()), *units])
    partial.rename(made.folder)
    return made


def drop() -> None:
    """Remove every image from the cache, finished or not. Labs keep working: they have links to theirs."""
    host.run_as_root(["rm", "-rf", str(cache_dir() / "vm"), str(recipe().path)])


def _settings() -> dict[str, Any]:
    return tomllib.loads((FOLDER / "vm.toml").read_text())
