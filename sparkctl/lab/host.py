"""This machine: its Docker engine, and programs that the lab needs from the distribution."""

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from sparkctl.errors import SparkctlError
from sparkctl.lab.progress import Event, Report, stage

if TYPE_CHECKING:
    import docker

START_LIMIT = 60.0
"""Seconds that an engine may take to answer after its start."""
CALL_LIMIT = 600
"""Seconds that one request to the engine may take."""
ENGINE_LOG = Path("/var/log/dockerd.log")
"""What an engine says that no service manager starts."""
SYSTEM_PATH = ("/usr/sbin", "/sbin")
"""Where programs of the system are, which are not in everybody's PATH."""
_KEPT = "http_proxy,https_proxy,no_proxy,DEBIAN_FRONTEND"
"""What sudo lets through of the environment."""
_MODEST = ("--no-install-recommends", "--no-remove")
_installing = threading.Lock()
"""A lab makes its images side by side, and they need the same programs."""


def engine(report: Report) -> "docker.DockerClient":
    """A client of this machine's Docker engine, which is installed and started where there is none.

    Raises SparkctlError when that cannot be done, or when this user may not use it.
    """
    client = connect()
    if client is not None:
        return client
    _require_linux()
    if _which("dockerd") is None:
        report(Event("no Docker engine answers here, and none is installed: the distribution's docker.io comes first"))
        _install(("docker.io",), report)
    with stage(report, "start the Docker engine"):
        _start()
        return _wait()


def connect() -> "docker.DockerClient | None":
    """A client of the engine that answers, or None. Raises SparkctlError where this user may not use it."""
    import docker
    from docker.errors import DockerException

    try:
        client = docker.from_env(timeout=CALL_LIMIT)
        client.ping()
    except DockerException as error:
        if "Permission denied" in str(error):
            raise SparkctlError(
                "this user may not talk to the Docker engine",
                where="/var/run/docker.sock",
                fix="sudo usermod -aG docker $USER, then log out and in again",
            ) from error
        return None
    return client


def has_service_manager() -> bool:
    """Whether systemd runs this machine."""
    return Path("/run/systemd/system").is_dir()


def ensure_command(command: str, packages: Sequence[str], report: Report) -> str:
    """The path of a program, from the distribution's packages where it is missing. Raises SparkctlError."""
    with _installing:
        path = _which(command)
        if path is None:
            _install(packages, report)
            path = _which(command)
    if path is None:
        raise SparkctlError(f"{command} is missing, although {' '.join(packages)} has been installed", where="lab")
    return path


def ensure_file(path: Path, packages: Sequence[str], report: Report) -> None:
    """See to it that a file is there, which the distribution's packages bring. Raises SparkctlError."""
    with _installing:
        if not path.exists():
            _install(packages, report)


def run_as_root(argv: Sequence[str], stdout: IO[bytes] | None = None) -> None:
    """Run a program of this machine as root, through sudo where needed. Raises SparkctlError with its last lines."""
    _require_success(argv, _run(argv, stdout))


def _run(argv: Sequence[str], stdout: IO[bytes] | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        _rooted(argv),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL if stdout is None else stdout,
        stderr=subprocess.PIPE,
        env={**os.environ, "PATH": _path(), "DEBIAN_FRONTEND": "noninteractive"},
        check=False,
    )


def _require_success(argv: Sequence[str], done: subprocess.CompletedProcess[bytes], before: bytes = b"") -> None:
    if done.returncode:
        what = f"{argv[0]} ended with status {done.returncode}"
        output = _last_lines(before + done.stderr)
        raise SparkctlError(what, where="this machine", fix="see its last lines", output=output)


def _which(command: str) -> str | None:
    return shutil.which(command, path=_path())


def _path() -> str:
    """Our PATH and the system's: root has it not after a plain `su`, and dpkg refuses to work without it."""
    return os.pathsep.join((os.environ.get("PATH", os.defpath), *SYSTEM_PATH))


def _rooted(argv: Sequence[str]) -> list[str]:
    if os.geteuid() == 0:
        return list(argv)
    if shutil.which("sudo") is None:
        raise SparkctlError(
            f"{argv[0]} must run as root, and there is no sudo", where="this machine", fix="run this command as root"
        )
    return ["sudo", f"--preserve-env={_KEPT}", "--", *argv]


def _install(packages: Sequence[str], report: Report) -> None:
    if shutil.which("apt-get") is None:
        raise SparkctlError(
            f"missing: {' '.join(packages)}",
            where="this machine",
            fix="install them with your distribution's package manager, then run this command again",
        )
    with stage(report, f"install {' '.join(packages)}"):
        # A package source of somebody else that cannot be read does not matter, as long as the packages are found.
        updated = _run(["apt-get", "update", "-qq"])
        # What the user installed from elsewhere, such as Docker's own packages, is not to make room for ours; who
        # installs something else at this moment is waited for.
        install = ["apt-get", "install", "-qq", "-oDPkg::Lock::Timeout=600", *_MODEST, *packages]
        _require_success(install, _run(install), updated.stderr)


def _require_linux() -> None:
    if os.uname().sysname != "Linux":
        raise SparkctlError(
            "no Docker engine answers",
            where="this machine",
            fix="start Docker Desktop or another engine, then run this command again",
        )


def _start() -> None:
    if has_service_manager():
        run_as_root(["systemctl", "enable", "--now", "docker"])
        return
    # No service manager runs here (a container, a minimal VM): the engine gets a session and a log of its own.
    run_as_root(["sh", "-c", f"setsid dockerd >{ENGINE_LOG} 2>&1 </dev/null &"])


def _wait() -> "docker.DockerClient":
    deadline = time.monotonic() + START_LIMIT
    while time.monotonic() < deadline:
        client = connect()
        if client is not None:
            return client
        time.sleep(0.2)
    raise SparkctlError(
        f"the Docker engine does not answer {START_LIMIT:.0f} s after its start",
        where="this machine",
        fix=f"read {ENGINE_LOG}, or: journalctl -u docker",
        output=_last_lines(ENGINE_LOG.read_bytes() if ENGINE_LOG.exists() else b""),
    )


def _last_lines(output: bytes) -> str:
    return "\n".join(output.decode(errors="replace").splitlines()[-15:])
