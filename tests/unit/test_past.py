"""A generation of the past is the stack that it was: the same containers, in the same order, under the same hashes."""

import json
from dataclasses import replace
from typing import Any

import pytest
from stack import stack_of as stack_steps_of

from sparkctl.cli.rollback import chosen
from sparkctl.core.plan import id_of, ordered
from sparkctl.core.step import Blocked, Ok
from sparkctl.errors import SparkctlError
from sparkctl.facts.docker import ImageFact
from sparkctl.facts.kept import Generation, KeptFact, UnitFact, history_probe
from sparkctl.facts.probe import Answer, Facts
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
    steps = rollback_steps(CLUSTER, back, back.record, IMAGE.id, "/cache", 30)
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


def test_a_generation_whose_model_was_pruned_is_refused_before_anything_stops() -> None:
    back = kept(stack_now(engine={"backend": "mp"}))
    model = next(step for step in rollback_steps(CLUSTER, back, {}, IMAGE.id, "/cache", 30) if step.name == "model")
    (want,) = model.wants
    gone = model.check(Facts({"spark-1": {want.probe.name: Answer("", rc=1)}}))
    assert isinstance(gone, Blocked)
    assert gone.problem == f"spark-1 has no whole {back.model}@{back.revision} any more"
    whole = json.dumps({"commit": "abc", "files": [["a", 3]]}) + "\n3 abc/a\n"
    assert isinstance(model.check(Facts({"spark-1": {want.probe.name: Answer(whole)}})), Ok)


def test_ollama_has_a_store_of_its_own() -> None:
    back = kept(stack_now(engine={"backend": "mp"}))
    steps = rollback_steps(CLUSTER, replace(back, record={**back.record, "engine": "ollama"}), {}, IMAGE.id, "/c", 30)
    assert "model" not in {step.name for step in steps}


def generation(number: int, unit: str, outcome: str = "serves") -> Generation:
    """One line of a history."""
    values = {"generation": number, "unit": unit, "outcome": outcome, "digest": f"d{number}"}
    (found,) = history_probe(CLUSTER).parse(Answer(json.dumps(values) + "\n"))
    return found


def keeps(**digests: str) -> KeptFact:
    return KeptFact({name: UnitFact(digest) for name, digest in digests.items()}, {})


def test_without_a_number_it_is_the_one_before_of_what_serves() -> None:
    past = [generation(1, "main"), generation(2, "dev"), generation(3, "main"), generation(4, "main", "failed: x")]
    assert chosen(past, keeps(main="d3"), 0).number == 1
    assert chosen(past, keeps(), 0).number == 3, "after a stop, what served last"
    with pytest.raises(SparkctlError, match="several models serve"):
        chosen(past, keeps(main="d3", dev="d2"), 0)
    with pytest.raises(SparkctlError, match="nothing to go back to"):
        chosen(past, keeps(dev="d2"), 0)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (999, "no generation 999"),
        (4, "generation 4 never served: failed: x"),
        (2, "is of dev, beside which main would"),
    ],
)
def test_a_number_that_is_no_way_back_is_refused(number: int, words: str) -> None:
    past = [generation(1, "main"), generation(2, "dev"), generation(3, "main"), generation(4, "main", "failed: x")]
    with pytest.raises(SparkctlError, match=words) as error:
        chosen(past, keeps(main="d3"), number)
    assert "sparkctl" in error.value.fix
