"""A change and the keeper: what serves replaces the old, and what fails is taken back."""

import pytest
from keeper_world import World, one_serves

world = pytest.fixture(one_serves)


def test_change_that_serves_replaces_the_old_for_good(world: World) -> None:
    world.wish("two")
    world.set_aside("one")
    world.make("two")
    assert world.keeper("commit", "serving") == 0
    assert {*world.containers} == {"two-ray-head", "two-ray-worker", "two-vllm"}
    volumes = [line for line in world.log() if line.startswith("volume")]
    assert volumes == ["volume rm ray-head-tmp", "volume rm ray-worker-tmp", "volume rm vllm-tmp"], "which is in use"
    assert world.history == [(1, "one", "serves"), (2, "two", "serves")]


def test_change_that_fails_is_taken_back(world: World) -> None:
    world.wish("two")
    world.set_aside("one")
    world.make("two", works=False)
    world.log()
    assert world.keeper("restore", "serving", "vllm ended with status 2") == 0, world.said
    assert world.log() == [
        *("rm ray-head", "rm vllm", "rm ray-worker"),
        *("rename ray-head-previous", "rename ray-worker-previous", "rename vllm-previous"),
        *("start ray-head", "start ray-worker", "start vllm"),
    ]
    assert world.running() == {"one-ray-head", "one-ray-worker", "one-vllm"}
    assert world.note.startswith("vllm ended with status 2; generation 1 was put back and answers again after")
    assert "clients had no answers for" in world.note
    assert world.history == [(1, "one", "serves"), (2, "two", "failed: vllm ended with status 2")]
    assert world.unit("wish") == {}


def test_change_of_the_server_alone_leaves_ray_running(world: World) -> None:
    world.wish("two")
    state = world.containers
    state["one-vllm"] |= {"name": "sparkctl-lab-vllm-previous", "status": "exited"}
    world.put(state)
    world.make("two", only=("vllm",), works=False)
    assert world.keeper("restore", "serving", "why") == 0
    assert world.log() == ["rm vllm", "rename vllm-previous", "start vllm"]


def test_old_stack_that_does_not_come_back_either_is_said(world: World) -> None:
    world.wish("two")
    world.set_aside("one")
    state = world.containers
    state["one-vllm"]["works"] = False
    world.put(state)
    assert world.keeper("restore", "serving", "why") == 1
    assert "generation 1 did not come back either: vllm@spark-1 ended with status 1" in world.note
    assert world.unit("wish") == {}


def test_old_stack_that_is_gone_is_said_once_and_not_tried_for_ever(world: World) -> None:
    world.wish("two")
    world.set_aside("one")
    state = world.containers
    del state["one-vllm"]
    world.put(state)
    world.make("two", only=("ray-head",))
    world.go_round(times=4)
    gone = "container sparkctl-lab-vllm on spark-1 is gone: run sparkctl up"
    assert world.note.endswith(f"generation 1 cannot be put back: {gone}")
    assert world.history == [
        (1, "one", "serves"),
        (2, "two", "failed: sparkctl was cut off in the middle of a change"),
    ]


def test_change_that_cannot_be_taken_back_yet_is_one_line_of_the_history(world: World) -> None:
    world.wish("two")
    world.set_aside("one")
    world.make("two", works=False)
    (world.folder / "away-spark-2").touch()
    for _ in range(3):
        assert world.keeper("restore", "serving", "why") == 1
    assert world.note.startswith("why; generation 1 is not put back yet: spark-2: ")
    (world.folder / "away-spark-2").unlink()
    world.look()
    assert world.history == [(1, "one", "serves"), (2, "two", "failed: why")]
    assert world.running() == {"one-ray-head", "one-ray-worker", "one-vllm"}


def test_failed_change_that_is_tried_again_and_serves_is_another_generation(world: World) -> None:
    world.wish("two")
    world.set_aside("one")
    (world.folder / "away-spark-2").touch()
    assert world.keeper("restore", "serving", "why") == 1
    (world.folder / "away-spark-2").unlink()
    world.make("two")
    assert world.keeper("commit", "serving") == 0, world.said
    assert world.history == [(1, "one", "serves"), (2, "two", "failed: why"), (3, "two", "serves")]
    assert "failed" not in world.unit("good")
