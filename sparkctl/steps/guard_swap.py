"""Swap: off for good on a Spark, which it does not save from running out of memory, but keeps from saying so."""

import shlex
from dataclasses import dataclass

from sparkctl.amounts import size
from sparkctl.core.action import Action
from sparkctl.core.actions import Script
from sparkctl.core.step import Blocked, Drifted, Finding, Layer, Ok, step_id
from sparkctl.facts.probe import Facts, Probe, Want
from sparkctl.facts.swap import SwapFact, swap_probe
from sparkctl.steps.guard import open_folder
from sparkctl.steps.place import OnNode
from sparkctl.topology import Cluster

GIB = 2**30
ASLEEP = ("masked", "masked-runtime")


@dataclass(frozen=True)
class SwapStep(OnNode):
    """No swap is on and none comes back at boot, or, where it is not to be `off`, what we turned off is on again.

    Units are masked, those that systemd makes of /etc/fstab included: no line of anybody's is changed. A swap that
    somebody has removed since stays away. `reserve_gib` of memory must be left when what is swapped out has come back.
    """

    off: bool
    reserve_gib: float
    name: str = "swap"
    layer: Layer = Layer.HOST

    @property
    def needs(self) -> tuple[str, ...]:
        return (step_id("host", self.node),)

    @property
    def wants(self) -> tuple[Want, ...]:
        return (Want(self.node, self._probe),)

    def check(self, facts: Facts) -> Finding:
        fact = self._fact(facts)
        if not self.off:
            back = self.undo(facts)
            return Drifted(("sparkctl turned it off, and the profile keeps it",), back) if back else Ok("as it is")
        awake = tuple(unit for unit, state in fact.units.items() if state not in ASLEEP and unit not in fact.own)
        used = sum(fact.active.values())
        if fact.available is not None and used and fact.available - used < self.reserve_gib * GIB:
            room = f"{size(fact.available)} of memory are available, {self.reserve_gib:g} GiB must stay so"
            fix = "stop what holds memory (ps aux --sort=-rss | head), then try again"
            return Blocked(f"{size(used)} are swapped out on {self.node}: {room}", fix)
        if own := [unit for unit in sorted(fact.own) if fact.units.get(unit) == "enabled"]:
            names, verb = shlex.join(own), "is a unit" if len(own) == 1 else "are units"
            fix = f"on {self.node}: sudo systemctl disable --now {names}; or leave swap on: guard.swap: keep"
            return Blocked(f"{names} {verb} of {self.node} itself, in /etc/systemd/system, and cannot be masked", fix)
        differences = [f"{path} is on, {size(count)} of it used" for path, count in fact.active.items()]
        differences += [f"{unit} comes back at boot" for unit in awake]
        return Drifted(tuple(differences), (self._turn_off(awake, tuple(fact.active)),)) if differences else Ok("off")

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        fact = self._fact(facts)
        if not (fact.kept_units or fact.kept_paths):
            return ()
        lines, paths = ["set -e"], fact.kept_paths
        if fact.kept_units:
            lines.append(f"systemctl unmask {shlex.join(fact.kept_units)}")
        lines.append("systemctl daemon-reload")
        lines += [f"[ ! -e {shlex.quote(path)} ] || {_is_on(path)} || swapon {shlex.quote(path)}" for path in paths]
        folder = self.record.rpartition("/")[0]
        lines.append(f"rm -f {shlex.quote(self.record)}")
        lines.append(f"rmdir --ignore-fail-on-non-empty {shlex.join((folder, folder.rpartition('/')[0]))}")
        return (Script("turn swap on again, as it was", "\n".join(lines), sudo=True),)

    @property
    def record(self) -> str:
        """The file that remembers what was masked and turned off."""
        return f"/var/lib/sparkctl/{self.cluster.name}/swap"

    def _turn_off(self, units: tuple[str, ...], paths: tuple[str, ...]) -> Script:
        """First the record, then the mask: a swap that is off and whose unit is awake would come back."""
        known = "\n".join([*(f"unit={unit}" for unit in units), *(f"path={path}" for path in paths)])
        folder, record = self.record.rpartition("/")[0], shlex.quote(self.record)
        lines = ["set -e", open_folder(folder), f"printf '%s\\n' {shlex.quote(known)} >>{record}"]
        lines += [f"systemctl mask {shlex.join(units)}"] * bool(units)
        lines += [f"! {_is_on(path)} || swapoff {shlex.quote(path)}" for path in paths]
        return Script("turn swap off, and keep it off at boot", "\n".join(lines), sudo=True, timeout=600)

    def _fact(self, facts: Facts) -> SwapFact:
        return facts.get(self.node, self._probe)

    @property
    def _probe(self) -> Probe[SwapFact]:
        return swap_probe(self.record)


def _is_on(path: str) -> str:
    """A condition of bash."""
    return f"swapon --show=NAME --noheadings --raw | grep -qxF -e {shlex.quote(path)}"


def steps(cluster: Cluster, off: bool, reserve_gib: float) -> tuple[SwapStep, ...]:
    """One for every node."""
    return tuple(SwapStep(cluster, node, off, reserve_gib) for node in cluster.nodes)
