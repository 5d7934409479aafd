"""The keeper after a boot: what comes back, in which order, and what stays down."""

import json

import pytest
from keeper_world import World, one_serves

world = pytest.fixture(one_serves)


def test_without_a_new_boot_a_crashed_engine_stays_down(world: World) -> None:
    state = world.containers
    state["one-vllm"] |= {"status": "exited", "code": 139}
    world.put(state)
    world.look(times=3)
    assert world.log() == []


def test_power_cycle_of_both_brings_all_back_in_order(world: World) -> None:
    world.boot("spark-1", "second")
    world.boot("spark-2", "second")
    world.look()
    assert world.log() == ["start ray-head", "start ray-worker", "start vllm"]
    assert "came back by itself" in world.note
    lives = world.unit("good")["lives"]
    assert lives["one-vllm/2026-11-21T09:00:00.2"] == [
        "one-ray-head/2026-11-21T09:00:00.2",
        "one-ray-work/2026-11-21T09:00:00.2",
    ]
    world.look()
    assert world.log() == []


def test_power_cycle_of_a_worker_stops_what_stood_on_it_first(world: World) -> None:
    world.boot("spark-2", "second")
    world.look()
    assert world.log() == ["stop vllm", "start ray-worker", "start vllm"]
    assert world.running() == {"one-ray-head", "one-ray-worker", "one-vllm"}


def test_worker_that_boots_later_is_waited_for(world: World) -> None:
    (world.folder / "away-spark-2").touch()
    world.boot("spark-1", "second")
    world.look(times=2)
    assert world.log() == []
    assert world.note == "waiting for spark-2, which does not answer over the fabric"
    (world.folder / "away-spark-2").unlink()
    world.boot("spark-2", "second")
    world.look()
    assert world.log() == ["start ray-head", "start ray-worker", "start vllm"]


def test_worker_that_was_only_away_changes_nothing(world: World) -> None:
    (world.folder / "away-spark-2").touch()
    world.look()
    (world.folder / "away-spark-2").unlink()
    world.look()
    assert (world.log(), world.note) == ([], "")


def test_engine_that_does_not_come_back_is_tried_once_for_a_boot(world: World) -> None:
    state = world.containers
    state["one-vllm"] |= {"works": False}
    world.put(state)
    world.boot("spark-1", "second")
    world.look(times=3)
    assert world.log() == ["stop ray-worker", "start ray-head", "start ray-worker", "start vllm"]
    assert "did not come back after a boot: vllm@spark-1 ended with status 1 while loading" in world.note
    world.look()
    assert world.log() == []


def test_too_little_memory_starts_nothing(world: World) -> None:
    good = world.unit("good")
    good["memory"]["spark-2"] = 1 << 60
    (world.home / "units/serving/good.json").write_text(json.dumps(good))
    (world.home / "keeper/stack.py").write_text(
        (world.home / "keeper/stack.py").read_text().replace("MEMORY_SECONDS = 60.0", "MEMORY_SECONDS = 0.0")
    )
    world.boot("spark-1", "second")
    world.look()
    assert world.log() == ["stop ray-worker"]
    assert "of memory available, the stack takes" in world.note


@pytest.mark.parametrize(
    ("services", "at", "stays"),
    [
        (["vllm"], "2026-11-21T09:30:00Z", True),
        (["vllm"], "2026-11-21T08:30:00Z", False),
        (["another"], "2026-11-21T09:30:00Z", False),
    ],
    ids=["tripped", "before it was started", "another stack"],
)
def test_what_the_watchdog_had_stopped_stays_down_until_up(
    world: World, services: list[str], at: str, stays: bool
) -> None:
    trip = {"at": at, "reason": "less than 4 GiB for 5 s", "did": "stopped", "services": services}
    (world.home / "trips.json").write_text(json.dumps({"schema": 1, "trips": [trip]}))
    world.boot("spark-1", "second")
    world.look()
    assert (world.log() == []) == stays
    assert ("the memory watchdog of spark-1 had stopped it: less than 4 GiB for 5 s" in world.note) == stays


def test_lock_that_somebody_made_a_link_is_not_written_through(world: World) -> None:
    target = world.folder / "precious"
    target.write_text("precious")
    (world.folder / "cluster.lock").unlink(missing_ok=True)
    (world.folder / "cluster.lock").symlink_to(target)
    world.boot("spark-1", "second")
    world.go_round(times=1)
    assert (target.read_text(), world.log()) == ("precious", [])


def test_secret_that_a_power_cut_tore_is_put_back(world: World) -> None:
    (world.folder / "secret").write_text("")
    world.boot("spark-1", "second")
    world.look()
    assert (world.folder / "secret").read_text() == "the key"
