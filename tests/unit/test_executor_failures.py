"""A step that fails: what is not begun any more, what comes to its end, what is said."""

import threading
import time

import pytest
from fake_steps import FakeStep, World, fail, new_world, outcomes
from sshd import eventually

from sparkctl.core.action import Context
from sparkctl.core.events import RunEnded
from sparkctl.errors import CommandFailed, LockedError, StepFailed

world = pytest.fixture(new_world)


def test_a_failure_stops_scheduling_and_lets_running_steps_finish(world: World) -> None:
    running, failed = threading.Event(), threading.Event()

    def slow(_: Context) -> None:
        running.set()
        assert failed.wait(60)
        assert eventually(lambda: outcomes(world).get("broken@a") == "failed")
        time.sleep(0.5)

    def breaks(context: Context) -> None:
        assert running.wait(60)
        failed.set()
        fail(context)

    steps = (
        FakeStep(world, "slow", "b", work=slow),
        FakeStep(world, "broken", "a", work=breaks),
        FakeStep(world, "after-slow", "b", needs=("slow@b",)),
        FakeStep(world, "after-broken", "a", needs=("broken@a",)),
    )
    outcome = world.up(*steps)
    assert outcomes(world) == {"slow@b": "changed", "broken@a": "failed"}
    assert set(outcome.skipped) == {"after-slow@b", "after-broken@a"}
    assert isinstance(outcome.failed, CommandFailed) and outcome.failures[0][0] == "broken@a"
    assert [e.outcome for e in world.events if isinstance(e, RunEnded)] == ["failed"]


def test_what_waits_in_a_lane_is_not_begun_after_a_failure(world: World) -> None:
    outcome = world.up(FakeStep(world, "first", work=fail), FakeStep(world, "second"))
    assert len(world.log) == 1
    assert len(outcome.skipped) == 1


@pytest.mark.parametrize(("where", "said"), [("", "one@a"), ("a", "one@a"), ("vllm on b", "one@a: vllm on b")])
def test_an_error_names_its_step(world: World, where: str, said: str) -> None:
    def broken(_: Context) -> None:
        raise CommandFailed("it broke", where=where)

    failed = world.up(FakeStep(world, "one", work=broken)).failed
    assert failed is not None and failed.where == said


def test_an_error_that_is_not_ours_comes_through(world: World) -> None:
    def bug(_: Context) -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        world.up(FakeStep(world, "one", work=bug))


def test_an_error_that_is_not_ours_ends_the_other_lanes_first(world: World) -> None:
    """As when the laptop's disk is full: the lock goes and the sessions close, so nobody may still be at work."""
    running, broken = threading.Event(), threading.Event()

    def slow(context: Context) -> None:
        running.set()
        assert broken.wait(60)
        time.sleep(0.1)
        world.log.append("one more change")
        context.pause(60)
        world.log.append("a change too many")

    def bug(_: Context) -> None:
        assert running.wait(60)
        broken.set()
        raise KeyError("x")

    with pytest.raises(KeyError):
        world.up(FakeStep(world, "slow", "b", work=slow), FakeStep(world, "one", work=bug))
    assert world.stop.is_set()
    assert world.log[-1] == "one more change"
    assert outcomes(world) == {"slow@b": "stopped"}


def test_a_step_that_does_not_hold_is_an_error(world: World) -> None:
    outcome = world.up(FakeStep(world, "one", work=lambda _: world.things.update({"one@a": ""})))
    assert isinstance(outcome.failed, StepFailed)
    assert "it is not there" in outcome.failed.what and outcome.failed.fix


def test_a_step_that_turns_out_wrong_says_its_fix(world: World) -> None:
    outcome = world.up(FakeStep(world, "one", work=lambda _: world.things.update({"one@a": "wrong"})))
    assert outcome.failed is not None and (outcome.failed.what, outcome.failed.fix) == ("one@a is wrong", "mend it")


def test_nothing_is_changed_without_the_lock(world: World) -> None:
    def lost() -> None:
        raise LockedError("cluster x is locked by somebody else")

    outcome = world.up(FakeStep(world, "one"), guard=lost)
    assert outcome.failed is not None and outcome.failed.exit_code == 5
    assert world.log == []
