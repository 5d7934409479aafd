"""Several models of one profile: where each runs, what each inherits, what they share, and what cannot be."""

import pytest
from config_world import World, two_sparks

from sparkctl.core.plan import id_of, ordered
from sparkctl.core.service import Service
from sparkctl.core.step import Layer
from sparkctl.engines.engine import Backend
from sparkctl.errors import Problem, SparkctlError
from sparkctl.runtimes.docker import ContainerStep
from sparkctl.stacks import serving
from sparkctl.stacks.workload import Workload
from sparkctl.steps.leftovers import LeftoversStep
from sparkctl.steps.model import ModelStep
from sparkctl.steps.serving import ServingStep

TEXT = """
name: pair
image: {ref: 'registry.lab:5000/vllm:1'}
engine: {backend: mp, max_model_len: 2048, env: {A: "1"}, gpu_memory_utilization: 0.4}
host: {gpu: ''}
models:
  big:
    model: {id: lab/big}
  small:
    model: {id: lab/small, served_name: tiny}
    nodes: [1]
    engine: {max_model_len: 512, env: {B: "2"}}
    ports: {api: 8001, master: 29502}
  sleeper:
    model: {id: lab/small}
    image: {ref: 'registry.lab:5000/vllm:2'}
    nodes: head
    start: demand
    engine: {gpu_memory_utilization: 0.8}
    ports: {api: 8002}
    role: {description: Sleeps, temperature: 0.1}
"""


world = pytest.fixture(two_sparks)


def problems(world: World, text: str, **flags: str) -> tuple[Problem, ...]:
    return world.profile("pair", text).problems("pair", None, **flags)


def test_each_model_has_its_nodes_and_what_it_does_not_say_is_the_profile_s(world: World) -> None:
    big, small, sleeper = world.profile("pair", TEXT).load("pair").served
    assert [node.name for node in big.cluster.nodes] == ["spark-1", "spark-2"]
    assert [node.name for node in small.cluster.nodes] == ["spark-2"]
    assert (big.engine.max_model_len, small.engine.max_model_len) == (2048, 512)
    assert small.engine.env == {"A": "1", "B": "2"}
    assert (big.tensor_parallel, small.tensor_parallel) == (2, 1)
    assert [(s.image.ref[-1], s.on_demand) for s in (big, small, sleeper)] == [("1", False), ("1", False), ("2", True)]
    assert sleeper.role is not None
    assert (small.served_name, sleeper.role.temperature) == ("tiny", 0.1)


def test_a_model_on_a_worker_answers_there(world: World) -> None:
    url = world.profile("pair", TEXT).load("pair").served[1].url
    assert url == "http://192.168.100.11:8001/v1", "on the fabric, where the worker has no other address"
    known = world.load("pair", WORKER_API_IPS="192.168.1.6")
    assert known.served[1].url == "http://192.168.1.6:8001/v1"
    (problem,) = world.problems("pair", WORKER_API_IPS="192.168.1.6,192.168.1.7")
    assert (problem.name, problem.found) == ("WORKER_API_IPS", "2 for 1 workers")


def test_up_starts_what_does_not_wait_and_brings_all_that_is_needed_once(world: World) -> None:
    config = world.profile("pair", TEXT).load("pair")
    steps = serving.steps(config)
    assert len({id_of(step) for step in steps}) == len(steps)
    assert [step.name for step in steps if isinstance(step, ServingStep)] == ["serving-big", "serving-small"]
    pulled = {id_of(step) for step in steps if step.layer in (Layer.IMAGE, Layer.MODEL) and "check" not in step.name}
    assert {"image-big@spark-1", "image-big@spark-2", "image-sleeper@spark-1"} <= pulled
    assert "image-sleeper@spark-2" not in pulled, "the sleeper runs on the head alone"
    assert {"model-big@spark-1", "model-small@spark-1"} <= pulled
    assert "model-sleeper@spark-1" not in pulled, "it is that of small"
    wanted = {need for step in steps if step.layer is not Layer.HOST for need in step.needs}
    assert wanted - {id_of(step) for step in steps} == set(), "every need is a step"
    assert len(ordered(steps)) == len(steps)


@pytest.mark.parametrize(
    ("small", "sleeper", "fetched"),
    [("", "", ("*",)), ("a*", "", ("*",)), ("a*", "b*", ("a*", "b*")), ("a*", "a*", ("a*",))],
)
def test_two_models_of_one_repository_bring_what_either_asks_for(
    world: World, small: str, sleeper: str, fetched: tuple[str, ...]
) -> None:
    text = TEXT.replace("lab/small, served_name", f"lab/small, allow: [{small and repr(small)}], served_name")
    text = text.replace("{id: lab/small}", f"{{id: lab/small, allow: [{sleeper and repr(sleeper)}]}}")
    made = [s for s in serving.steps(world.profile("pair", text).load("pair")) if isinstance(s, ModelStep)]
    assert [step.source.allow for step in made if step.source.model == "lab/small"] == [fetched]


def test_names_of_services_and_volumes_are_each_model_s_own(world: World) -> None:
    config = world.profile("pair", TEXT.replace("backend: mp", "backend: ray")).load("pair")
    head, worker, api = Workload(config, config.served[0]).services(Backend.RAY)
    assert (head.name, worker.name, api.name, api.joins) == (
        "ray-head-big", "ray-worker-big", "vllm-big", "ray-head-big",
    )  # fmt: skip
    assert set(api.stands_on) == {("ray-head-big", "spark-1"), ("ray-worker-big", "spark-2")}
    assert [name for name in head.volumes if not name.endswith("-big")] == []


