"""What keeps and restores swap and earlyoom, run as root would, with stand-ins for systemctl, swapon and swapoff."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from sparkctl.core.action import Action
from sparkctl.core.actions import Script
from sparkctl.core.step import Drifted, Ok
from sparkctl.facts.earlyoom import SETTINGS
from sparkctl.facts.probe import Answer, Facts, frame, unframe
from sparkctl.steps.guard_earlyoom import EarlyoomStep, steps
from sparkctl.steps.guard_swap import SwapStep
from sparkctl.topology import Cluster, Node, Role

CLUSTER = Cluster("lab", Node("spark-1", Role.HEAD, "10.0.0.1", "nvidia"))
PROGRAMS = {
    # state of units as files; a swap that is on is a line of `swaps`
    "systemctl": r"""
echo "systemctl $*" >>"$WORLD/calls"
unit=${*: -1}
case $1 in
  list-unit-files) cat "$WORLD/units" ;;
  mask) shift; for one; do sed -i "s|^$one .*|$one masked|" "$WORLD/units"; done ;;
  unmask) shift; for one; do sed -i "s|^$one .*|$one generated|" "$WORLD/units"; done ;;
  is-enabled) cat "$WORLD/enabled" ;;
  is-active) cat "$WORLD/active" ;;
  enable) echo enabled >"$WORLD/enabled" ;;
  disable) echo disabled >"$WORLD/enabled"; [ "$2" != --now ] || echo inactive >"$WORLD/active" ;;
  restart) echo active >"$WORLD/active" ;;
  stop) echo inactive >"$WORLD/active" ;;
esac""",
    "swapoff": r"""
for one; do grep -q "^$one " "$WORLD/swaps" || exit 1; sed -i "\|^$one |d" "$WORLD/swaps"; done""",
    "swapon": r"""
if [ "$1" = --show=NAME ]; then sed 1d "$WORLD/swaps" | cut -d" " -f1
else echo "$1 file 1024 0 -2" >>"$WORLD/swaps"; fi""",
}


@dataclass
class World:
    """A folder that stands for /var/lib/sparkctl, /etc/default and the kernel's table of swaps."""

    folder: Path

    def run(self, *actions: Action) -> None:
        for action in actions:
            assert isinstance(action, Script) and action.sudo
            ended = self._bash(action.text)
            assert (ended.returncode, ended.stderr) == (0, ""), action.text

    def ask(self, step: SwapStep) -> Facts:
        told = self._bash(frame((want.probe for want in step.wants), "@mark")).stdout
        return Facts({"spark-1": unframe(told, "@mark")})

    def _bash(self, text: str) -> subprocess.CompletedProcess[str]:
        for place in ("/var/lib/sparkctl", SETTINGS, "/proc/swaps"):
            text = text.replace(place, f"{self.folder}/{place.rpartition('/')[2]}")
        env = os.environ | {"PATH": f"{self.folder}/bin:{os.environ['PATH']}", "WORLD": str(self.folder)}
        return subprocess.run(["bash", "-c", text], env=env, capture_output=True, text=True, timeout=30)

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def read(self, name: str) -> str:
        return (self.folder / name).read_text()


@pytest.fixture
def world(tmp_path: Path) -> World:
    (tmp_path / "bin").mkdir()
    for name, text in PROGRAMS.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    return World(tmp_path)


def test_swap_goes_off_and_comes_back_as_it_was(world: World) -> None:
    file, removed = world.folder / "swap.img", world.folder / "removed.img"
    file.touch()
    swaps = f"Filename Type Size Used Priority\n{file} file 1024 0 -2\n"
    world.write("swaps", f"{swaps}{removed} file 1024 0 -2\n")
    world.write("units", "swap.img.swap generated\ntheirs.swap masked\n")
    step = SwapStep(CLUSTER, CLUSTER.head, off=True, reserve_gib=0)
    finding = step.check(world.ask(step))
    assert isinstance(finding, Drifted)
    for _ in range(2):
        world.run(*finding.actions)
    assert world.read("swaps") == "Filename Type Size Used Priority\n"
    assert world.read("units") == "swap.img.swap masked\ntheirs.swap masked\n"
    assert step.check(world.ask(step)) == Ok("off")
    world.run(*step.undo(world.ask(step)))
    assert world.read("swaps") == swaps
    assert world.read("units") == "swap.img.swap generated\ntheirs.swap masked\n", "theirs stays masked"
    assert not (world.folder / "sparkctl").exists()
    assert not step.undo(world.ask(step))


def _earlyoom() -> EarlyoomStep:
    (step,) = (s for s in steps(CLUSTER, 2, allowed=True) if isinstance(s, EarlyoomStep))
    return step


def test_an_earlyoom_that_we_installed_does_not_run_on(world: World) -> None:
    """Its own settings would end an engine that ours let live."""
    step = _earlyoom()
    (keep, *_) = step.check(Facts({"spark-1": {"earlyoom": Answer("LoadState=loaded")}})).actions
    for name, state in (("enabled", "enabled\n"), ("active", "active\n"), ("earlyoom", step.text)):
        world.write(name, state)
    world.run(keep)
    ours = {"earlyoom": Answer("kept=yes\ntext=" + step.text.replace("\n", "\x01"))}
    ours["earlyoom-package"] = Answer("recorded=earlyoom\n")
    world.run(*step.undo(Facts({"spark-1": ours})))
    assert (world.read("enabled"), world.read("active")) == ("disabled\n", "inactive\n")
    assert not (world.folder / "sparkctl").exists()


@pytest.mark.parametrize("settings", ['EARLYOOM_ARGS="-r 3600"  # mine\n', None])
@pytest.mark.parametrize(("enabled", "active"), [("enabled", "active"), ("disabled", "inactive")])
def test_earlyooms_settings_come_back_as_they_were(
    world: World, settings: str | None, enabled: str, active: str
) -> None:
    if settings is not None:
        world.write("earlyoom", settings)
        (world.folder / "earlyoom").chmod(0o640)
    world.write("enabled", f"{enabled}\n")
    world.write("active", f"{active}\n")
    step = _earlyoom()
    text = f"LoadState=loaded\ntext={settings or ''}"
    keep, _, start = step.check(Facts({"spark-1": {"earlyoom": Answer(text)}})).actions
    world.run(keep)
    world.write("earlyoom", step.text)
    world.run(start)
    assert (world.read("enabled"), world.read("active")) == ("enabled\n", "active\n")
    ours = "LoadState=loaded\nkept=yes\ntext=" + step.text.replace("\n", "\x01")
    world.run(*step.undo(Facts({"spark-1": {"earlyoom": Answer(ours)}})))
    assert (world.read("enabled"), world.read("active")) == (f"{enabled}\n", f"{active}\n")
    file = world.folder / "earlyoom"
    assert (file.read_text() if file.exists() else None) == settings
    assert settings is None or file.stat().st_mode & 0o777 == 0o640
    assert not (world.folder / "sparkctl").exists()
