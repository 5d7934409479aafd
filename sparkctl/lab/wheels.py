"""The Python wheels of the lab's images, downloaded on this machine by the ordinary pip and kept in the cache."""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from sparkctl.errors import SparkctlError
from sparkctl.lab import host
from sparkctl.lab.progress import Report, stage
from sparkctl.lab.rootfs import IMAGES
from sparkctl.lab.spec import cache_dir

LOCK = IMAGES / "engine/lock.txt"
"""The wheels of the engine image; other images have a lock file of their own."""
PIP = "pip==26.3"
"""What installs the wheels inside the image's build stage."""
PYTHON = "3.11"
"""The Python of the image's suite, whatever runs sparkctl."""
INDEX_VARIABLE = "SPARKCTL_LAB_TORCH_INDEX"
"""Where torch's CPU wheels are, on machines whose pip does not find them."""
_GLIBC_MINORS = range(36, 16, -1)


def key(lock: Path = LOCK) -> str:
    """Twelve hex digits over a lock file and this machine's architecture."""
    return hashlib.sha256(lock.read_bytes() + f"{PIP} {platform.machine()}".encode()).hexdigest()[:12]


def folder(lock: Path = LOCK) -> Path:
    """Where the cache has the wheels of a lock file, once downloaded."""
    return cache_dir() / "wheels" / key(lock)


def download(report: Report, lock: Path = LOCK) -> Path:
    """The folder of wheels, from the cache or by pip. Raises SparkctlError."""
    done = folder(lock)
    if done.is_dir():
        return done
    partial = done.with_suffix(".partial")
    partial.mkdir(parents=True, exist_ok=True)
    pip = _find_pip(report)
    what = "vLLM, Ray and torch (600 MB)" if lock == LOCK else f"the image '{lock.parent.name}'"
    with stage(report, f"download the wheels of {what}"):
        _download(pip, partial, lock)
    partial.rename(done)
    return done


def _find_pip(report: Report) -> list[str]:
    """A pip that works: that of our own Python, else that of the machine's."""
    pythons = [] if getattr(sys, "frozen", False) else [sys.executable]
    for python in (*pythons, "python3"):
        if (
            shutil.which(python)
            and not subprocess.run([python, "-m", "pip", "--version"], capture_output=True).returncode
        ):
            return [python, "-m", "pip"]
    return [host.ensure_command("pip3", ("python3-pip",), report)]


def _download(pip: list[str], target: Path, lock: Path) -> None:
    machine = platform.machine()
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in _GLIBC_MINORS]
    platforms += [f"manylinux2014_{machine}", f"manylinux1_{machine}", f"linux_{machine}"]
    argv = [*pip, "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", str(target)]
    argv += ["--python-version", PYTHON, "--implementation", "cp", *(f"--platform={name}" for name in platforms)]
    if index := os.environ.get(INDEX_VARIABLE):
        argv += ["--extra-index-url", index]
    done = subprocess.run([*argv, "--requirement", str(lock), PIP], capture_output=True, text=True)
    if done.returncode:
        _explain(done.stderr)


def _explain(stderr: str) -> None:
    last = "\n".join(stderr.splitlines()[-10:])
    if "No matching distribution found for torch" in stderr:
        raise SparkctlError(
            "pip finds no CPU wheel of torch in the version that the lab's vLLM needs",
            where="pip download",
            fix=f"set {INDEX_VARIABLE} to PyTorch's index of CPU wheels, then run this command again",
            output=last,
        )
    raise SparkctlError(
        "pip could not download the wheels of an image", where="pip download", fix="try again", output=last
    )
