"""A stack that is changed as a whole: what is to come is on record before, what serves is on record after."""

import getpass
import json
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from sparkctl.core.action import Action, Context
from sparkctl.core.actions import Script
from sparkctl.core.lock import lock_path
from sparkctl.core.service import Service, spec_hash
from sparkctl.core.step import Absent, Drifted, Finding, Layer, Ok, Pending, Step, step_id
from sparkctl.facts.docker import CONTAINERS, ImageFact, image_probe
from sparkctl.facts.engine import PATIENT_SECONDS
from sparkctl.facts.kept import UnitFact, keeper_dir, kept_probe
from sparkctl.facts.probe import Facts, Want
from sparkctl.runtimes.containers import container_name
from sparkctl.runtimes.docker import ContainerStep
from sparkctl.steps.keeper import keeper_command
from sparkctl.steps.place import OnHead
from sparkctl.steps.ray import ASK_NODES, JoinStep
from sparkctl.steps.serving import ServingStep
from sparkctl.steps.ssh_trust import ssh_command
from sparkctl.steps.ssh_trust_actions import Way
from sparkctl.topology import Cluster

ONLY = "main"
"""What the keeper calls the only model of a deployment."""

SETTLE_SECONDS = 3600.0
"""How long the keeper may take for what it is asked; its own limits end sooner."""


@dataclass(frozen=True)
class Stack:
    """One served model as a whole, of the cluster on whose head the keeper is.

    `unit` is its name there, `suffix` what the names of its steps end in, `memory` what each of its nodes must have
    available before it starts, in bytes by name; `back_to` is the generation that a rollback wants again.
    """

    cluster: Cluster
    unit: str
    suffix: str
    containers: tuple[ContainerStep, ...]
    serving: ServingStep
    model: str
    revision: str
    join: JoinStep | None = None
    memory: tuple[tuple[str, int], ...] = ()
    back_to: int = 0

    @property
    def services(self) -> tuple[Service, ...]:
        """In start order."""
        return tuple(service for step in self.containers for service in step.services)

    @property
    def reference(self) -> str:
        """The image."""
        return self.services[0].image

    def digest(self, image: ImageFact) -> str:
        """What makes it what it is, and how it is brought up."""
        return spec_hash(self._lasting(image))

    def record(self, image: ImageFact, changes: tuple[str, ...]) -> dict[str, Any]:
        """What the keeper needs to bring it up, and a later sparkctl to go back to it; holds no secret."""
        told = {"changes": [*changes], "back_to": self.back_to}
        return {**self._lasting(image), **told, "digest": self.digest(image)}

    def _lasting(self, image: ImageFact) -> dict[str, Any]:
        nodes, head = {node.name: node for node in self.cluster.nodes}, self.cluster.head
        at_work = dict.fromkeys((head.name, *(service.node for service in self.services)))
        ways = {n: [] if n == head.name else [*ssh_command(Way(self.cluster, head, nodes[n]))] for n in at_work}
        return {
            "unit": self.unit,
            "cluster": self.cluster.name,
            "lock": lock_path(self.cluster.name),
            "nodes": ways,
            "users": {name: nodes[name].user for name in at_work},
            "memory": dict(self.memory),
            "secrets": [*dict.fromkeys((s.node, secret.path) for s in self.services for secret in s.secrets)],
            "containers": self._entries(image),
            "api": self._api,
            "model": self.model,
            "revision": self.revision,
            "image": self.reference,
            "image_id": image.id,
            "suffix": self.suffix,
            "image_step": self.containers[0].image,
            "services": [asdict(service) for service in self.services],
            "serving": self._serving,
            "join": self.join and {"nodes": _names(self.join.cluster), "port": self.join.port, "s": self.join.seconds},
        }

    @property
    def _serving(self) -> dict[str, Any]:
        """What a later sparkctl makes the step anew from."""
        step = self.serving
        kept = {"port": step.port, "model": step.model, "key_path": step.key_path, "seconds": step.seconds}
        return {**kept, "name": step.name, "nodes": _names(step.cluster)}

    @property
    def _api(self) -> dict[str, Any]:
        """The look at the API that `up` takes, on the node where it answers."""
        look = self.serving.look(PATIENT_SECONDS)
        return {"node": self.serving.node, "look": look.script, "seconds": self.serving.seconds}

    def _entries(self, image: ImageFact) -> list[dict[str, Any]]:
        return [
            {
                "service": service.name,
                "node": service.node,
                "name": container_name(self.cluster, service.name),
                "spec": step.hash_of(service, image),
                "group": step_id(step.name, step.node),
                "stands_on": [[*pair] for pair in service.stands_on],
                "drop_caches": [*service.drop_caches_on],
                "joined": self._joined(service),
            }
            for step in self.containers
            for service in step.services
        ]

    def _joined(self, service: Service) -> dict[str, Any] | None:
        """What the API server waits for: all nodes in Ray, as `JoinStep` asks for them."""
        if not self.join or not service.joins:
            return None
        ask = ["docker", "exec", container_name(self.cluster, service.joins), "python3", "-c", ASK_NODES]
        addresses = [node.data_ip for node in self.join.cluster.nodes]
        return {"argv": ask, "addresses": addresses, "seconds": self.join.seconds}


