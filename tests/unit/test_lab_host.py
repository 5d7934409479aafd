"""The machine under the lab: programs of its own, a Docker engine or none."""

import io
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sparkctl.errors import SparkctlError
from sparkctl.lab import host
from sparkctl.lab.progress import Event

Result = subprocess.CompletedProcess[bytes]


@pytest.fixture
def bin_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only programs that there are."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(host, "SYSTEM_PATH", ())
    return tmp_path


def program(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def quiet(event: Event) -> None:
    pass


def test_command_that_is_there_is_not_installed(bin_folder: Path) -> None:
    program(bin_folder, "mmdebstrap", "")
    assert host.ensure_command("mmdebstrap", ("mmdebstrap",), quiet) == str(bin_folder / "mmdebstrap")


def test_missing_command_comes_from_the_distribution(bin_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    log, made = bin_folder / "log", bin_folder / "mmdebstrap"
    program(
        bin_folder, "apt-get", f'echo "$DEBIAN_FRONTEND $@" >> {log}; echo "#!/bin/sh" > {made}; /bin/chmod 755 {made}'
    )
    events: list[str] = []
    host.ensure_command("mmdebstrap", ("mmdebstrap", "gpg"), lambda event: events.append(str(event)))
    update, install = log.read_text().splitlines()
    assert update == "noninteractive update -qq"
    assert (
        install
        == "noninteractive install -qq -oDPkg::Lock::Timeout=600 --no-install-recommends --no-remove mmdebstrap gpg"
    )
    assert events[0] == "install mmdebstrap gpg ..." and "done in" in events[1]


def test_two_images_at_once_install_a_program_once(bin_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    log, made = bin_folder / "log", bin_folder / "mmdebstrap"
    steps = f'echo "$1" >> {log}; /bin/sleep 0.2; echo "#!/bin/sh" > {made}; /bin/chmod 755 {made}'
    program(bin_folder, "apt-get", f'[ "$1" = update ] || {{ {steps}; }}')
    with ThreadPoolExecutor() as pool:
        found = [pool.submit(host.ensure_command, "mmdebstrap", ("mmdebstrap",), quiet) for _ in range(2)]
    assert [future.result() for future in found] == [str(made)] * 2
    assert log.read_text() == "install\n"


BROKEN_SOURCE = 'case "$1" in update) echo "E: no Release file" >&2; exit 100 ;; *) %s ;; esac'
"""What apt-get does while a package source of somebody else cannot be read."""


def test_source_that_cannot_be_read_does_not_matter(bin_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    made = bin_folder / "mmdebstrap"
    program(bin_folder, "apt-get", BROKEN_SOURCE % f'echo "#!/bin/sh" > {made}; /bin/chmod 755 {made}')
    assert host.ensure_command("mmdebstrap", ("mmdebstrap",), quiet) == str(made)


def test_failing_install_shows_what_the_update_said(bin_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    program(bin_folder, "apt-get", BROKEN_SOURCE % 'echo "E: Unable to locate package" >&2; exit 100')
    with pytest.raises(SparkctlError, match="apt-get ended with status 100") as caught:
        host.ensure_command("mmdebstrap", ("mmdebstrap",), quiet)
    assert caught.value.output == "E: no Release file\nE: Unable to locate package"


def test_no_package_manager_names_what_is_missing(bin_folder: Path) -> None:
    with pytest.raises(SparkctlError, match="missing: mmdebstrap gpg") as caught:
        host.ensure_command("mmdebstrap", ("mmdebstrap", "gpg"), quiet)
    assert "package manager" in caught.value.fix


def test_failing_program_shows_its_last_lines(bin_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    program(bin_folder, "broken", "echo no space left >&2; exit 3")
    with pytest.raises(SparkctlError, match="broken ended with status 3") as caught:
        host.run_as_root(["broken"])
    assert caught.value.output == "no space left"


def test_program_of_the_system_finds_its_like(
    tmp_path: Path, bin_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a plain `su`, PATH lacks /sbin, and dpkg ends with: not found in PATH or not executable."""
    sbin = tmp_path / "sbin"
    sbin.mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(host, "SYSTEM_PATH", (str(sbin),))
    program(bin_folder, "installer", "exec start-stop-daemon")
    program(sbin, "start-stop-daemon", "echo started")
    with (bin_folder / "out").open("wb") as out:
        host.run_as_root(["installer"], stdout=out)
    assert (bin_folder / "out").read_text() == "started\n"


def test_user_becomes_root_through_sudo_or_is_told(bin_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(SparkctlError, match="must run as root"):
        host.run_as_root(["thing"])
    program(bin_folder, "sudo", 'shift 2; exec "$@"')
    program(bin_folder, "thing", "echo done")
    out = bin_folder / "out"
    with out.open("wb") as file:
        assert isinstance(file, io.BufferedWriter)
        host.run_as_root(["thing"], stdout=file)
    assert out.read_text() == "done\n"


@pytest.fixture
def plain_user() -> Iterator[Callable[..., Result]]:
    """Runs tests/engine.sh as a user who may not use the Docker engine, and has no sudo."""
    if os.geteuid() != 0:
        pytest.skip("only root becomes another user")
    script = (Path(__file__).parents[1] / "engine.sh").read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        for name in ("id", "uname", "grep", "echo"):
            (Path(folder) / name).symlink_to(str(shutil.which(name)))

        def run(*words: str) -> Result:
            argv = ["/bin/bash", "-s", "--", *words]
            nobody = {"user": 65534, "group": 65534, "extra_groups": [], "env": {"PATH": folder}, "cwd": "/"}
            return subprocess.run(argv, input=script, capture_output=True, **nobody)  # type: ignore[call-overload, no-any-return]

        yield run


def test_user_without_sudo_is_told_what_to_do(plain_user: Callable[..., Result]) -> None:
    done = plain_user("echo", "used")
    assert done.returncode == 1 and not done.stdout
    assert b"there is no sudo" in done.stderr and b"usermod --append --groups docker nobody" in done.stderr
    assert b"command not found" not in done.stderr


def test_taking_away_gives_nobody_the_right_to_the_engine(plain_user: Callable[..., Result]) -> None:
    done = plain_user("--as-is", "echo", "used")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"used\n", b"")


def test_no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    assert host.connect() is None


def test_engine_that_does_not_come_up_shows_why(
    bin_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(host, "ENGINE_LOG", tmp_path / "dockerd.log")
    monkeypatch.setattr(host, "START_LIMIT", 0.5)
    program(bin_folder, "dockerd", "echo failed to start daemon: no iptables")
    program(bin_folder, "setsid", 'exec /usr/bin/setsid "$@"')
    program(bin_folder, "sh", 'exec /usr/bin/sh -c "${2%&}"')  # in the foreground: it has spoken before it is asked
    monkeypatch.setattr(host, "has_service_manager", lambda: False)
    with pytest.raises(SparkctlError, match="does not answer") as caught:
        host.engine(quiet)
    assert caught.value.output == "failed to start daemon: no iptables"
