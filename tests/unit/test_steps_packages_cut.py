"""The real apt and dpkg in a private root: a run that is cut in the middle leaves nothing at work, and is mended."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from apt_root import AptRoot
from sshd import eventually, gone

from sparkctl.core.actions import InstallPackages, RemovePackages
from sparkctl.facts.packages import PackagesFact, packages_probe
from sparkctl.facts.probe import Facts, frame, unframe
from sparkctl.transport.wrapper import wrap_script

pytestmark = pytest.mark.skipif(not shutil.which("apt-get"), reason="this machine has no apt")
SLEEPS = 'touch "$DPKG_ROOT/begun"; [ -e "$DPKG_ROOT/quick" ] || sleep {seconds}'


@pytest.fixture
def root(tmp_path: Path) -> AptRoot:
    return AptRoot(tmp_path / "root")


def installing(root: AptRoot) -> InstallPackages:
    return InstallPackages(("sleepy",), str(root.folder / "record"))


def run(root: AptRoot, text: str) -> subprocess.CompletedProcess[str]:
    """An action's script, to its end."""
    return subprocess.run(["bash", "-c", text], env=root.env, capture_output=True, text=True, timeout=60)


def cut(root: AptRoot, text: str, seen: Callable[[], bool]) -> None:
    """An action's script as a session runs it, whose connection ends as soon as something is seen."""
    job = wrap_script(text)
    process = subprocess.Popen(
        ["bash", "-c", job.command], env=root.env, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    assert process.stdin
    process.stdin.write(job.payload)
    process.stdin.flush()
    assert eventually(seen)
    process.stdin.close()
    process.wait(60)


def look(root: AptRoot) -> PackagesFact:
    """What the next plan would see."""
    probe = packages_probe(["bash"], str(root.folder / "record"))
    told = subprocess.run(["bash"], input=frame([probe], "@m"), env=root.env, capture_output=True, text=True)
    return Facts({"a": unframe(told.stdout, "@m")}).get("a", probe)


@pytest.mark.parametrize("script", ["preinst", "postinst"])
def test_a_cut_installation_is_ended_seen_and_finished(root: AptRoot, script: str) -> None:
    seconds = f"{300 + os.getpid() % 100}.{time.time_ns() % 10**8}"
    root.publish("sleepy", **{script: SLEEPS.format(seconds=seconds)})
    cut(root, installing(root).text, (root.folder / "begun").exists)
    assert gone(seconds), "a maintainer script outlived the connection"
    assert gone(f"{root.folder}/var/lib/dpkg/info") and root.state("sleepy") != "installed"
    found = look(root)
    assert (found.recorded, found.half) == (("sleepy",), ("sleepy",))
    (root.folder / "quick").touch()
    again = run(root, installing(root).text)
    assert again.returncode == 0, again.stdout + again.stderr
    assert root.state("sleepy") == "installed" and look(root).half == ()


def test_a_cut_removal_is_finished(root: AptRoot) -> None:
    seconds = f"{400 + os.getpid() % 100}.{time.time_ns() % 10**8}"
    root.publish("sleepy", prerm=SLEEPS.format(seconds=seconds))
    assert run(root, installing(root).text).returncode == 0
    removing = RemovePackages(("sleepy",), str(root.folder / "record"))
    cut(root, removing.detail, (root.folder / "begun").exists)
    assert gone(seconds) and look(root).recorded == ("sleepy",)
    (root.folder / "quick").touch()
    again = run(root, removing.detail)
    assert again.returncode == 0, again.stdout + again.stderr
    assert root.state("sleepy") in ("", "not-installed") and not (root.folder / "record").exists()


def test_another_holder_of_the_lock_is_waited_for(root: AptRoot) -> None:
    """Also by what mends an interrupted dpkg, which by itself waits for nobody."""
    seconds = f"{500 + os.getpid() % 100}.{time.time_ns() % 10**8}"
    root.publish("sleepy", postinst=SLEEPS.format(seconds=seconds))
    cut(root, installing(root).text, (root.folder / "begun").exists)
    (root.folder / "quick").touch()
    lock = root.folder / "var/lib/dpkg/lock-frontend"
    hold = (
        "import fcntl, sys, time; f = open(sys.argv[1], 'w'); fcntl.lockf(f, fcntl.LOCK_EX); print(flush=True); "
        "time.sleep(3)"
    )
    with subprocess.Popen(["python3", "-c", hold, lock], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout and other.stdout.readline()
        again = run(root, installing(root).text)
        assert other.poll() is not None or not other.wait(60)
    assert again.returncode == 0, again.stdout + again.stderr
    assert root.state("sleepy") == "installed"
