"""The executor and its lanes, worked with small steps on fake hosts."""

import threading
import time

import pytest
from fake_steps import FakeStep, World
from hypothesis import given, settings
from hypothesis import strategies as st

from sparkctl.core import executor, lanes
from sparkctl.core.action import Context, Progress
from sparkctl.core.actions import InstallPackages, RemovePackages
from sparkctl.core.events import RunEnded, RunStarted, StepEnded, StepMoved, StepStarted
from sparkctl.core.step import Layer
from sparkctl.errors import CommandFailed, ConnectionLost, Interrupted, LockedError, StepFailed, UnreachableError


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "RECONNECT_WAITS", (0.0, 0.0, 0.0))


def outcomes(world: World) -> dict[str, str]:
    return {event.id: event.outcome for event in world.events if isinstance(event, StepEnded)}


def fail(_: Context) -> None:
    raise CommandFailed("it broke", where="a")


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
    meet = threading.Barrier(2, timeout=10)

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


def test_a_failure_stops_scheduling_and_lets_running_steps_finish(world: World) -> None:
    running, failed = threading.Event(), threading.Event()

    def slow(_: Context) -> None:
        running.set()
        assert failed.wait(10)
        time.sleep(0.05)

    def breaks(context: Context) -> None:
        assert running.wait(10)
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
        assert broken.wait(10)
        time.sleep(0.1)
        world.log.append("one more change")
        context.pause(10)
        world.log.append("a change too many")

    def bug(_: Context) -> None:
        assert running.wait(10)
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
    assert time.monotonic() - began < 10


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


def test_stop_while_waiting_for_a_connection(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "RECONNECT_WAITS", (60.0,))

    def cut(_: Context) -> None:
        threading.Timer(0.05, world.stop.set).start()
        raise ConnectionLost("the connection broke")

    outcome = world.up(FakeStep(world, "one", work=cut))
    assert outcome.interrupted and not outcome.failures


def test_nothing_is_changed_without_the_lock(world: World) -> None:
    def lost() -> None:
        raise LockedError("cluster x is locked by somebody else")

    outcome = world.up(FakeStep(world, "one"), guard=lost)
    assert outcome.failed is not None and outcome.failed.exit_code == 5
    assert world.log == []


def test_undo_goes_backwards_and_sees_that_all_is_gone(world: World) -> None:
    world.things = {"one@a": "there", "two@b": "there", "three@a": "there"}
    steps = (
        FakeStep(world, "one", "a"),
        FakeStep(world, "two", "b", needs=("one@a",)),
        FakeStep(world, "three", "a", needs=("two@b",)),
        FakeStep(world, "absent", "a"),
    )
    outcome = world.down(*steps)
    assert world.log == ["remove three@a", "remove two@b", "remove one@a"]
    assert world.things == {} and outcome.failed is None


def test_undo_goes_backwards_over_steps_that_have_nothing_to_take_away(world: World) -> None:
    """A container of an earlier profile holds its image, although no step between them was ever applied."""
    world.things = {"image@a": "there", "leftovers@b": "there"}
    held: list[bool] = []
    steps = (
        FakeStep(world, "image", "a", work=lambda _: held.append("leftovers@b" in world.things)),
        FakeStep(world, "intent", "a", needs=("image@a",)),
        FakeStep(world, "leftovers", "b", needs=("intent@a",), work=lambda _: time.sleep(0.2)),
    )
    outcome = world.down(*steps)
    assert held == [False]
    assert outcome.failed is None


def test_what_is_still_there_after_undo_is_an_error(world: World) -> None:
    world.things = {"one@a": "there"}

    class Sticky(FakeStep):
        def _remove(self, context: Context) -> None:
            context.say("trying")

    outcome = world.down(Sticky(world, "one"))
    assert outcome.failed is not None and "still there after it was removed: remove one@a" in outcome.failed.what


def test_undo_keeps_what_a_failed_one_stands_on(world: World) -> None:
    world.things = {"one@a": "there", "two@a": "there"}
    outcome = world.down(FakeStep(world, "one"), FakeStep(world, "two", needs=("one@a",), work=fail))
    assert outcome.skipped == ("one@a",) and "one@a" in world.things


def test_interrupted_is_what_an_action_may_raise(world: World) -> None:
    def stop(_: Context) -> None:
        raise Interrupted("enough")

    assert world.up(FakeStep(world, "one", work=stop)).interrupted


Graph = dict[int, tuple[int, tuple[int, ...]]]
"""Task by number: its lane, and the lower numbers that it needs."""


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    count = draw(st.integers(1, 12))
    return {
        n: (draw(st.integers(0, 3)), tuple(sorted(draw(st.sets(st.integers(0, n - 1), max_size=3))) if n else ()))
        for n in range(count)
    }


@given(graphs(), st.sets(st.integers(0, 11), max_size=3))
@settings(max_examples=150, deadline=None)
def test_lanes_keep_every_need_and_begin_nothing_on_a_failure(graph: Graph, failing: set[int]) -> None:
    order: list[int] = []
    lanes_busy = {lane: threading.Lock() for lane, _ in graph.values()}

    def work(number: int) -> bool:
        lock = lanes_busy[graph[number][0]]
        assert lock.acquire(blocking=False), "two at once in one lane"
        order.append(number)
        lock.release()
        return number not in failing

    tasks = {
        str(n): lanes.Task(lane, tuple(map(str, needs)), lambda n=n: work(n)) for n, (lane, needs) in graph.items()
    }
    skipped = {int(key) for key in lanes.run(tasks, threading.Event())}
    assert sorted([*order, *skipped]) == list(graph)
    place = {number: at for at, number in enumerate(order)}
    for number in order:
        assert all(place[need] < place[number] and need not in failing for need in graph[number][1])
    if not failing & graph.keys():
        assert not skipped


def test_lanes_forget_a_need_that_is_not_among_them() -> None:
    done: list[str] = []
    task = lanes.Task("x", ("elsewhere",), lambda: not done.append("y"))
    assert lanes.run({"y": task}, threading.Event()) == () and done == ["y"]


def test_lanes_stopped_before_they_begin_do_nothing() -> None:
    stop = threading.Event()
    stop.set()
    assert lanes.run({"y": lanes.Task("x", (), lambda: True)}, stop) == ("y",)
