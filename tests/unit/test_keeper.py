"""The keeper, as the process that runs on a head: what comes back, in which order, and what is never tried twice."""

import fcntl
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from keeper_world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    made.serve("one")
    made.log()
    yield made
    made.close()


def test_what_serves_is_on_record_for_root_alone(world: World) -> None:
    good = world.unit("good")
    assert good["ids"] == {
        "ray-head@spark-1": "one-ray-head",
        "ray-worker@spark-2": "one-ray-worker",
        "vllm@spark-1": "one-vllm",
    }
    assert good["boots"]["spark-1"].startswith("first ")
    assert world.unit("wish") == {}
    assert world.history == [(1, "one", "serves")]
    secret = world.home / "secrets" / "spark-1" / "secret"
    assert secret.read_text() == "the key"
    assert (secret.stat().st_mode & 0o777, secret.parent.stat().st_mode & 0o777) == (0o600, 0o700)


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


def test_nothing_is_wanted_any_more_after_forget(world: World) -> None:
    assert world.keeper("forget", "serving") == 0
    world.boot("spark-1", "second")
    world.look()
    assert (world.log(), world.note) == ([], "")
    world.serve("one")
    assert world.history == [(1, "one", "serves")]


def test_worker_that_is_away_does_not_keep_a_stack_from_being_forgotten(world: World) -> None:
    (world.folder / "away-spark-2").touch()
    assert world.keeper("forget", "serving") == 0
    assert "spark-2" in world.said
    assert world.unit("good") == {}


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


def test_lock_is_left_alone_while_nothing_can_be_done(world: World) -> None:
    world.wish("two")
    world.set_aside("one")
    (world.folder / "away-spark-2").touch()
    world.look(times=2)
    assert not (world.folder / "cluster.lock").exists()
    (world.folder / "away-spark-2").unlink()
    world.look()
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


def test_record_of_another_version_is_nothing_to_the_other_stacks(world: World) -> None:
    strange = world.home / "units" / "another"
    strange.mkdir()
    (strange / "good.json").write_text('{"nodes": ["spark-1"]}')
    world.boot("spark-1", "second")
    world.go_round(times=1)
    assert world.log()[-1] == "start vllm"
    assert world.keeper("commit", "unknown") == 1
    assert "nothing is on record for unknown: run sparkctl up" in world.said


def test_containers_that_somebody_else_made_are_not_put_on_record(world: World) -> None:
    """A laptop that slept through the keeper's work goes on with its change, which is on record no more."""
    world.set_aside("one")
    world.make("two")
    assert world.keeper("commit", "serving") == 1
    assert "sparkctl-lab-ray-head on spark-1 is not the one on record" in world.said
    assert {*world.containers} >= {"one-ray-head", "one-vllm"}


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


def test_history_keeps_the_last_twenty_that_served_and_as_many_that_failed(world: World) -> None:
    (world.home / "keeper/records.py").write_text(
        (world.home / "keeper/records.py").read_text().replace("GENERATIONS = 20", "GENERATIONS = 2")
    )
    for digest, before in (("two", "one"), ("three", "two")):
        world.wish(digest)
        world.set_aside(before)
        world.make(digest)
        assert world.keeper("commit", "serving") == 0
    for _ in range(3):
        world.wish("bad")
        assert world.keeper("restore", "serving", "why") == 0, world.said
    served, failed = [(2, "two", "serves"), (3, "three", "serves")], [(n, "bad", "failed: why") for n in (5, 6)]
    assert world.history == [*served, *failed]
