"""earlyoom behind our watchdog: it ends the largest process where memory runs out all the same, whoever took it."""

import shlex
from dataclasses import dataclass

from sparkctl.core.action import Action
from sparkctl.core.actions import Script, WriteFile
from sparkctl.core.step import Absent, Drifted, Finding, Layer, Ok, Pending, step_id
from sparkctl.facts.earlyoom import SETTINGS, EarlyoomFact, earlyoom_probe
from sparkctl.facts.probe import Facts, Probe, Want
from sparkctl.steps.packages import PackagesStep
from sparkctl.steps.place import OnNode
from sparkctl.topology import Cluster

PREFER, AVOID = "vllm|VLLM|ray|trtllm|sglang|ollama", "sshd|systemd|dockerd|containerd|watchdog"
"""Regular expressions on names of processes: the engine's go first, what one needs to come in again stays."""
PACKAGE = "earlyoom-package"


@dataclass(frozen=True)
class EarlyoomStep(OnNode):
    """earlyoom runs with our arguments; what stood in its file before is kept, and comes back on undo.

    `percent` of MemAvailable, at which it sends SIGTERM; SIGKILL at half of that (earlyoom(1)); 0 is not wished.
    Where `package` has installed it, it does not run on after an undo: by its own settings it acts at 10 %, and would
    end an engine that ours let live.
    """

    percent: int
    package: PackagesStep
    name: str = "earlyoom"
    layer: Layer = Layer.HOST

    @property
    def needs(self) -> tuple[str, ...]:
        return (step_id(PACKAGE, self.node),)

    @property
    def wants(self) -> tuple[Want, ...]:
        return (Want(self.node, self._probe), *self.package.wants)

    def check(self, facts: Facts) -> Finding:
        fact = self._fact(facts)
        if not self.percent:
            back = self.undo(facts)
            return Drifted(("it has our settings, and is not wanted",), back) if back else Ok("not used")
        if not fact.installed:
            return Pending(step_id(PACKAGE, self.node))
        if _manager(fact) not in ("", self.cluster.name):
            return Ok(f"as cluster {_manager(fact)} set it")
        differences = self._differences(fact)
        if not differences:
            return Ok(f"below {self.percent} %")
        write = () if fact.text == self.text else (WriteFile(SETTINGS, self.text, sudo=True),)
        keep = () if fact.kept else (_keep(self.kept),)
        actions = (*keep, *write, _start())
        return Drifted(differences, actions) if fact.kept else Absent(actions, "; ".join(differences))

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        fact = self._fact(facts)
        if not fact.kept or _manager(fact) not in ("", self.cluster.name):
            return ()
        return (_restore(self.kept, _AS_IT_RAN if not self.package.undo(facts) else _STOP),)

    @property
    def arguments(self) -> tuple[str, ...]:
        """A share of memory, whatever swap is free, to end as to kill: a Spark that swaps is as good as frozen."""
        return ("-m", str(self.percent), "-s", "100,100", "-r", "3600", "--prefer", PREFER, "--avoid", AVOID)

    @property
    def text(self) -> str:
        """The file of settings."""
        line = f'EARLYOOM_ARGS="{shlex.join(self.arguments)}"'
        return f"# managed by sparkctl: cluster {self.cluster.name}\n{line}\n"

    @property
    def kept(self) -> str:
        """The folder of what was there before us."""
        return f"/var/lib/sparkctl/{self.cluster.name}/earlyoom"

    def _differences(self, fact: EarlyoomFact) -> tuple[str, ...]:
        wrong = [(fact.text != self.text, f"{SETTINGS} is not as wished"), (not fact.enabled, "it is not enabled")]
        runs = fact.arguments == " ".join(self.arguments)
        wrong.append((not runs, "it runs with other arguments" if fact.arguments else "it does not run"))
        return tuple(text for holds, text in wrong if holds)

    def _fact(self, facts: Facts) -> EarlyoomFact:
        return facts.get(self.node, self._probe)

    @property
    def _probe(self) -> Probe[EarlyoomFact]:
        return earlyoom_probe(self.kept)


def steps(cluster: Cluster, percent: int, *, allowed: bool) -> tuple[PackagesStep | EarlyoomStep, ...]:
    """For every node the package, with a record of its own, and its settings; 0 percent: as it was."""
    commands = ("earlyoom",) if percent else ()
    packages = [PackagesStep(cluster, node, commands, allowed, name=PACKAGE) for node in cluster.nodes]
    return (*packages, *(EarlyoomStep(cluster, package.on, percent, package) for package in packages))


def _manager(fact: EarlyoomFact) -> str:
    """The cluster that wrote the file of settings; empty where it is none of ours."""
    mark = "# managed by sparkctl: cluster "
    return fact.text.partition("\n")[0].removeprefix(mark) if fact.text.startswith(mark) else ""


def _keep(folder: str) -> Script:
    """Put away file and state of the unit, whole or not at all."""
    return Script(
        f"keep {SETTINGS} as it is in {folder}",
        f"""\
set -e
new={shlex.quote(f"{folder}.new")}
rm -rf "$new"
install -d -m 755 "${{new%/*/*}}" "${{new%/*}}" "$new"
[ ! -e {SETTINGS} ] || cp -p {SETTINGS} "$new/settings"
systemctl is-enabled earlyoom.service >"$new/enabled" || true
systemctl is-active earlyoom.service >"$new/active" || true
mv -T "$new" {shlex.quote(folder)}
""",
        sudo=True,
    )


def _start() -> Script:
    return Script(
        "start earlyoom",
        "set -e\nsystemctl enable earlyoom.service\nsystemctl restart earlyoom.service\n",
        sudo=True,
    )


_STOP = "systemctl disable --now earlyoom.service"
_AS_IT_RAN = """\
grep -qx enabled "$kept/enabled" || systemctl disable earlyoom.service
  if grep -qx active "$kept/active"; then systemctl restart earlyoom.service
  else systemctl stop earlyoom.service; fi"""


def _restore(folder: str, unit: str) -> Script:
    """What was kept comes back: the file, and by `unit` whether the service is enabled and runs."""
    return Script(
        f"put {SETTINGS} back as it was",
        f"""\
set -e
kept={shlex.quote(folder)}
if [ -e "$kept/settings" ]; then cp -p "$kept/settings" {SETTINGS}; else rm -f {SETTINGS}; fi
if systemctl cat earlyoom.service >/dev/null 2>&1; then
  {unit}
fi
rm -rf "$kept"
rmdir --ignore-fail-on-non-empty "${{kept%/*}}" /var/lib/sparkctl
""",
        sudo=True,
    )
