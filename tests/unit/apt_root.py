"""A private root for the real apt and dpkg: nothing of this machine's own packages is read or changed."""

import hashlib
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

FOLDERS = (
    "var/lib/dpkg/updates",
    "var/lib/dpkg/info",
    "var/lib/apt/lists/partial",
    "var/cache/apt/archives/partial",
    "var/log/apt",
    "etc/apt/apt.conf.d",
    "etc/apt/preferences.d",
    "etc/apt/trusted.gpg.d",
    "repo",
)


@dataclass(frozen=True)
class AptRoot:
    """One root in `folder`, with a repository of packages that the test makes."""

    folder: Path

    def __post_init__(self) -> None:
        for name in FOLDERS:
            (self.folder / name).mkdir(parents=True)
        (self.folder / "var/lib/dpkg/status").touch()
        (self.folder / "etc/apt/sources.list").write_text(f"deb [trusted=yes] file:{self.folder}/repo ./\n")
        where = f'Dir "{self.folder}";\nDir::State::status "{self.folder}/var/lib/dpkg/status";\n'
        (self.folder / "apt.conf").write_text(f'{where}APT::Sandbox::User "root";\nDir::Bin::dpkg "/usr/bin/dpkg";\n')

    @property
    def env(self) -> dict[str, str]:
        """What makes apt and dpkg work here, and as any user."""
        forced = "script-chrootless,not-root,bad-path"
        own = {"APT_CONFIG": f"{self.folder}/apt.conf", "DPKG_ROOT": str(self.folder), "DPKG_FORCE": forced}
        return os.environ | own

    def publish(self, name: str, **scripts: str) -> None:
        """Make a package with these maintainer scripts, and put it into the repository."""
        source = self.folder / "source" / name
        (source / "DEBIAN").mkdir(parents=True)
        fields = f"Package: {name}\nVersion: 1.0\nArchitecture: all\nMaintainer: T <t@a.example>\nDescription: -\n"
        (source / "DEBIAN/control").write_text(fields)
        for script, text in scripts.items():
            (source / "DEBIAN" / script).write_text(f"#!/bin/sh\n{text}\n")
            (source / "DEBIAN" / script).chmod(0o755)
        deb = self.folder / "repo" / f"{name}.deb"
        subprocess.run(["dpkg-deb", "-b", source, deb], check=True, capture_output=True)
        size, digest = deb.stat().st_size, hashlib.sha256(deb.read_bytes()).hexdigest()
        with (self.folder / "repo/Packages").open("a") as index:
            index.write(f"{fields}Filename: ./{deb.name}\nSize: {size}\nSHA256: {digest}\n\n")

    def state(self, name: str) -> str:
        """What dpkg holds of a package, as dpkg-query says it."""
        asked = ["dpkg-query", "-W", "-f", "${db:Status-Status}", name]
        return subprocess.run(asked, env=self.env, capture_output=True, text=True).stdout
