"""A change that was cut off, by a vanished sparkctl or a power cut: the keeper brings it to an end."""

import fcntl
from pathlib import Path

import pytest
from keeper_world import World, one_serves

world = pytest.fixture(one_serves)


def test_change_is_left_alone_while_sparkctl_holds_the_lock(world: World) -> None:
    world.wish("two")
    world.set_aside("one")
    with (world.folder / "cluster.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        world.look(times=2)
    assert world.log() == []


def test_change_whose_sparkctl_vanished_before_all_was_made_is_taken_back(world: World) -> None:
    world.wish("two")
    world.set_aside("one")
    world.make("two", only=("ray-head",))
    world.look()
    assert world.running() == {"one-ray-head", "one-ray-worker", "one-vllm"}
    assert "sparkctl was cut off in the middle of a change; generation 1 was put back" in world.note


def test_change_whose_sparkctl_vanished_is_finished_where_it_serves(world: World) -> None:
    world.wish("two")
    world.set_aside("one")
    world.make("two")
    world.look()
    assert world.running() == {"two-ray-head", "two-ray-worker", "two-vllm"}
    assert world.history[-1] == (2, "two", "serves")


def test_change_whose_sparkctl_vanished_is_waited_for_until_its_time_is_over(world: World) -> None:
    api = world.record("two")["api"]
    world.wish("two", api={**api, "seconds": 3600})
    world.set_aside("one")
    world.make("two", serves=False)
    world.log()
    world.look(times=2)
    assert world.log() == []
    world.wish("two", api={**api, "seconds": 0.1})
    world.look_until_settled()
    assert world.running() == {"one-ray-head", "one-ray-worker", "one-vllm"}
    assert "no token came within" in world.note


def test_first_deployment_that_was_cut_off_is_given_up(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.wish("one")
    world.make("one", only=("ray-head",))
    world.look(times=2)
    assert world.note == "sparkctl was cut off in the middle of a change; nothing served before that could be put back"
    assert world.unit("wish") == {}
    world.close()


def test_lock_is_left_alone_while_nothing_can_be_done(world: World) -> None:
    world.wish("two")
    world.set_aside("one")
    (world.folder / "away-spark-2").touch()
    world.look(times=2)
    assert not (world.folder / "cluster.lock").exists()
    (world.folder / "away-spark-2").unlink()
    world.look()
    assert world.running() == {"one-ray-head", "one-ray-worker", "one-vllm"}


@pytest.mark.parametrize(("verb", "power"), [("commit", False), ("commit", True), ("restore", True)])
def test_cut_short_at_any_point_one_generation_serves_in_the_end(world: World, verb: str, power: bool) -> None:
    world.wish("two")
    world.set_aside("one")
    world.make("two", works=verb == "commit")
    before, cut, after = world.keep(), True, 0
    while cut:
        cut = world.keeper_cut_short(after, verb, "serving", *(["why"] if verb == "restore" else []))
        if power:
            world.boot("spark-1", "second")
            world.boot("spark-2", "second")
        world.look(times=2)
        world.check(after)
        world.put_back(before)
        after += 1
    assert after > 8, "or nothing was cut short"