@dataclass(frozen=True)
class IntentStep(OnHead):
    """What is about to be changed is on record before anything is stopped, and everything it needs is there.

    The containers need this step, and it needs all that they need: while an image or a model is on its way, what
    served before goes on serving.
    """

    stack: Stack
    layer: Layer = Layer.WORKLOAD

    @property
    def name(self) -> str:
        return intent_name(self.stack.suffix)

    @property
    def needs(self) -> tuple[str, ...]:
        own = {self.name, *(step.name for step in self.stack.containers)}
        own |= {step.name for step in (self.stack.join, self.stack.serving) if step}
        own.add(f"leftovers{self.stack.suffix}")
        needs = (need for service in self.stack.services for need in service.needs)
        below = (need for need in needs if need.rpartition("@")[0] not in own)
        return tuple(dict.fromkeys((step_id("keeper", self.node), *below)))

    @property
    def wants(self) -> tuple[Want, ...]:
        containers = (want for step in self.stack.containers for want in step.wants)
        return tuple(dict.fromkeys((Want(self.node, kept_probe(self.cluster)), *containers)))

    def check(self, facts: Facts) -> Finding:
        image = facts.get(self.node, image_probe(self.stack.reference))
        if image is None:
            return Pending(self.stack.containers[0].needs_image)
        digest, unit = self.stack.digest(image), _unit(self, facts)
        if unit.wished == digest or (unit.digest == digest and not unit.wished):
            return Ok()
        changes = tuple(text for step in self.stack.containers for text in step.differs(facts, image))
        write = (WriteIntent(self.stack, image, changes),)
        if not unit.digest:
            return Absent(write)
        return Drifted((f"generation {unit.generation} is not what is configured",), write)

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        return ()


@dataclass(frozen=True)
class WriteIntent:
    """Put the record of a change on the head, with who makes it."""

    stack: Stack
    image: ImageFact
    changes: tuple[str, ...]

    @property
    def summary(self) -> str:
        return f"record the change on {self.stack.cluster.head.name}, so that it can be taken back"

    @property
    def detail(self) -> str:
        return "\n".join(self.changes)

    def perform(self, context: Context) -> None:
        by = f"{getpass.getuser()}@{socket.gethostname()}"
        record = json.dumps({**self.stack.record(self.image, self.changes), "by": by}) + "\n"
        path = f"{keeper_dir(self.stack.cluster)}/units/{self.stack.unit}/wish.json"
        context.session.write(path, record.encode(), mode=0o600, sudo=True)


