"""A generation of the past made into steps again: the containers that it had, from the image that it had."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sparkctl.core.service import Gpus, Mount, Secret, Service
from sparkctl.core.step import Blocked, Finding, Layer, Ok, Step, step_id
from sparkctl.engines import registry
from sparkctl.engines.engine import Store
from sparkctl.engines.failures import Patterns
from sparkctl.errors import SparkctlError
from sparkctl.facts.docker import image_probe
from sparkctl.facts.kept import Generation
from sparkctl.facts.model import ModelFact, model_probe
from sparkctl.facts.probe import Facts, Probe, Want
from sparkctl.runtimes.docker import ContainerStep
from sparkctl.steps.generation import intent_name, stack_steps
from sparkctl.steps.image import CarryStep
from sparkctl.steps.leftovers import LeftoversStep
from sparkctl.steps.place import OnHead
from sparkctl.steps.ray import JoinStep
from sparkctl.steps.serving import ServingStep
from sparkctl.steps.stack import Stack
from sparkctl.topology import Cluster

GONE = "the nodes or their roles have changed since: sparkctl up"


@dataclass(frozen=True)
class KeptImageStep(OnHead):
    """The image of a generation, which the head still has."""

    reference: str
    name: str = "image"
    layer: Layer = Layer.IMAGE

    @property
    def needs(self) -> tuple[str, ...]:
        return ()

    @property
    def wants(self) -> tuple[Want, ...]:
        return (Want(self.node, image_probe(self.reference)),)

    def check(self, facts: Facts) -> Finding:
        if facts.get(self.node, image_probe(self.reference)):
            return Ok()
        return Blocked(f"{self.node} has no image {self.reference[:19]} any more", "choose another generation, or: up")

    def undo(self, facts: Facts) -> tuple[()]:
        return ()


@dataclass(frozen=True)
class KeptModelStep(OnHead):
    """The model's files of a generation, which the head's cache still has, whole."""

    hf_cache: str
    model: str
    revision: str
    name: str = "model"
    layer: Layer = Layer.MODEL

    @property
    def needs(self) -> tuple[str, ...]:
        return ()

    @property
    def wants(self) -> tuple[Want, ...]:
        return (Want(self.node, self._probe),)

    def check(self, facts: Facts) -> Finding:
        found = facts.get(self.node, self._probe)
        if found and not found.missing:
            return Ok()
        what = f"{self.node} has no whole {self.model}@{self.revision} any more"
        pull = f"sparkctl model pull {self.model} --revision {self.revision}"
        return Blocked(what, f"bring it ({pull}), or choose another generation")

    def undo(self, facts: Facts) -> tuple[()]:
        return ()

    @property
    def _probe(self) -> Probe[ModelFact | None]:
        return model_probe(self.cluster, self.cluster.head, self.hf_cache, self.model, self.revision)


def rollback_steps(
    cluster: Cluster, back: Generation, now: Mapping[str, Any], reference: str, hf_cache: str, look_seconds: int
) -> tuple[Step, ...]:
    """What leads back to a generation. `now` is the record of what serves, `reference` what names the old image today.

    `hf_cache` is the head's model cache. Raises SparkctlError where the cluster is another one than then.
    """
    stack = stack_of(cluster, back, reference, look_seconds)
    name = back.record.get("image_step", "image")
    nodes = {service.node for service in stack.services}
    carries = (CarryStep(cluster, w, reference, name) for w in cluster.workers if w.name in nodes)
    hub = registry.engine(stack.engine).STORE is Store.HUB
    model = (KeptModelStep(cluster, hf_cache, back.model, back.revision),) if hub else ()
    return (KeptImageStep(cluster, reference, name), *carries, *model, *_leftovers(stack, now), *stack_steps(stack))


def stack_of(cluster: Cluster, back: Generation, reference: str, look_seconds: int) -> Stack:
    """The stack of a generation. Raises SparkctlError where the cluster is another one than then."""
    record = back.record
    try:
        services = tuple(replace(_service(raw), image=reference) for raw in record["services"])
        groups = {entry["service"] + "@" + entry["node"]: entry["group"] for entry in record["containers"]}
        serving, join = record["serving"], record["join"]
        part = cluster.part([cluster.node(name) for name in serving["nodes"]])
        engine, place = registry.engine(record["engine"]), (serving["port"], serving["model"], serving["key_path"])
        seconds, name = serving["seconds"], serving["name"]
        step = ServingStep(
            part, services, *place, seconds, look_seconds, name, api=engine.API, failures=engine.FAILURES
        )
        joined = JoinStep(part, join["port"], join["s"], record["suffix"]) if join else None
        return Stack(
            cluster,
            back.unit,
            record["suffix"],
            tuple(_containers(cluster, services, groups, record["image_step"], engine.FAILURES)),
            step,
            back.model,
            back.revision,
            joined,
            tuple(record["memory"].items()),
            record["engine"],
            back.number,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise SparkctlError(f"generation {back.number} does not fit this cluster: {error}", fix=GONE) from error


def _containers(
    cluster: Cluster, services: Sequence[Service], groups: Mapping[str, str], image: str, failures: Patterns
) -> "list[ContainerStep]":
    """The services by the groups in which they start, with what they stand on and what stands on them."""
    under = {_key(service): {f"{name}@{node}" for name, node in service.stands_on} for service in services}
    made = []
    for group in dict.fromkeys(groups[_key(service)] for service in services):
        here = tuple(service for service in services if groups[_key(service)] == group)
        keys = {_key(service) for service in here}
        below = tuple(other for other in services if any(_key(other) in under[key] for key in keys))
        above = tuple(other for other in services if under[_key(other)] & keys)
        made.append(ContainerStep(group.rpartition("@")[0], cluster, here, below, above, image, failures))
    return made


def _leftovers(stack: Stack, now: Mapping[str, Any]) -> list[LeftoversStep]:
    """What serves now and was not there then is set aside, too."""
    own = frozenset(service.name for service in stack.services)
    present = own | {entry["service"] for entry in now.get("containers", [])}
    intent = step_id(intent_name(stack.suffix), stack.cluster.head.name)
    stop = max(service.stop_seconds for service in stack.services)
    return [
        LeftoversStep(
            stack.cluster,
            node,
            frozenset(service.name for service in stack.services if service.node == node.name),
            own=present,
            known=present,
            stop_seconds=stop,
            strays=False,
            unit=stack.unit,
            after=(intent,),
            name=f"leftovers{stack.suffix}",
        )
        for node in stack.cluster.nodes
    ]


def _key(service: Service) -> str:
    return f"{service.name}@{service.node}"


def _service(raw: Mapping[str, Any]) -> Service:
    """A service from what `asdict` made of it and JSON left of that."""
    lists = {key: tuple(map(_frozen, value)) for key, value in raw.items() if isinstance(value, list)}
    nested = {
        "mounts": tuple(Mount(**mount) for mount in raw["mounts"]),
        "secrets": tuple(Secret(**secret) for secret in raw["secrets"]),
        "gpus": Gpus(raw["gpus"]),
    }
    return Service(**{**raw, **lists, **nested})


def _frozen(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value
