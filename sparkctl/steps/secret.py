"""Secrets on a node: one file each, mode 0600 in a folder of mode 0700, made there or delivered over SSH."""

import hashlib
from dataclasses import dataclass, field

from sparkctl.core.action import Action
from sparkctl.core.actions import Run, Script, WriteFile
from sparkctl.core.step import Absent, Drifted, Finding, Layer, Ok, step_id
from sparkctl.facts.probe import Answer, Facts, Probe, Want
from sparkctl.topology import Cluster, Node


@dataclass(frozen=True)
class SecretFact:
    """A secret file as far as it may be known: its mode and a hash of its content."""

    mode: str
    sha256: str


def secret_path(cluster: Cluster, node: Node, name: str) -> str:
    """The one place of a secret on a node."""
    return f"{cluster.state_dir(node)}/secrets/{name}"


@dataclass(frozen=True)
class SecretStep:
    """One secret. An empty `value` means: made on the node itself, 32 random bytes, and left alone ever after."""

    cluster: Cluster
    on: Node
    secret: str
    value: str = field(default="", repr=False)
    layer: Layer = Layer.HOST

    @property
    def name(self) -> str:
        return f"secret-{self.secret}"

    @property
    def node(self) -> str:
        return self.on.name

    @property
    def needs(self) -> tuple[str, ...]:
        return (step_id("state", self.node),)

    @property
    def wants(self) -> tuple[Want, ...]:
        return (Want(self.node, self._probe),)

    def check(self, facts: Facts) -> Finding:
        fact = facts.get(self.node, self._probe)
        deliver = (_deliver(self._path, self.value),)
        if fact is None:
            return Absent(deliver)
        if self.value and fact.sha256 != hashlib.sha256(self.value.encode()).hexdigest():
            return Drifted((f"{self.secret} has another value",), deliver)
        if fact.mode != "600":
            return Drifted(
                (f"{self._path} has mode {fact.mode}",),
                (Run(f"set mode 0600 on {self._path}", ("chmod", "600", self._path)),),
            )
        return Ok()

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        return (_remove(self._path),) if facts.get(self.node, self._probe) else ()

    @property
    def _path(self) -> str:
        return secret_path(self.cluster, self.on, self.secret)

    @property
    def _probe(self) -> Probe[SecretFact | None]:
        script = f"stat -c %a '{self._path}' && sha256sum < '{self._path}'"
        return Probe(f"secret:{self.secret}", script, _secret)


def _deliver(path: str, value: str) -> Action:
    """Put the secret in place, or have the node make one; no representation of the action shows it."""
    if value:
        return WriteFile(path, value, mode=0o600, secret=True)
    folder, name = path.rsplit("/", 1)
    return Script(
        f"generate the secret {name} on the node",
        f"set -o pipefail; umask 077; mkdir -p '{folder}'\n"
        f"head -c 32 /dev/urandom | base64 -w0 | tr '+/' '-_' | tr -d = > '{path}.new' && mv '{path}.new' '{path}'",
    )


def _remove(path: str) -> Action:
    """Remove the secret, and the folder of secrets when it was the last."""
    folder, name = path.rsplit("/", 1)
    return Script(f"remove the secret {name}", f"rm -f '{path}'; rmdir --ignore-fail-on-non-empty '{folder}'")


def _secret(answer: Answer) -> SecretFact | None:
    words = answer.stdout.split()
    return SecretFact(words[0], words[1]) if answer.rc == 0 and len(words) >= 2 else None
