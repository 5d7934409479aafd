"""Passwordless SSH from the head to each worker over the fabric, by a key that is used for nothing else."""

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
from sparkctl.steps.place import OnHead, OnWorker
from sparkctl.steps.ssh_trust_actions import Grant, Pin, Revoke, Unpin, host_token, key_path, known_hosts_path, mark
from sparkctl.topology import Cluster, Node


def ssh_options(cluster: Cluster, worker: Node) -> tuple[str, ...]:
    """`ssh` and its options from the head to a worker: our key and our host keys, nothing of the user's own setup."""
    options = (
        "BatchMode=yes",
        "IdentitiesOnly=yes",
        "StrictHostKeyChecking=yes",
        f"UserKnownHostsFile={known_hosts_path(cluster)}",
        "GlobalKnownHostsFile=none",
        "UpdateHostKeys=no",
        "ConnectTimeout=10",
        "ServerAliveInterval=10",
        "ServerAliveCountMax=2",
    )
    flags = tuple(word for option in options for word in ("-o", option))
    return ("ssh", "-F", "none", "-i", key_path(cluster), "-p", str(worker.port), *flags)


def ssh_command(cluster: Cluster, worker: Node) -> tuple[str, ...]:
    """How the head reaches a worker: append the remote command."""
    return (*ssh_options(cluster, worker), f"{worker.user}@{worker.data_ip}")


@dataclass(frozen=True)
class KeyStep(OnHead):
    """The head's own key, made there; its private half never leaves the head."""

    name: str = "ssh-key"
    layer: Layer = Layer.HOST

    @property
    def needs(self) -> tuple[str, ...]:
        return (step_id("state", self.node), step_id("packages", self.node))

    @property
    def wants(self) -> tuple[Want, ...]:
        return (Want(self.node, key_probe(key_path(self.cluster))),)

    def check(self, facts: Facts) -> Finding:
        path, fact = key_path(self.cluster), self._fact(facts)
        quoted = shlex.quote(path)
        comment = shlex.quote(mark(self.cluster))
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
        path = key_path(self.cluster)
        return (Run(f"remove the key {path}", ("rm", "-f", path, f"{path}.pub")),) if self._fact(facts).present else ()

    def _fact(self, facts: Facts) -> KeyFact:
        return facts.get(self.node, key_probe(key_path(self.cluster)))


@dataclass(frozen=True)
class TrustStep(OnWorker):
    """One worker: it lets the head's key in, from the head's address only, and the head knows its host keys."""

    name: str = "ssh-trust"
    layer: Layer = Layer.HOST

    @property
    def needs(self) -> tuple[str, ...]:
        own = (step_id("state", self.node),)
        fabric = (step_id("fabric", self.node),) if self.worker.fabric_ip else ()
        return (*own, *fabric, step_id("ssh-key", self.cluster.head.name))

    @property
    def wants(self) -> tuple[Want, ...]:
        head = self.cluster.head.name
        return (
            Want(head, key_probe(key_path(self.cluster))),
            Want(head, self._login_probe),
            Want(self.node, access_probe(mark(self.cluster))),
        )

    def check(self, facts: Facts) -> Finding:
        head = self.cluster.head.name
        key = facts.get(head, key_probe(key_path(self.cluster)))
        login, access = facts.get(head, self._login_probe), self._access(facts)
        if not access.host_keys:
            return Blocked(
                f"{self.node} has no host keys in /etc/ssh", "make them: sudo ssh-keygen -A, and restart its sshd"
            )
        if not key.public:
            return Pending(step_id("ssh-key", head))
        grant, pins = Grant(self.cluster, self.worker, key.public), Pin(self.cluster, self.worker, access.host_keys)
        wrong = list[tuple[str, Action]]()
        if access.lines != (grant.line,):
            wrong.append((f"{self.node} does not let the key of {head} in as wished", grant))
        if _pinned(login, self.worker) != pins.lines:
            wrong.append((f"{head} does not know the host keys of {self.node}", pins))
        if not wrong:
            return Ok(f"{head} reaches {self.worker.data_ip}") if login.works else self._refused(login)
        actions = tuple(action for _, action in wrong)
        if not access.lines:
            return Absent(actions)
        return Drifted(tuple(text for text, _ in wrong), actions)

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        actions = list[Action]()
        if self._access(facts).lines:
            actions.append(Revoke(self.cluster, self.worker))
        if _pinned(facts.get(self.cluster.head.name, self._login_probe), self.worker):
            actions.append(Unpin(self.cluster, self.worker))
        return tuple(actions)

    def _refused(self, login: LoginFact) -> Blocked:
        said = login.refusal or "no answer"
        fix = f"mend the way to {self.worker.data_ip}, port {self.worker.port}; its sshd must listen there"
        if "denied" in said:
            fix = f"on {self.node}: chmod go-w ~ ~/.ssh; its sshd must allow public keys: sudo journalctl -u ssh -n 20"
        return Blocked(f"{self.cluster.head.name} cannot log in to {self.node} over the fabric: {said}", fix)

    def _access(self, facts: Facts) -> AccessFact:
        return facts.get(self.node, access_probe(mark(self.cluster)))

    @property
    def _login_probe(self) -> Probe[LoginFact]:
        return login_probe(self.node, known_hosts_path(self.cluster), ssh_command(self.cluster, self.worker))


def steps(cluster: Cluster) -> tuple[KeyStep | TrustStep, ...]:
    """The head's key, and the trust of every worker; nothing for a cluster of one node."""
    if not cluster.workers:
        return ()
    return (KeyStep(cluster), *(TrustStep(cluster, worker) for worker in cluster.workers))


def _pinned(login: LoginFact, worker: Node) -> tuple[str, ...]:
    return tuple(sorted(line for line in login.known if line.split(" ", 1)[0] == host_token(worker)))
