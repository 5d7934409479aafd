"""An installed sparkctl, run as a user runs it: from an empty folder, with nothing of the checkout around it."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Installed:
    """A program with a home of its own; `env` is what else the user has set."""

    program: Path
    home: Path
    env: Mapping[str, str] = field(default_factory=dict)

    def run(self, *argv: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        folder = self.home / "empty"
        folder.mkdir(exist_ok=True)
        return subprocess.run(
            [str(self.program), *argv],
            cwd=folder,
            env={"HOME": str(self.home), "PATH": os.defpath, "LANG": "C.UTF-8", "USER": "somebody", **self.env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def succeed(self, *argv: str, timeout: float = 120) -> str:
        """What a command prints that must end with 0."""
        done = self.run(*argv, timeout=timeout)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def data_files() -> dict[str, Path]:
    """What must be in every package beside the modules: name below the package, and where the checkout has it."""
    shared = ("unified-config.env", *_below("templates", ROOT), *_below("profiles", ROOT))
    lab = _below("lab/images", ROOT / "sparkctl")
    return {f"_data/{name}": ROOT / name for name in shared} | {name: ROOT / "sparkctl" / name for name in lab}


def _below(folder: str, root: Path) -> list[str]:
    files = (path for path in (root / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return [path.relative_to(root).as_posix() for path in files]
