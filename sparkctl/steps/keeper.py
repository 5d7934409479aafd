"""The keeper on the head: its program and its systemd unit, which bring the stack back after a power cycle."""

import shlex
from collections.abc import Iterable
from dataclasses import dataclass

from sparkctl.core.action import Action, Context
from sparkctl.core.actions import Script, WriteFile
from sparkctl.core.step import Absent, Drifted, Finding, Layer, Ok, step_id
from sparkctl.data import node_program
from sparkctl.facts.kept import MODULES, digest_of, keeper_dir, keeper_probe, kept_probe, service_name
from sparkctl.facts.probe import Facts, Want
from sparkctl.steps.place import OnHead
from sparkctl.topology import Cluster

MARK = "# managed by sparkctl\n"


def keeper_command(cluster: Cluster, *words: str) -> str:
    """A line of bash, for root, that has the keeper do one thing now."""
    return f"PYTHONPATH={shlex.quote(keeper_dir(cluster))} python3 -B -m keeper {shlex.join(words)}"


@dataclass(frozen=True)
class Install:
    """Put the program and its unit in place, and start it, now and at every boot."""

    files: tuple[WriteFile, ...]
    service: str

    @property
    def summary(self) -> str:
        """One line of the plan."""
        return f"install {self.service}, which brings the stack back after a power cycle"

    @property
    def detail(self) -> str:
        """Every file, and what starts it."""
        return "\n".join((*(file.summary for file in self.files), self._start))

    @property
    def _start(self) -> str:
        return f"systemctl daemon-reload && systemctl enable {self.service} && systemctl restart {self.service}"

    def perform(self, context: Context) -> None:
        """Raises CommandFailed, ConnectionLost."""
        for file in self.files:
            file.perform(context)
        context.session.script(self._start, sudo=True)


@dataclass(frozen=True)
class KeeperStep(OnHead):
    """Installed, started at every boot, running now. `units` are the stacks that this deployment knows."""

    units: tuple[str, ...]
    name: str = "keeper"
    layer: Layer = Layer.HOST

    @property
    def needs(self) -> tuple[str, ...]:
        trusted = (step_id("ssh-trust", worker.name) for worker in self.cluster.workers)
        return (*(step_id(name, self.node) for name in ("state", "packages", "docker")), *trusted)

    @property
    def wants(self) -> tuple[Want, ...]:
        return (Want(self.node, keeper_probe(self.cluster)), Want(self.node, kept_probe(self.cluster)))

    def check(self, facts: Facts) -> Finding:
        fact = facts.get(self.node, keeper_probe(self.cluster))
        unit = service_name(self.cluster)
        install = (Install(self._files, unit),)
        if not fact.present:
            return Absent(install)
        wrong = list[str]()
        if fact.program != digest_of("".join(self._program.values())):
            wrong.append("its program is not that of this sparkctl")
        if fact.unit != digest_of(self._unit):
            wrong.append(f"{unit} differs")
        if not fact.enabled:
            wrong.append(f"{unit} does not start at boot")
        if not fact.active:
            wrong.append(f"{unit} does not run")
        if wrong:
            return Drifted(tuple(wrong), install)
        if strange := self._strange(facts):
            forget = (Script("forget stacks of another deployment", self._forget(strange), sudo=True),)
            return Drifted((f"it keeps {', '.join(strange)}, of another deployment",), forget)
        return Ok()

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        if not facts.get(self.node, keeper_probe(self.cluster)).present:
            return ()
        unit, folder = service_name(self.cluster), shlex.quote(keeper_dir(self.cluster))
        text = f"""\
systemctl disable --now {unit} 2>/dev/null
rm -rf /etc/systemd/system/{unit} {folder}
rmdir {shlex.quote(keeper_dir(self.cluster).rpartition("/")[0])} 2>/dev/null
systemctl daemon-reload
"""
        return (Script(f"stop and remove {unit} and {keeper_dir(self.cluster)}", text, sudo=True),)

    def _strange(self, facts: Facts) -> tuple[str, ...]:
        return tuple(name for name in facts.get(self.node, kept_probe(self.cluster)).units if name not in self.units)

    def _forget(self, units: Iterable[str]) -> str:
        return "set -e\n" + "".join(f"{keeper_command(self.cluster, 'forget', unit)}\n" for unit in units)

    @property
    def _program(self) -> dict[str, str]:
        return {f"keeper/{name}.py": MARK + node_program(f"keeper/{name}") for name in MODULES}

    @property
    def _files(self) -> tuple[WriteFile, ...]:
        folder = keeper_dir(self.cluster)
        program = (WriteFile(f"{folder}/{name}", text, mode=0o600, sudo=True) for name, text in self._program.items())
        return (*program, WriteFile(f"/etc/systemd/system/{service_name(self.cluster)}", self._unit, sudo=True))

    @property
    def _unit(self) -> str:
        folder = keeper_dir(self.cluster)
        return f"""\
{MARK}\
[Unit]
Description=sparkctl's keeper of cluster {self.cluster.name}: brings the stack back after a power cycle
Wants=network-online.target
After=network-online.target docker.service

[Service]
Environment=PYTHONPATH={folder}
ExecStart=/usr/bin/python3 -B -m keeper watch
Restart=on-failure
RestartSec=10

[Install]
WantedBy=multi-user.target
"""
