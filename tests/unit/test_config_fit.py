"""What a profile asks for against what the nodes have: their number, GPUs, memory, ports."""

import pytest
from config_world import SGLANG_PROFILE, TINY_PROFILE, TWO_SPARKS, World, problems, two_sparks

from sparkctl.errors import Problem

SPARK = TINY_PROFILE + "host: {gpu: NVIDIA GB10}\n"
world = pytest.fixture(two_sparks)


def test_more_nodes_than_there_are(world: World) -> None:
    assert problems(world, TINY_PROFILE + "nodes: 3\n") == (
        Problem("profiles/tiny.yaml:4", "nodes", "3", "at most 2, as many as are configured"),
    )


def test_fewer_nodes_than_there_are(world: World) -> None:
    world.shared(**TWO_SPARKS, WORKER_IPS="192.168.100.11,192.168.100.12", WORKER_SSH_TARGETS="192.168.1.6,c")
    config = world.profile("tiny", TINY_PROFILE + "nodes: 2\n").load("tiny")
    assert len(config.cluster.nodes) == 2
    assert config.notes == ("2 of 3 nodes take part: the profile says nodes: 2",)


def test_more_gpus_than_there_are(world: World) -> None:
    accepted = "2: one GPU on each of 2 nodes; nodes: N in a profile uses fewer"
    assert problems(world, TINY_PROFILE + "engine:\n  tensor_parallel: 4\n") == (
        Problem("profiles/tiny.yaml:5", "engine.tensor_parallel", "4", accepted),
    )
    assert world.problems("stacked", TENSOR_PARALLEL="1") == (Problem("flag", "TENSOR_PARALLEL", "1", accepted),)


def test_pipeline_stages_count(world: World) -> None:
    text = TINY_PROFILE + "engine: {tensor_parallel: 1, extra_args: [--pipeline-parallel-size, '2']}\n"
    assert world.profile("tiny", text).load("tiny").profile.engine.tensor_parallel == 1


@pytest.mark.parametrize(
    ("arguments", "found", "accepted"),
    [
        ("--pipeline-parallel-size 2", "2 x 2 pipeline stages", "1: "),
        ("--data_parallel_size=2", "2 x 2 replicas", "1: "),
        ("-pp 4 -pp 2", "2 x 2 pipeline stages", "1: "),
        ("-pp 2 -dp 2", "2 pipeline stages x 2 replicas", "what divides 2: "),
        ("--pipeline-parallel-size=4", "4 pipeline stages", "what divides 2: "),
        ("-pp 0", "0 pipeline stages", "what divides 2: "),
    ],
)
def test_gpus_of_all_kinds_of_parallelism_are_counted(world: World, arguments: str, found: str, accepted: str) -> None:
    accepted += "one GPU on each of 2 nodes; nodes: N in a profile uses fewer"
    (problem,) = world.problems("stacked", EXTRA_ARGS=arguments)
    assert (problem.found, problem.accepted) == (found, accepted)
    assert problem.name == ("engine.tensor_parallel" if accepted[0] == "1" else "EXTRA_ARGS")
    words = ", ".join(f"'{word}'" for word in arguments.split())
    (problem,) = problems(world, TINY_PROFILE + f"engine: {{extra_args: [{words}]}}\n")
    assert (problem.found, problem.accepted) == (found, accepted)
    assert problem.where == "profiles/tiny.yaml:4"


def test_one_gpu_of_each_node_is_fine_however_it_is_split(world: World) -> None:
    for arguments in ("-dp 2", "-pp 2", "--data-parallel-size-local 1 --data-parallel-size 2", "-pcp 2"):
        world.load("stacked", TENSOR_PARALLEL="1", EXTRA_ARGS=arguments)


def test_the_ways_of_every_engine_are_counted(world: World) -> None:
    for name, flags in (
        ("sglang", "--pp-size, '2'"),
        ("sglang", "--dp-size=2"),
        ("sglang", "--dp=2"),
        ("trtllm", "--cp_size, '2'"),
    ):
        text = SGLANG_PROFILE.replace("sglang", name) + f"  tensor_parallel: 1\n  extra_args: [{flags}]\n"
        world.profile("tiny", text).load("tiny")
        assert " x 2 " in problems(world, text.replace("l: 1", "l: 2"))[0].found
    text = SGLANG_PROFILE + "  extra_args: [--dp-size, '2', --enable-dp-attention]\n"
    world.profile("tiny", text).load("tiny")


def test_every_replica_needs_all_of_the_weights(world: World) -> None:
    text = SPARK + "engine: {weights_gib: 120, tensor_parallel: 1, extra_args: [-dp, '2']}\n"
    assert problems(world, text)[0].found == "120 GiB on 2 nodes need 124 GiB each"
    assert world.profile("tiny", text.replace("-dp", "-pp")).load("tiny")


def test_more_memory_than_there_is(world: World) -> None:
    text = SPARK + "engine: {weights_gib: 218, gpu_memory_utilization: 0.8}\n"
    assert problems(world, text) == (
        Problem(
            "profiles/tiny.yaml:5",
            "engine.weights_gib",
            "218 GiB on 2 nodes need 113 GiB each",
            "at most 97 GiB a node: 0.8 of 121.7 GiB",
        ),
    )
    assert world.profile("tiny", text.replace("218", "180")).load("tiny")


@pytest.mark.parametrize("flag", ["--host", "--tensor-parallel-size=2", "--served_model_name", "--swap-space"])
def test_arguments_that_sparkctl_sets(world: World, flag: str) -> None:
    (problem,) = problems(world, TINY_PROFILE + f"engine: {{extra_args: ['{flag}', x]}}\n")
    assert problem.found == "an argument that sparkctl sets"
    assert problem.accepted.startswith(f"arguments without {flag.partition('=')[0].replace('_', '-')}; use ")


def test_one_port_for_two_services(world: World) -> None:
    assert problems(world, TINY_PROFILE + "ports:\n  api: 6379\n") == (
        Problem("profiles/tiny.yaml:5", "ports.api", "6379, as ray", "a port of its own"),
    )
    world.profile("tiny", TINY_PROFILE)
    assert world.problems("tiny", RAY_PORT="29501") == (
        Problem("flag", "RAY_PORT", "29501, as master", "a port of its own"),
    )


def test_a_guard_that_stops_what_a_plan_lets_start_is_noted(world: World) -> None:
    world.profile("tiny", f"{TINY_PROFILE}guard: {{low_gib: 24}}\n")
    note = "guard.low_gib is 24, host.reserve_gib 10: the watchdog stops an engine that a plan lets start"
    assert note in world.load("tiny").notes
