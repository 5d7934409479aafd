"""Secrets on a node: one file each, mode 0600 in a folder of mode 0700, made there or delivered over SSH."""

import hashlib
import shlex
from dataclasses import dataclass, field

from sparkctl.core.action import Action, Context
from sparkctl.core.actions import Run, Script, WriteFile
from sparkctl.core.step import Absent, Drifted, Finding, Layer, Ok, Pending, step_id
from sparkctl.facts.probe import Facts, Probe, Want
from sparkctl.facts.secret import SecretFact, secret_probe
from sparkctl.steps.place import OnNode, OnWorker
from sparkctl.topology import Cluster, Node


def secret_path(cluster: Cluster, node: Node, name: str) -> str:
    """The one place of a secret on a node."""
    return f"{cluster.state_dir(node)}/secrets/{name}"


@dataclass(frozen=True)
class SecretStep(OnNode):
    """One secret. An empty `value` means: made on the node itself and left alone ever after.

    That is 32 random bytes as text, or, where its name ends in `ssh-key`, an ed25519 key in OpenSSH's format.

    `serves` is true where what uses it must be started anew with another value. What is not `wanted` here, such as
    the token of another admin, stays until it is undone.
    """

    secret: str
    value: str = field(default="", repr=False)
    serves: bool = False
    wanted: bool = True
    layer: Layer = Layer.HOST

    @property
    def name(self) -> str:
        return f"secret-{self.secret}"

    @property
    def needs(self) -> tuple[str, ...]:
        return (step_id("state", self.node), step_id("docker", self.node))

    @property
    def wants(self) -> tuple[Want, ...]:
        return (Want(self.node, self._probe),)

    def check(self, facts: Facts) -> Finding:
        fact = facts.get(self.node, self._probe)
        if not self.wanted:
            return Ok("not used")
        deliver = (_deliver(self._path, self.value),)
        if fact is None:
            return Absent(deliver)
        if self.value and fact.sha256 != hashlib.sha256(self.value.encode()).hexdigest():
            return Drifted((f"{self.secret} has another value",), deliver, disrupts=self.serves)
        return _closed(self._path, fact)

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        return (_remove(self._path),) if facts.get(self.node, self._probe) else ()

    @property
    def _path(self) -> str:
        return secret_path(self.cluster, self.on, self.secret)

    @property
    def _probe(self) -> Probe[SecretFact | None]:
        return secret_probe(self._path)


@dataclass(frozen=True)
class SharedSecretStep(OnWorker):
    """The head's secret, the same on a worker."""

    secret: str
    layer: Layer = Layer.HOST

    @property
    def name(self) -> str:
        return f"secret-{self.secret}"

    @property
    def needs(self) -> tuple[str, ...]:
        own = (step_id("state", self.node), step_id("docker", self.node))
        return (*own, step_id(self.name, self.cluster.head.name))

    @property
    def wants(self) -> tuple[Want, ...]:
        return (
            Want(self.cluster.head.name, self._probe(self.cluster.head)),
            Want(self.node, self._probe(self.worker)),
        )

    def check(self, facts: Facts) -> Finding:
        there = facts.get(self.cluster.head.name, self._probe(self.cluster.head))
        here = facts.get(self.node, self._probe(self.worker))
        if there is None:
            return Pending(step_id(self.name, self.cluster.head.name))
        share = (ShareSecret(self.cluster, self.worker, self.secret),)
        if here is None:
            return Absent(share)
        if here.sha256 != there.sha256:
            return Drifted((f"{self.secret} is not that of {self.cluster.head.name}",), share, disrupts=True)
        return _closed(secret_path(self.cluster, self.worker, self.secret), here)

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        here = facts.get(self.node, self._probe(self.worker))
        return (_remove(secret_path(self.cluster, self.worker, self.secret)),) if here else ()

    def _probe(self, node: Node) -> Probe[SecretFact | None]:
        return secret_probe(secret_path(self.cluster, node, self.secret))


@dataclass(frozen=True)
class ShareSecret:
    """Read a secret on the head and deliver it to a worker; it passes through memory here, and nothing else."""

    cluster: Cluster
    worker: Node
    secret: str

    @property
    def summary(self) -> str:
        return f"bring the secret {self.secret} from {self.cluster.head.name} to {self.worker.name}"

    @property
    def detail(self) -> str:
        return f"write {secret_path(self.cluster, self.worker, self.secret)} (mode 0600)"

    def perform(self, context: Context) -> None:
        """Raises CommandFailed, ConnectionLost."""
        head = context.peers[self.cluster.head.name]
        value = head.run(("cat", secret_path(self.cluster, self.cluster.head, self.secret))).stdout
        context.session.write(secret_path(self.cluster, self.worker, self.secret), value.encode(), mode=0o600)


def _closed(path: str, fact: SecretFact) -> Finding:
    """Whether nobody else may read it."""
    if fact.mode == "600":
        return Ok()
    return Drifted((f"{path} has mode {fact.mode}",), (Run(f"set mode 0600 on {path}", ("chmod", "600", path)),))


def _deliver(path: str, value: str) -> Action:
    """Put the secret in place, or have the node make one; no representation of the action shows it."""
    if value:
        return WriteFile(path, value, mode=0o600, secret=True)
    name = path.rpartition("/")[2]
    folder, file, new = _quoted(path)
    make = f"head -c 32 /dev/urandom | base64 -w0 | tr '+/' '-_' | tr -d = > {new}"
    if name.endswith("ssh-key"):
        make = f"rm -f {new} {new}.pub && ssh-keygen -q -t ed25519 -N '' -C sparkctl -f {new} && rm {new}.pub"
    text = f"set -o pipefail; umask 077; mkdir -p {folder}\n{make} && mv {new} {file}"
    return Script(f"generate the secret {name} on the node", text)


def _remove(path: str) -> Action:
    """Remove the secret, and the folder of secrets when it was the last."""
    folder, file, _ = _quoted(path)
    name = path.rpartition("/")[2]
    return Script(f"remove the secret {name}", f"rm -f {file}; rmdir --ignore-fail-on-non-empty {folder}")


def _quoted(path: str) -> tuple[str, str, str]:
    """Its folder, the file and the one that becomes it, as words of bash."""
    return shlex.quote(path.rpartition("/")[0]), shlex.quote(path), shlex.quote(f"{path}.new")
