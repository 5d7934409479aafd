"""A connection that breaks under a step: what is tried again, and how often."""

import threading

import pytest
from fake_steps import FakeStep, World, fail, new_world

from sparkctl.core import executor
from sparkctl.core.action import Context
from sparkctl.core.events import StepMoved
from sparkctl.errors import ConnectionLost, UnreachableError

world = pytest.fixture(new_world)


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "RECONNECT_WAITS", (0.0, 0.0, 0.0))


def test_a_cut_connection_is_tried_again_after_a_new_look(world: World) -> None:
    """The change was made before the connection broke: the new look sees it, and nothing is done twice."""

    def cut(_: Context) -> None:
        world.things["one@a"] = "there"
        world.hosts["a"].cut_after = 0
        raise ConnectionLost("the connection broke")

    outcome = world.up(FakeStep(world, "one", work=cut))
    assert outcome.failed is None and world.log == ["make one@a"]
    assert world.hosts["a"].reconnects == 1
    assert any("trying again" in event.message for event in world.events if isinstance(event, StepMoved))


def test_a_connection_that_stays_cut_is_tried_a_few_times_only(world: World) -> None:
    def cut(_: Context) -> None:
        raise ConnectionLost("the connection broke")

    outcome = world.up(FakeStep(world, "one", work=cut))
    assert isinstance(outcome.failed, ConnectionLost) and outcome.failed.exit_code == 4
    assert len(world.log) == 1 + len(executor.RECONNECT_WAITS)


def test_a_node_that_went_away_is_named(world: World) -> None:
    def die(_: Context) -> None:
        world.hosts["a"].unreachable = True
        raise ConnectionLost("the connection broke")

    outcome = world.up(FakeStep(world, "one", work=die))
    assert type(outcome.failed) is UnreachableError and outcome.failed.what == "a did not answer"
    assert outcome.failed.where == "one@a"


def test_other_errors_are_not_tried_again(world: World) -> None:
    world.up(FakeStep(world, "one", work=fail))
    assert world.log == ["make one@a"]


def test_stop_while_waiting_for_a_connection(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "RECONNECT_WAITS", (60.0,))

    def cut(_: Context) -> None:
        threading.Timer(0.05, world.stop.set).start()
        raise ConnectionLost("the connection broke")

    outcome = world.up(FakeStep(world, "one", work=cut))
    assert outcome.interrupted and not outcome.failures