def services_of(step: ContainerStep) -> tuple[Service, ...]:
    return step.services


def test_what_another_model_runs_is_no_leftover(world: World) -> None:
    config = world.profile("pair", TEXT).load("pair")
    judges = [step for step in serving.steps(config) if isinstance(step, LeftoversStep) and step.node == "spark-1"]
    assert [(step.name, step.strays) for step in judges] == [
        ("leftovers-big", True), ("leftovers-small", False), ("leftovers-sleeper", False),
    ]  # fmt: skip
    big, small, sleeper = judges
    assert "vllm-big" in big.wished
    assert small.wished == frozenset(), "its node is the other one"
    assert sleeper.wished == {"vllm-sleeper"}, "a role that runs goes on, one that does not is not started"
    assert {"vllm-big", "vllm-small", "vllm-sleeper"} <= big.known


def test_down_takes_roles_away_too(world: World) -> None:
    config = world.profile("pair", TEXT).load("pair")
    made = [step for step in serving.all_steps(config) if isinstance(step, ContainerStep)]
    names = {service.name for step in made for service in services_of(step)}
    assert {"vllm-big", "vllm-rank1-big", "vllm-small", "vllm-sleeper"} == {n for n in names if n.startswith("vllm")}


def test_a_model_is_chosen_by_either_name(world: World) -> None:
    config = world.profile("pair", TEXT).load("pair")
    assert serving.chosen(config).name == "big"
    assert serving.chosen(config, "tiny").name == "small"
    with pytest.raises(SparkctlError, match="no model named dev") as caught:
        serving.chosen(config, "dev")
    assert caught.value.fix == "there are: big, small, sleeper"
    assert [place.name for place in serving.endpoints(config)] == ["big", "small"]


@pytest.mark.parametrize(
    ("old", "new", "name", "found"),
    [
        ("nodes: [1]", "nodes: [2]", "models.small.nodes", "2"),
        ("nodes: [1]", "nodes: [1, 1]", "models.small.nodes", "1, 1"),
        ("nodes: [1]", "nodes: []", "models.small.nodes", "no rank"),
        ("api: 8001, master: 29502", "api: 8000", "models.small.ports.api", "8000, as models.big.ports.api"),
        ("gpu_memory_utilization: 0.4", "gpu_memory_utilization: 0.5",
         "models.small.engine.gpu_memory_utilization", "big 0.5 + small 0.5 = 1.00 on spark-2"),
        ("backend: mp", "backend: mp, tensor_parallel: 2", "models.small.engine.tensor_parallel", "2"),
        ("engine: {max_model_len: 512", "engine: {name: vlm, max_model_len: 512", "models.small.engine.name", "'vlm'"),
        ("engine: {max_model_len: 512", "engine: {extra_args: ['--port=1']",
         "models.small.engine.extra_args", "an argument that sparkctl sets"),
        ("    model: {id: lab/big}", "    modl: {id: lab/big}", "models.big.modl", "unknown key"),
        ("image: {ref: 'registry.lab:5000/vllm:1'}", "", "models.big", "no image"),
    ],
)  # fmt: skip
def test_what_cannot_be_says_where(world: World, old: str, new: str, name: str, found: str) -> None:
    text = TEXT.replace(old, new, 1)
    assert text != TEXT
    assert (name, found) in {(problem.name, problem.found) for problem in problems(world, text)}


@pytest.mark.parametrize("word", ["check", "model", "rank1"])
def test_a_name_that_a_part_of_another_model_has(world: World, word: str) -> None:
    (problem,) = problems(world, TEXT.replace("  sleeper:", f"  {word}-small:"))
    assert (problem.name, problem.found) == (f"models.{word}-small", "as a part of another model is called")
    assert world.profile("pair", TEXT.replace("  sleeper:", f"  {word}-else:")).load("pair").served


@pytest.mark.parametrize("name", ["Small", "'a b'", "1st", "x" * 32])
def test_names_of_models(world: World, name: str) -> None:
    (problem,) = problems(world, TEXT.replace("  sleeper:", f"  {name}:"))
    assert (problem.name, problem.found) == ("models", f"'{name.strip(chr(39))}'")
    assert problem.accepted.startswith("a name of at most 31 small letters")


def test_a_variable_is_named_where_it_is_at_fault(world: World) -> None:
    found = problems(world, TEXT, TENSOR_PARALLEL="2")
    assert [(problem.name, problem.where) for problem in found] == [("TENSOR_PARALLEL", "flag")]


def test_a_variable_that_a_model_does_not_hear_is_a_note(world: World) -> None:
    notes = world.profile("pair", TEXT).load("pair", None, MAX_MODEL_LEN="4096", GPU_MEMORY_UTIL="0.3").notes
    assert "MAX_MODEL_LEN does not reach small: models.NAME.engine.max_model_len stands in the profile" in notes
    assert any(note.startswith("GPU_MEMORY_UTIL does not reach sleeper: ") for note in notes)
    assert not any("does not reach" in note for note in world.load("pair").notes)


def test_either_one_model_or_several(world: World) -> None:
    problem, *_ = problems(world, TEXT + "model: {id: lab/big}\n")
    assert (problem.name, problem.found) == ("model", "both model and models")


@pytest.mark.parametrize(("variable", "value"), [("MODEL", "lab/other")])
def test_a_variable_that_names_one_of_several(world: World, variable: str, value: str) -> None:
    (problem,) = problems(world, TEXT, **{variable: value})
    assert (problem.where, problem.name, problem.found) == ("flag", variable, "set")
    assert "models.NAME.model.id" in problem.accepted
