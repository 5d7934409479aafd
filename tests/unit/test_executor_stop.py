"""A run that is asked to stop: what is broken off, what comes to its end, what is not begun."""

import time

import pytest
from fake_steps import FakeStep, World, new_world, outcomes

from sparkctl.core.action import Context
from sparkctl.core.actions import InstallPackages, RemovePackages
from sparkctl.core.events import RunEnded
from sparkctl.errors import Interrupted

world = pytest.fixture(new_world)


def test_stop_begins_nothing_new(world: World) -> None:
    outcome = world.up(
        FakeStep(world, "one", work=lambda _: world.stop.set()), FakeStep(world, "two", needs=("one@a",))
    )
    assert outcomes(world) == {"one@a": "changed"}
    assert outcome.interrupted and outcome.skipped == ("two@a",) and outcome.failed is None
    assert [e.outcome for e in world.events if isinstance(e, RunEnded)] == ["interrupted"]


@pytest.mark.parametrize("way", [lambda c: c.pause(60), lambda c: c.say("still at it")])
def test_stop_breaks_off_a_step_that_waits_or_reports(world: World, way: object) -> None:
    def waits(context: Context) -> None:
        world.stop.set()
        way(context)  # type: ignore[operator]

    began = time.monotonic()
    outcome = world.up(FakeStep(world, "one", work=waits))
    assert outcomes(world) == {"one@a": "stopped"} and outcome.interrupted and outcome.failed is None
    assert time.monotonic() - began < 50


@pytest.mark.parametrize("apt", [InstallPackages(("rsync",), "/record"), RemovePackages(("rsync",), "/record")])
def test_stop_lets_apt_come_to_its_end(world: World, apt: InstallPackages | RemovePackages) -> None:
    """A half-done dpkg is worse than a minute of waiting."""
    world.hosts["a"].reply_script("apt-get", "Unpacking rsync\nSetting up rsync\n")

    def asked_to_stop(context: Context) -> None:
        context.say("before")
        world.stop.set()
        apt.perform(context)

    outcome = world.up(FakeStep(world, "one", work=asked_to_stop), FakeStep(world, "two", needs=("one@a",)))
    assert outcomes(world) == {"one@a": "changed"}
    assert outcome.interrupted and outcome.skipped == ("two@a",)


def test_interrupted_is_what_an_action_may_raise(world: World) -> None:
    def stop(_: Context) -> None:
        raise Interrupted("enough")

    assert world.up(FakeStep(world, "one", work=stop)).interrupted
