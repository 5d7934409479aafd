"""A generation of the past is the stack that it was: the same containers, in the same order, under the same hashes."""

import json
from typing import Any

import pytest
from stack import stack_of as stack_steps_of

from sparkctl.core.plan import id_of, ordered
from sparkctl.errors import SparkctlError
from sparkctl.facts.docker import ImageFact
from sparkctl.facts.kept import Generation, history_probe
from sparkctl.facts.probe import Answer
from sparkctl.stacks.past import rollback_steps, stack_of
from sparkctl.steps.generation import GenerationStep
from sparkctl.steps.stack import Stack
from sparkctl.topology import Cluster, Node, Role

HEAD = Node("spark-1", Role.HEAD, "10.0.0.1", "nvidia", fabric_ip="192.168.100.1", fabric_interface="enp1s0f1np1")
WORKERS = tuple(
    Node(
        f"spark-{n}",
        Role.WORKER,
        f"10.0.0.{n}",
        "nvidia",
        fabric_ip=f"192.168.100.{n}",
        fabric_interface="enp1s0f1np1",
    )
    for n in (2, 3)
)
CLUSTER = Cluster("lab", HEAD, WORKERS, "10.0.0.1")
IMAGE = ImageFact("sha256:" + "a1" * 32, "arm64", 1 << 30, ())


def stack_now(**args: Any) -> Stack:
    """The stack of a configuration."""
    (step,) = [step for step in stack_steps_of(CLUSTER, args) if isinstance(step, GenerationStep)]
    return step.stack


def kept(stack: Stack) -> Generation:
    """The same after it went through the head's history."""
    record = {**stack.record(IMAGE, ("vllm@spark-1: image a -> b",)), "generation": 7, "outcome": "serves"}
    (found,) = history_probe(CLUSTER).parse(Answer(json.dumps(record) + "\n"))
    return found


@pytest.mark.parametrize("backend", ["ray", "mp"])
def test_a_generation_is_what_it_was(backend: str) -> None:
    now = stack_now(engine={"backend": backend})
    back = kept(now)
    again = stack_of(CLUSTER, back, now.reference, now.serving.look_seconds)
    assert again.services == now.services
    assert again.digest(IMAGE) == now.digest(IMAGE)
    assert again.serving.look(5).script == now.serving.look(5).script
    assert (again.join is None) == (backend == "mp")
    assert (back.number, back.changes, again.back_to) == (7, ("vllm@spark-1: image a -> b",), 7)


def test_an_image_that_lost_its_name_is_named_by_its_id() -> None:
    back = kept(stack_now(engine={"backend": "ray"}))
    steps = rollback_steps(CLUSTER, back, back.record, IMAGE.id, 30)
    names = [id_of(step) for step in ordered(steps)]
    assert names.index("image@spark-1") < names.index("image@spark-2") < names.index("vllm@spark-1")
    assert names.index("intent@spark-1") < names.index("ray-head@spark-1") < names.index("generation@spark-1")
    assert {service.image for service in stack_of(CLUSTER, back, IMAGE.id, 30).services} == {IMAGE.id}


def test_a_cluster_that_lost_a_node_is_another_one() -> None:
    back = kept(stack_now(engine={"backend": "ray"}))
    smaller = Cluster("lab", HEAD, WORKERS[:1], "10.0.0.1")
    with pytest.raises(SparkctlError, match="does not fit this cluster") as error:
        stack_of(smaller, back, back.image, 30)
    assert "the nodes or their roles have changed" in error.value.fix
