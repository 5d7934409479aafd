"""Installing and removing against an apt-get that does as the real one says: what is on record, what is refused."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from sparkctl.core.actions import InstallPackages, RemovePackages
from sparkctl.facts.probe import Answer, Facts
from sparkctl.steps.packages import PackagesStep
from sparkctl.topology import Cluster, Node, Role

APT = r"""#!/bin/bash
# A stand-in that keeps the installed packages, the known ones and what each needs as files.
words=(); simulate=
while [ $# -gt 0 ]; do case $1 in -s) simulate=yes ;; -o) shift ;; -*) ;; *) words+=("$1") ;; esac; shift; done
verb=${words[0]}; names=("${words[@]:1}")
echo "$verb${simulate:+ -s} ${names[*]}" >>calls
case $verb in
  update) cp mirror known ;;
  install)
    for name in "${names[@]}"; do
      grep -qx "$name" known || { echo "E: Unable to locate package $name" >&2; exit 100; }
      for one in "$name" $(cat "needs-$name" 2>/dev/null); do
        [ -e "installed/$one" ] && continue
        echo "Inst $one (1.0-1 Debian:12.5/stable [amd64])"
        [ -n "$simulate" ] || { [ -e "fetch-fails" ] && { rm fetch-fails; exit 100; }; touch "installed/$one"; }
      done
    done
    echo "Inst libc6 [2.36-9] (2.36-9+deb12u1 Debian:12.5/stable [amd64])" ;;
  purge)
    for name in "${names[@]}"; do
      for file in needs-*; do
        user=${file#needs-}
        if [ -e "installed/$user" ] && grep -qwF "$name" "$file"; then names+=("$user"); fi
      done
    done
    for name in $(printf '%s\n' "${names[@]}" | sort -u); do
      echo "Purg $name [1.0-1]"
      [ -n "$simulate" ] || rm -f "installed/$name"
    done ;;
esac
"""


@dataclass
class Machine:
    """A folder that stands for a machine with apt."""

    folder: Path

    def run(self, text: str) -> subprocess.CompletedProcess[str]:
        """Run an action's script as root would."""
        env = os.environ | {"PATH": f"{self.folder}/bin:{os.environ['PATH']}"}
        return subprocess.run(
            ["bash", "-c", text], cwd=self.folder, env=env, capture_output=True, text=True, timeout=30
        )

    def install(self, *names: str) -> subprocess.CompletedProcess[str]:
        return self.run(InstallPackages(names, str(self.record)).text)

    def remove(self) -> subprocess.CompletedProcess[str]:
        return self.run(RemovePackages(tuple(self.record.read_text().split()), str(self.record)).detail)

    @property
    def record(self) -> Path:
        return self.folder / "record"

    @property
    def installed(self) -> set[str]:
        return {path.name for path in (self.folder / "installed").iterdir()}

    @property
    def calls(self) -> list[str]:
        return (self.folder / "calls").read_text().splitlines()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    (tmp_path / "bin").mkdir()
    (tmp_path / "installed").mkdir()
    (tmp_path / "bin" / "apt-get").write_text(APT)
    (tmp_path / "bin" / "apt-get").chmod(0o755)
    (tmp_path / "bin" / "dpkg-query").symlink_to("/bin/true")
    (tmp_path / "installed" / "bash").touch()
    (tmp_path / "mirror").write_text("rsync\nnfs-common\nnfs-kernel-server\n")
    (tmp_path / "known").write_text("rsync\n")
    (tmp_path / "needs-rsync").write_text("libpopt0\n")
    (tmp_path / "needs-nfs-common").write_text("rpcbind keyutils\n")
    return Machine(tmp_path)


def test_what_came_with_it_is_on_record_and_goes_again(machine: Machine) -> None:
    assert machine.install("rsync").returncode == 0
    assert machine.installed == {"bash", "rsync", "libpopt0"}
    assert machine.record.read_text().split() == ["rsync", "libpopt0"], "an upgrade is not ours to remove"
    assert not any(call.startswith("update") for call in machine.calls)
    assert machine.remove().returncode == 0
    assert machine.installed == {"bash"}
    assert not machine.record.exists()


def test_the_last_record_takes_our_folder_with_it(machine: Machine) -> None:
    cluster = Cluster("lab", Node("spark-1", Role.HEAD, "10.0.0.1", "nvidia"))
    folder = machine.folder / ".sparkctl" / "lab"
    folder.mkdir(parents=True)
    (folder / "other").touch()
    for left in (True, False):
        (folder / "packages").touch()
        (action,) = PackagesStep(cluster, cluster.head, (), True).undo(
            Facts({"spark-1": {"packages": Answer("recorded=rsync\n")}})
        )
        assert machine.run(action.detail.replace("/home/nvidia", str(machine.folder))).returncode == 0
        assert folder.parent.exists() is left
        (folder / "other").unlink(missing_ok=True)


def test_lists_are_refreshed_when_they_do_not_know_a_package(machine: Machine) -> None:
    assert machine.install("nfs-common").returncode == 0
    assert machine.installed == {"bash", "nfs-common", "rpcbind", "keyutils"}
    assert [call.split()[0] for call in machine.calls] == ["check", "install", "update", "install", "install"]


def test_a_stale_mirror_is_tried_again_after_a_refresh(machine: Machine) -> None:
    (machine.folder / "fetch-fails").touch()
    assert machine.install("rsync").returncode == 0
    assert "rsync" in machine.installed
    assert "update " in machine.calls


def test_a_package_that_nobody_knows_fails_and_records_nothing(machine: Machine) -> None:
    found = machine.install("no-such-thing")
    assert found.returncode != 0
    assert "Unable to locate package no-such-thing" in found.stderr
    assert not machine.record.exists()


def test_nothing_goes_that_somebody_came_to_need(machine: Machine) -> None:
    machine.install("rsync")
    (machine.folder / "installed" / "backup-tool").touch()
    (machine.folder / "needs-backup-tool").write_text("rsync\n")
    found = machine.remove()
    assert found.returncode == 0
    assert "kept, as other packages need them: backup-tool" in found.stdout
    assert machine.installed == {"bash", "rsync", "libpopt0", "backup-tool"}
