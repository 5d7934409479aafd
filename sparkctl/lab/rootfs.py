"""Debian root file systems, made by mmdebstrap and kept in the cache as tar files."""

import hashlib
import json
import platform
import tomllib
from dataclasses import dataclass
from pathlib import Path

from sparkctl.lab import host
from sparkctl.lab.progress import Report, stage
from sparkctl.lab.spec import cache_dir

IMAGES = Path(__file__).parent / "images"
"""Where the data files of the lab's images are."""
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
"""What Debian signs its archive with; other distributions bring it in a package."""
_LEAN = (
    "--aptopt=Apt::Install-Recommends false",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=force-unsafe-io",
)


@dataclass(frozen=True)
class Recipe:
    """What goes into a root file system. `hooks` are shell commands, run with the folder as "$1"."""

    name: str
    suite: str
    packages: tuple[str, ...]
    hooks: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Twelve hex digits over the recipe and this machine's architecture."""
        text = json.dumps([self.suite, self.packages, self.hooks, _LEAN, platform.machine()])
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def path(self) -> Path:
        """Where the cache has it, once made."""
        return cache_dir() / "rootfs" / f"{self.name}-{self.key}.tar"


def recipe(name: str) -> Recipe:
    """The recipe of that name in images/rootfs.toml. Raises KeyError."""
    data = tomllib.loads((IMAGES / "rootfs.toml").read_text())
    return Recipe(name, data["suite"], tuple(data[name]["packages"]), tuple(data[name]["hooks"]))


def make(recipe: Recipe, report: Report) -> Path:
    """The tar file of the root file system, from the cache or by mmdebstrap. Raises SparkctlError."""
    if recipe.path.exists():
        return recipe.path
    host.ensure_command("mmdebstrap", ("mmdebstrap", "debian-archive-keyring", "gpg"), report)
    host.ensure_file(KEYRING, ("debian-archive-keyring", "gpg"), report)
    recipe.path.parent.mkdir(parents=True, exist_ok=True)
    partial = recipe.path.with_suffix(".partial")
    hooks = [
        f"--customize-hook={hook}" for hook in (*recipe.hooks, 'rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*')
    ]
    include = f"--include={','.join(recipe.packages)}"
    argv = ["mmdebstrap", "--variant=minbase", "--mode=root", include, *_LEAN, *hooks, recipe.suite, "-"]
    with stage(report, f"make the root file system '{recipe.name}' from Debian packages"), partial.open("wb") as tar:
        host.run_as_root(argv, stdout=tar)
    partial.rename(recipe.path)
    return recipe.path
