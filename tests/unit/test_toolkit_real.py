"""What writes Docker's runtime for GPUs into its configuration and takes it back, run as root would."""

import os
import subprocess
from pathlib import Path

import pytest

from sparkctl.core.action import Action
from sparkctl.core.actions import Script
from sparkctl.core.step import Drifted
from sparkctl.facts.probe import Answer, Facts
from sparkctl.steps.toolkit import FILE, FORMER, OURS, ToolkitStep
from sparkctl.topology import Cluster, Node, Role

CLUSTER = Cluster("lab.setup", Node("spark-1", Role.HEAD, "10.0.0.1", "nvidia"))
STEP = ToolkitStep(CLUSTER, CLUSTER.head)
INFO = 'info={"ServerVersion": "28.3.3", "DockerRootDir": "/d", "Runtimes": {"runc": {}}}'
PROGRAMS = {
    "nvidia-ctk": 'echo \'{"runtimes": {"nvidia": {}}}\' >"$WORLD/daemon.json"; [ ! -e "$WORLD/fail-nvidia-ctk" ]',
    "systemctl": 'echo "$*" >>"$WORLD/calls"; [ "$1" != restart ] || ! grep -qs broken "$WORLD/fail-restart"',
}


class World:
    """A folder that stands for /etc/docker and for our state folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder, folder / "daemon.json"
        (folder / "bin").mkdir()
        (folder / "state").mkdir()
        for name, text in PROGRAMS.items():
            (folder / "bin" / name).write_text(f"#!/bin/bash\n{text}\n")
            (folder / "bin" / name).chmod(0o755)

    def run(self, *actions: Action) -> int:
        (action,) = actions
        assert isinstance(action, Script)
        text = action.text.replace(FILE, str(self.file)).replace(
            CLUSTER.state_dir(CLUSTER.head), f"{self.folder}/state"
        )
        env = os.environ | {"PATH": f"{self.folder}/bin:{os.environ['PATH']}", "WORLD": str(self.folder)}
        return subprocess.run(["bash", "-c", text], env=env, capture_output=True, timeout=30).returncode

    def configure(self) -> int:
        found = {"dockerd": Answer(f"client=yes\nengine=yes\ntoolkit=yes\n{INFO}\n"), "containers": Answer("")}
        finding = STEP.check(Facts({"spark-1": found}))
        assert isinstance(finding, Drifted)
        return self.run(*finding.actions)

    def undo(self) -> int:
        return self.run(*STEP.undo(Facts({"spark-1": {"state": Answer(self.entries)}})))

    @property
    def entries(self) -> str:
        return "mode=700\nowned=yes\n" + "".join(f"entry={name}\n" for name in self.records)

    @property
    def records(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "state").iterdir())

    @property
    def content(self) -> str | None:
        return self.file.read_text() if self.file.exists() else None


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.mark.parametrize("former", ['{"mtu": 1400}\n', None])
def test_the_file_comes_back_as_it_was(world: World, former: str | None) -> None:
    if former:
        world.file.write_text(former)
        world.file.chmod(0o640)
    assert world.configure() == 0
    assert "nvidia" in (world.content or "") and world.records == [FORMER, OURS]
    assert world.undo() == 0
    assert (world.content, world.records) == (former, [])
    assert not former or world.file.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("fault", ["fail-nvidia-ctk", "fail-restart"])
def test_what_fails_leaves_the_file_as_it_was(world: World, fault: str) -> None:
    world.file.write_text("{}\n")
    (world.folder / fault).write_text("broken")
    assert world.configure() != 0
    assert (world.content, world.records) == ("{}\n", [])


def test_what_was_cut_short_is_taken_back(world: World) -> None:
    """The connection broke after nvidia-ctk had written, and before its work was on record."""
    world.file.write_text("{}\n")
    world.configure()
    (world.folder / "state" / OURS).unlink()
    assert world.undo() == 0
    assert (world.content, world.records) == ("{}\n", [])


def test_what_somebody_has_changed_since_stays(world: World) -> None:
    world.configure()
    world.file.write_text('{"theirs": true}\n')
    assert world.undo() == 0
    assert (world.content, world.records) == ('{"theirs": true}\n', [])
