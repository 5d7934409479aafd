"""Sudo without a password for the login of a node, where it is asked for."""

import shlex
from dataclasses import dataclass, field

from sparkctl.core.action import Action, Context
from sparkctl.core.actions import RemoveFile
from sparkctl.core.step import Absent, Blocked, Drifted, Finding, Layer, Ok, Pending, Step, step_id
from sparkctl.facts.files import FileFact, files_probe
from sparkctl.facts.host import HOST
from sparkctl.facts.probe import Facts, Probe, Want
from sparkctl.steps.place import OnNode
from sparkctl.topology import Cluster

_INSTALL = """\
set -e
new=$(mktemp)
trap 'rm -f "$new"' EXIT
printf '%s' {text} >"$new"
visudo -cqf "$new"
install -m 440 -o root -g root "$new" {path}
if ! visudo -cq; then rm -f {path}; exit 1; fi
"""


@dataclass(frozen=True)
class InstallRule:
    """Put a rule of sudo in place once visudo has read it. A `password` opens sudo for this one command."""

    path: str
    text: str
    password: str = field(default="", repr=False)

    @property
    def summary(self) -> str:
        """One line of the plan."""
        return f"write {self.path} (mode 0440, owned by root) after visudo -c"

    @property
    def detail(self) -> str:
        """The rule."""
        return self.text.rstrip("\n")

    def perform(self, context: Context) -> None:
        """Raises CommandFailed, ConnectionLost."""
        script = _INSTALL.format(text=shlex.quote(self.text), path=shlex.quote(self.path))
        if not self.password:
            context.session.script(script, sudo=True)
            return
        # -S reads the password from standard input, where no list of processes shows it; -k asks for it anew.
        argv = ("sudo", "-k", "-S", "-p", "", "bash", "-c", script)
        context.session.run(argv, stdin=f"{self.password}\n".encode())


@dataclass(frozen=True)
class SudoersStep(OnNode):
    """The rule of one node; not `wanted`: none is there. Without a `password` sudo must be open already."""

    wanted: bool
    password: str = field(default="", repr=False)
    name: str = "sudoers"
    layer: Layer = Layer.HOST
    needs: tuple[str, ...] = ()

    @property
    def wants(self) -> tuple[Want, ...]:
        return (Want(self.node, HOST), Want(self.node, self._probe))

    def check(self, facts: Facts) -> Finding:
        found, path = facts.get(self.node, self._probe).get(self._path), self._path
        if not self.wanted:
            return Ok("not asked for")
        if found and found.says(self._text) and found.mode == "440":
            return Ok(path)
        is_open = facts.get(self.node, HOST).sudo
        if not (is_open or self.password):
            return Blocked(
                f"{self.on.user} cannot use sudo on {self.node} without a password",
                "let sparkctl ask for it, once: sparkctl setup --sudoers --ask-sudo-password",
            )
        install = (InstallRule(path, self._text, "" if is_open else self.password),)
        return Drifted((f"{path} is not as wished",), install) if found else Absent(install)

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        there = self._path in facts.get(self.node, self._probe)
        return (RemoveFile(self._path, sudo=True),) if there else ()

    @property
    def _path(self) -> str:
        """Sudo reads no file whose name holds a dot."""
        return f"/etc/sudoers.d/90-sparkctl-{self.on.user.replace('.', '_')}"

    @property
    def _text(self) -> str:
        return f"# managed by sparkctl; `sparkctl setup --undo` takes it away\n{self.on.user} ALL=(ALL) NOPASSWD:ALL\n"

    @property
    def _probe(self) -> Probe[dict[str, FileFact]]:
        return files_probe("sudoers", [self._path])


@dataclass(frozen=True)
class BehindSudo:
    """A step that waits for the rule where sudo is closed, and is undone before the rule goes."""

    step: Step
    gate: SudoersStep

    @property
    def name(self) -> str:
        return self.step.name

    @property
    def node(self) -> str:
        return self.step.node

    @property
    def layer(self) -> Layer:
        return self.step.layer

    @property
    def needs(self) -> tuple[str, ...]:
        return (*self.step.needs, step_id(self.gate.name, self.node))

    @property
    def wants(self) -> tuple[Want, ...]:
        return (*self.step.wants, Want(self.node, HOST))

    def check(self, facts: Facts) -> Finding:
        if self.gate.wanted and not facts.get(self.node, HOST).sudo:
            return Pending(step_id(self.gate.name, self.node))
        return self.step.check(facts)

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        return self.step.undo(facts)


def steps(cluster: Cluster, *, wanted: bool, password: str = "") -> tuple[SudoersStep, ...]:
    """One for every node whose login is not root."""
    logins = [node for node in cluster.nodes if node.user != "root"]
    return tuple(SudoersStep(cluster, node, wanted, password) for node in logins)
