"""SSH from node to node over the fabric without a password, by keys of their own that are used for nothing else."""

import shlex
from dataclasses import dataclass

from sparkctl.core.action import Action
from sparkctl.core.actions import Run, Script
from sparkctl.core.step import Absent, Blocked, Drifted, Finding, Layer, Ok, Pending, step_id
from sparkctl.facts.probe import Facts, Probe, Want
from sparkctl.facts.ssh_trust import (
    AccessFact,
    KeyFact,
    LoginFact,
    access_probe,
    key_probe,
    login_probe,
)
from sparkctl.steps.place import OnNode
from sparkctl.steps.ssh_trust_actions import Grant, Pin, Revoke, Way, host_token, key_path, mark
from sparkctl.topology import Cluster, Node


def ssh_options(way: Way) -> tuple[str, ...]:
    """`ssh` and its options on a way: our key and our host keys, nothing of the user's own setup."""
    options = (
        "BatchMode=yes",
        "IdentitiesOnly=yes",
        "StrictHostKeyChecking=yes",
        f"UserKnownHostsFile={way.known_hosts}",
        "GlobalKnownHostsFile=none",
        "UpdateHostKeys=no",
        "ConnectTimeout=10",
        "ServerAliveInterval=10",
        "ServerAliveCountMax=2",
    )
    flags = tuple(word for option in options for word in ("-o", option))
    return ("ssh", "-F", "none", "-i", key_path(way.cluster, way.source), "-p", str(way.target.port), *flags)


def ssh_command(way: Way) -> tuple[str, ...]:
    """How the source reaches the target: append the remote command."""
    return (*ssh_options(way), f"{way.target.user}@{way.target.data_ip}")


@dataclass(frozen=True)
class KeyStep(OnNode):
    """A node's own key, made there; its private half never leaves the node."""

    name: str = "ssh-key"
    layer: Layer = Layer.HOST

    @property
    def needs(self) -> tuple[str, ...]:
        return (step_id("state", self.node), step_id("packages", self.node))

    @property
    def wants(self) -> tuple[Want, ...]:
        return (Want(self.node, key_probe(self._path)),)

    def check(self, facts: Facts) -> Finding:
        path, fact = self._path, self._fact(facts)
        quoted = shlex.quote(path)
        comment = shlex.quote(mark(self.cluster, self.on))
        make = Script(
            f"make the key {path}",
            f"umask 077\nrm -f {quoted} {quoted}.pub\nssh-keygen -q -t ed25519 -N '' -C {comment} -f {quoted}",
        )
        if not fact.present:
            return Absent((make,))
        if not fact.public:
            return Drifted((f"{path} holds no readable key",), (make,))
        if fact.mode != "600":
            return Drifted(
                (f"{path} has mode {fact.mode}",), (Run(f"set mode 0600 on {path}", ("chmod", "600", path)),)
            )
        return Ok()

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        path = self._path
        return (Run(f"remove the key {path}", ("rm", "-f", path, f"{path}.pub")),) if self._fact(facts).present else ()

    def _fact(self, facts: Facts) -> KeyFact:
        return facts.get(self.node, key_probe(self._path))

    @property
    def _path(self) -> str:
        return key_path(self.cluster, self.on)


@dataclass(frozen=True)
class TrustStep(OnNode):
    """One node lets the key of another in, from that one's address only, and that one knows its host keys."""

    source: Node
    name: str = "ssh-trust"
    layer: Layer = Layer.HOST

    @property
    def needs(self) -> tuple[str, ...]:
        own = (step_id("state", self.node),)
        fabric = tuple(step_id(name, self.node) for name in ("fabric", "links") if self.on.fabric_ip)
        return (*own, *fabric, step_id("ssh-key", self.source.name))

    @property
    def wants(self) -> tuple[Want, ...]:
        return (
            Want(self.source.name, key_probe(key_path(self.cluster, self.source))),
            Want(self.source.name, self._login_probe),
            Want(self.node, access_probe(self._way.mark)),
        )

    def check(self, facts: Facts) -> Finding:
        source = self.source.name
        key = facts.get(source, key_probe(key_path(self.cluster, self.source)))
        login, access = facts.get(source, self._login_probe), self._access(facts)
        if not access.host_keys:
            return Blocked(
                f"{self.node} has no host keys in /etc/ssh", "make them: sudo ssh-keygen -A, and restart its sshd"
            )
        if not key.public:
            return Pending(step_id("ssh-key", source))
        grant, pins = Grant(self._way, key.public), Pin(self._way, access.host_keys)
        wrong = list[tuple[str, Action]]()
        if access.lines != (grant.line,):
            wrong.append((f"{self.node} does not let the key of {source} in as wished", grant))
        if self._pinned(login) != pins.lines:
            wrong.append((f"{source} does not know the host keys of {self.node}", pins))
        if not wrong:
            return Ok(f"{source} reaches {self.on.data_ip}") if login.works else self._refused(login)
        actions = tuple(action for _, action in wrong)
        if not access.lines:
            return Absent(actions)
        return Drifted(tuple(text for text, _ in wrong), actions)

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        actions = list[Action]()
        if self._access(facts).lines:
            actions.append(Revoke(self._way))
        if self._pinned(facts.get(self.source.name, self._login_probe)):
            actions.append(Pin(self._way, ()))
        return tuple(actions)

    def _refused(self, login: LoginFact) -> Blocked:
        said = login.refusal or "no answer"
        fix = f"mend the way to {self.on.data_ip}, port {self.on.port}; its sshd must listen there"
        if "denied" in said:
            fix = f"on {self.node}: chmod go-w ~ ~/.ssh; its sshd must allow public keys: sudo journalctl -u ssh -n 20"
        return Blocked(f"{self.source.name} cannot log in to {self.node} over the fabric: {said}", fix)

    def _access(self, facts: Facts) -> AccessFact:
        return facts.get(self.node, access_probe(self._way.mark))

    def _pinned(self, login: LoginFact) -> tuple[str, ...]:
        return tuple(sorted(line for line in login.known if line.split(" ", 1)[0] == host_token(self.on)))

    @property
    def _way(self) -> Way:
        return Way(self.cluster, self.source, self.on)

    @property
    def _login_probe(self) -> Probe[LoginFact]:
        return login_probe(self.node, self._way.known_hosts, ssh_command(self._way))


def steps(cluster: Cluster) -> tuple[KeyStep | TrustStep, ...]:
    """The head's key, and the trust of every worker in it; nothing for a cluster of one node."""
    if not cluster.workers:
        return ()
    head = cluster.head
    return (KeyStep(cluster, head), *(TrustStep(cluster, worker, head) for worker in cluster.workers))


def mesh(cluster: Cluster) -> tuple[KeyStep | TrustStep, ...]:
    """A key for every node, and the trust of every node in that of every other one; nothing for a single node."""
    if not cluster.workers:
        return ()
    ways = ((target, source) for target in cluster.nodes for source in cluster.nodes if source != target)
    return (
        *(KeyStep(cluster, node) for node in cluster.nodes),
        *(TrustStep(cluster, target, source, f"ssh-trust-{source.name}") for target, source in ways),
    )
