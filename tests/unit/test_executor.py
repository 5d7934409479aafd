"""The executor, worked with small steps on fake hosts: the order of steps, and what is looked at again."""

import threading
import time

import pytest
from fake_steps import FakeStep, World, new_world, outcomes

from sparkctl.core.action import Context, Progress
from sparkctl.core.events import RunEnded, RunStarted, StepEnded, StepMoved, StepStarted
from sparkctl.core.step import Layer

world = pytest.fixture(new_world)


def test_steps_follow_their_needs_over_nodes(world: World) -> None:
    steps = (
        FakeStep(world, "three", "a", needs=("two@b",)),
        FakeStep(world, "two", "b", needs=("one@a",)),
        FakeStep(world, "one", "a"),
    )
    outcome = world.up(*steps)
    assert world.log == ["make one@a", "make two@b", "make three@a"]
    assert outcome.changed and outcome.failed is None and not outcome.interrupted and outcome.skipped == ()


def test_what_is_there_is_left_alone(world: World) -> None:
    world.things = {"one@a": "there"}
    world.up(FakeStep(world, "one"), FakeStep(world, "two"))
    assert world.log == ["make two@a"]
    assert outcomes(world) == {"two@a": "changed"}


def test_a_step_on_a_changed_one_is_looked_at_again(world: World) -> None:
    world.things = {"two@a": "there"}
    world.up(FakeStep(world, "one"), FakeStep(world, "two", needs=("one@a",)))
    assert outcomes(world) == {"one@a": "changed", "two@a": "unchanged"}


def test_events_tell_the_whole_story(world: World) -> None:
    world.up(FakeStep(world, "one", work=lambda c: c.report(Progress("half", 1, 2, "B"))))
    started, begun, *moved, ended, over = world.events
    assert started == RunStarted("up", ("a", "b"), (("one@a", ()),))
    assert begun == StepStarted("one@a", "a")
    assert [(m.message, m.done) for m in moved if isinstance(m, StepMoved)] == [("make one@a", 0), ("half", 1)]
    assert isinstance(ended, StepEnded) and ended.outcome == "changed" and ended.seconds >= 0
    assert isinstance(over, RunEnded) and over.outcome == "done" and over.seconds >= ended.seconds


@pytest.mark.parametrize(("node", "layer"), [("b", Layer.HOST), ("a", Layer.IMAGE)])
def test_lanes_overlap(world: World, node: str, layer: Layer) -> None:
    """Each waits for the other: only side by side do they end."""
    meet = threading.Barrier(2, timeout=60)

    def both_arrive(_: Context) -> None:
        meet.wait()

    steps = (
        FakeStep(world, "one", "a", work=both_arrive),
        FakeStep(world, "two", node, layer=layer, work=both_arrive),
    )
    assert world.up(*steps).failed is None


def test_one_lane_is_one_thing_at_a_time(world: World) -> None:
    busy = threading.Lock()

    def alone(_: Context) -> None:
        assert busy.acquire(blocking=False)
        time.sleep(0.02)
        busy.release()

    world.up(*(FakeStep(world, f"s{n}", work=alone) for n in range(4)))
    assert len(world.log) == 4


def test_pending_is_looked_at_again_once_its_need_is_done(world: World) -> None:
    outcome = world.up(FakeStep(world, "one"), FakeStep(world, "two", needs=("one@a",), until="one@a"))
    assert world.log == ["make one@a", "make two@a"]
    assert outcome.failed is None


def test_pending_that_stays_unknown_is_an_error(world: World) -> None:
    outcome = world.up(FakeStep(world, "one"), FakeStep(world, "two", needs=("one@a",), until="never@a"))
    assert outcome.failed is not None and "still unknown although never@a is done" in outcome.failed.what
    assert world.log == ["make one@a"]


def test_what_became_as_wished_in_the_meantime_is_not_done_twice(world: World) -> None:
    first = FakeStep(world, "one", work=lambda _: world.things.update({"two@a": "there"}))
    world.up(first, FakeStep(world, "two", needs=("one@a",)))
    assert outcomes(world) == {"one@a": "changed", "two@a": "unchanged"}
