"""Models and images brought alone: the right steps, with all that they stand on and nothing else."""

from dataclasses import replace

import pytest
from stack import config_of

from sparkctl.config.load import Config
from sparkctl.core.plan import id_of, ordered
from sparkctl.core.step import Layer
from sparkctl.errors import SparkctlError
from sparkctl.stacks.parts import image_steps, model_steps
from sparkctl.stacks.serving import steps
from sparkctl.steps.host import HostStep
from sparkctl.steps.image import CarryStep, PullStep
from sparkctl.steps.model import ModelStep
from sparkctl.topology import Cluster, Node, Role

WORKER = Node("spark-2", Role.WORKER, "10.0.0.2", "nvidia", fabric_ip="192.168.100.11")
HEAD = Node("spark-1", Role.HEAD, "10.0.0.1", "nvidia", fabric_ip="192.168.100.10")
CLUSTER = Cluster("lab", HEAD, (WORKER,), "10.0.0.1")


def config(kind: str = "copy") -> Config:
    loaded = config_of(CLUSTER)
    store = loaded.profile.store.model_copy(update={"kind": kind})
    return replace(loaded, profile=loaded.profile.model_copy(update={"store": store}))


def test_the_models_of_the_profile_come_with_what_they_stand_on() -> None:
    found = model_steps(config(), ())
    keys = [id_of(step) for step in found]
    assert {"model@spark-1", "copy@spark-2", "cache@spark-1", "state@spark-2", "host@spark-1"} <= set(keys)
    assert not any(isinstance(step, PullStep | CarryStep) or step.layer is Layer.WORKLOAD for step in found)
    every = {id_of(step) for step in steps(config())}
    assert all(need in keys for step in found for need in step.needs if need in every)
    assert len(ordered(found)) == len(found)


def test_with_a_shared_cache_nothing_is_copied() -> None:
    assert "copy@spark-2" not in [id_of(step) for step in model_steps(config("nfs"), ())]


def test_strangers_come_side_by_side_with_a_served_one() -> None:
    served = config().served[0].model.id
    found = model_steps(config(), ("a/b", "c/d", served))
    sources = {step.name: step.source.model for step in found if isinstance(step, ModelStep)}
    assert sources == {"model": served, "model:a/b": "a/b", "model:c/d": "c/d"}
    assert {"copy:a/b@spark-2", "copy:c/d@spark-2", "copy@spark-2"} <= {id_of(step) for step in found}


@pytest.mark.parametrize("model", ["a/b", ""])
def test_a_revision_is_that_of_the_one_model(model: str) -> None:
    wanted = model or config().served[0].model.id
    (step,) = (step for step in model_steps(config(), (wanted,), "v2") if isinstance(step, ModelStep))
    assert (step.source.model, step.source.revision) == (wanted, "v2")


def test_a_node_without_a_gpu_can_hold_a_model() -> None:
    hosts = [step for step in model_steps(config(), ()) if isinstance(step, HostStep)]
    assert hosts and all(step.wish.gpu == "" and step.wish.disk_gib for step in hosts)


def test_images_come_to_the_head_and_to_the_workers() -> None:
    found = image_steps(config())
    brought = {id_of(step) for step in found if isinstance(step, PullStep | CarryStep)}
    assert brought == {"image@spark-1", "image@spark-2"}
    assert not any(step.layer in (Layer.MODEL, Layer.WORKLOAD) for step in found)


def test_a_profile_without_a_model_has_nothing_to_pull() -> None:
    loaded = config()
    empty = replace(loaded, profile=loaded.profile.model_copy(update={"model": None}))
    for models in ((), ("a/b",)):
        with pytest.raises(SparkctlError):
            model_steps(empty, models)