@dataclass(frozen=True)
class GenerationStep(OnHead):
    """What serves is on record: it comes back at a boot, and what it replaced is gone."""

    stack: Stack
    layer: Layer = Layer.WORKLOAD

    @property
    def name(self) -> str:
        return f"generation{self.stack.suffix}"

    @property
    def needs(self) -> tuple[str, ...]:
        serving = self.stack.serving
        return (step_id(serving.name, serving.node), step_id("keeper", self.node))

    @property
    def wants(self) -> tuple[Want, ...]:
        nodes = dict.fromkeys(service.node for service in self.stack.services)
        return (
            Want(self.node, kept_probe(self.cluster)),
            Want(self.node, image_probe(self.stack.reference)),
            *(Want(node, CONTAINERS) for node in nodes),
        )

    def check(self, facts: Facts) -> Finding:
        image = facts.get(self.node, image_probe(self.stack.reference))
        unit, ids = _unit(self, facts), dict(self._ids(facts))
        if image is None or len(ids) < len(self.stack.services):
            serving = self.stack.serving
            return Pending(step_id(serving.name, serving.node), unit.note)
        commit = (self._ask("put what serves on record, and remove what it replaced", "commit"),)
        if unit.digest == self.stack.digest(image) and dict(unit.ids) == ids and not unit.wished:
            if unit.trouble:
                return Drifted((unit.note,), commit, symptom=True)
            return Ok(f"generation {unit.generation}" + f"; {unit.note}" * bool(unit.note))
        if not unit.digest:
            return Absent(commit, unit.note, symptom=True)
        said = (f"generation {unit.generation} is on record, and another one runs", *([unit.note] * bool(unit.note)))
        return Drifted(said, commit, symptom=True)

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        if self.stack.unit not in facts.get(self.node, kept_probe(self.cluster)).units:
            return ()
        return (self._ask("let nothing come back at a boot", "forget"),)

    def _ids(self, facts: Facts) -> Iterator[tuple[str, str]]:
        for service in self.stack.services:
            found = (facts.get(service.node, CONTAINERS) or {}).get(container_name(self.cluster, service.name))
            if found and found.running:
                yield step_id(service.name, service.node), found.id

    def _ask(self, summary: str, verb: str) -> Script:
        command = keeper_command(self.cluster, verb, self.stack.unit)
        return Script(summary, command, sudo=True, timeout=SETTLE_SECONDS)


@dataclass(frozen=True)
class PutBackStep(OnHead):
    """No change is left half done: what served before serves again. `why` is what is kept of the failure."""

    why: str
    name: str = "previous"
    layer: Layer = Layer.WORKLOAD

    @property
    def needs(self) -> tuple[str, ...]:
        return ()

    @property
    def wants(self) -> tuple[Want, ...]:
        return (Want(self.node, kept_probe(self.cluster)),)

    def check(self, facts: Facts) -> Finding:
        units = facts.get(self.node, kept_probe(self.cluster)).units
        open_ones = [name for name, unit in units.items() if unit.wished]
        if not open_ones:
            return Ok()
        return Drifted(
            tuple(f"the change of {name} failed" for name in open_ones),
            tuple(self._put_back(name, units[name]) for name in open_ones),
        )

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        return ()

    def _put_back(self, name: str, unit: UnitFact) -> Script:
        what = f"put generation {unit.generation} back" if unit.digest else "give the change up"
        command = keeper_command(self.cluster, "restore", name, self.why)
        return Script(what, command, sudo=True, timeout=SETTLE_SECONDS)


def stack_steps(stack: Stack) -> tuple[Step, ...]:
    """Every step of it, from the record of the change to the record of what serves."""
    join = (stack.join,) if stack.join else ()
    ends = (IntentStep(stack.cluster, stack), GenerationStep(stack.cluster, stack))
    return (ends[0], *stack.containers, *join, stack.serving, ends[1])


def _names(cluster: Cluster) -> list[str]:
    return [node.name for node in cluster.nodes]


def intent_name(suffix: str) -> str:
    """The name of the step before every container of a stack."""
    return f"intent{suffix}"


def _unit(step: IntentStep | GenerationStep, facts: Facts) -> UnitFact:
    return facts.get(step.node, kept_probe(step.cluster)).unit(step.stack.unit)
