"""What the keeper has on record, as the process that runs on a head, and what it forgets."""

import pytest
from keeper_world import World, one_serves

world = pytest.fixture(one_serves)


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
