"""Plans and journals: order, findings, facts by one question a node, the critical path."""

import json
import stat
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fake_steps import FakeStep, World, new_world, thing_probe
from hypothesis import given, settings
from hypothesis import strategies as st

from sparkctl.core import lanes
from sparkctl.core.events import Event, RunEnded, RunStarted, StepEnded, StepMoved, StepStarted
from sparkctl.core.journal import Journal, critical_path, tee
from sparkctl.core.plan import gather, id_of, make_plan, make_undo, ordered
from sparkctl.core.step import Absent, Drifted, Finding, Layer, Ok, Pending
from sparkctl.errors import UnreachableError
from sparkctl.facts.probe import Facts

world = pytest.fixture(new_world)


def wants(*steps: FakeStep) -> list[object]:
    return [want for step in steps for want in step.wants]


def test_order_respects_needs_and_forgets_those_elsewhere(world: World) -> None:
    steps = [
        FakeStep(world, "c", needs=("b@a", "elsewhere@z")),
        FakeStep(world, "a"),
        FakeStep(world, "b", needs=("a@a",)),
    ]
    assert [id_of(step) for step in ordered(steps)] == ["a@a", "b@a", "c@a"]


def test_a_plan_sorts_findings(world: World) -> None:
    world.things = {"ok@a": "there", "bad@a": "wrong"}
    steps = [FakeStep(world, "ok"), FakeStep(world, "bad"), FakeStep(world, "new"), FakeStep(world, "late", until="x")]
    plan = make_plan(steps, gather(world.hosts, wants(*steps)))  # type: ignore[arg-type]
    assert {item.id for item in plan.changes} == {"new@a", "late@a"}
    assert [item.id for item in plan.blocked] == ["bad@a"]
    assert not plan.clean
    by_id = {item.id: item for item in plan.items}
    assert [action.summary for action in by_id["new@a"].actions] == ["make new@a"]
    assert by_id["ok@a"].actions == by_id["late@a"].actions == ()
    assert by_id["late@a"].finding == Pending("x")


def test_a_plan_without_wishes_left_is_clean(world: World) -> None:
    world.things = {"ok@a": "there"}
    step = FakeStep(world, "ok")
    assert make_plan([step], gather(world.hosts, step.wants)).clean


def test_making_a_plan_changes_nothing(world: World) -> None:
    steps = [FakeStep(world, "one"), FakeStep(world, "two", "b")]
    make_plan(steps, gather(world.hosts, wants(*steps)))  # type: ignore[arg-type]
    assert world.log == [] and world.things == {}
    assert all(not host.log and not host.files for host in world.hosts.values())


def test_facts_cost_one_round_trip_a_node(world: World) -> None:
    world.things = {"s1@a": "there", "s2@b": "also"}
    steps = [FakeStep(world, f"s{n}", "a" if n % 2 else "b") for n in range(8)]
    facts = gather(world.hosts, wants(*steps))  # type: ignore[arg-type]
    assert [host.round_trips for host in world.hosts.values()] == [1, 1]
    assert facts.get("a", thing_probe("s1@a")) == "there" and facts.get("b", thing_probe("s2@b")) == "also"


def test_a_node_out_of_reach_ends_the_gathering(world: World) -> None:
    world.hosts["b"].unreachable = True
    with pytest.raises(UnreachableError, match="b did not answer"):
        gather(world.hosts, wants(FakeStep(world, "x", "a"), FakeStep(world, "y", "b")))  # type: ignore[arg-type]


def test_undo_takes_what_is_there_in_the_wanted_layers_last_first(world: World) -> None:
    world.things = {"one@a": "there", "two@a": "there", "image@a": "there"}
    steps = [
        FakeStep(world, "one"),
        FakeStep(world, "two", needs=("one@a",), layer=Layer.WORKLOAD),
        FakeStep(world, "image", layer=Layer.IMAGE),
        FakeStep(world, "absent"),
    ]
    items = make_undo(steps, gather(world.hosts, wants(*steps)), frozenset({Layer.HOST, Layer.WORKLOAD}))  # type: ignore[arg-type]
    assert [item.id for item in items] == ["two@a", "one@a"]


def test_the_journal_holds_events_and_no_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    journal, seen = Journal("c", "up"), list[Event]()
    emit = tee(journal.write, seen.append)
    assert not journal.path.exists()
    for event in (StepStarted("one@a", "a"), StepMoved("one@a", "a", "half"), StepEnded("one@a", "a", "changed", 1.5)):
        emit(event)
    lines = [json.loads(line) for line in journal.path.read_text().splitlines()]
    assert [line["event"] for line in lines] == ["StepStarted", "StepEnded"]
    assert lines[1]["seconds"] == 1.5 and abs(lines[1]["at"] - time.time()) < 60
    assert len(seen) == 3
    assert stat.S_IMODE(journal.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(journal.path.parent.stat().st_mode) == 0o700
    assert journal.path.is_relative_to(tmp_path / "sparkctl" / "c" / "journal")


def story(needs: dict[str, tuple[str, ...]], seconds: dict[str, float]) -> list[Event]:
    ends = [StepEnded(key, "a", "changed", took) for key, took in seconds.items()]
    return [RunStarted("up", ("a",), tuple(needs.items())), *ends, RunEnded("done", sum(seconds.values()))]


def test_the_critical_path_is_the_longest_chain() -> None:
    needs = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c"), "e": ()}
    path = critical_path(story(needs, {"a": 1, "b": 5, "c": 2, "d": 1, "e": 6.5}))
    assert path.steps == ("a", "b", "d") and path.seconds == 7


def test_a_step_that_never_began_takes_no_time() -> None:
    assert critical_path(story({"a": (), "b": ("a",)}, {"a": 2})).seconds == 2


def test_no_events_no_path() -> None:
    assert critical_path([]).steps == ()


@st.composite
def dags(draw: st.DrawFn) -> tuple[dict[str, tuple[str, ...]], dict[str, float]]:
    count = draw(st.integers(1, 10))
    needs = {
        str(n): tuple(map(str, sorted(draw(st.sets(st.integers(0, n - 1), max_size=3))))) if n else ()
        for n in range(count)
    }
    return needs, {key: draw(st.floats(0, 100)) for key in needs}


def finish_times(needs: dict[str, tuple[str, ...]], seconds: dict[str, float]) -> dict[str, float]:
    """When each step ends where every step begins as soon as its needs are done: lanes without number."""
    ends: dict[str, float] = {}
    for key, under in needs.items():
        ends[key] = max((ends[n] for n in under), default=0.0) + seconds[key]
    return ends


@given(dags())
def test_the_critical_path_is_the_wall_time_of_lanes_without_number(
    dag: tuple[dict[str, tuple[str, ...]], dict[str, float]],
) -> None:
    needs, seconds = dag
    path = critical_path(story(needs, seconds))
    assert path.seconds == pytest.approx(max(finish_times(needs, seconds).values()))
    assert path.seconds <= sum(seconds.values()) + 1e-6
    assert path.seconds == pytest.approx(sum(seconds[key] for key in path.steps))
    assert all(below in needs[above] for below, above in zip(path.steps, path.steps[1:], strict=False))


@given(dags(), st.integers(1, 3))
@settings(max_examples=15)
def test_no_run_is_shorter_than_its_critical_path(
    dag: tuple[dict[str, tuple[str, ...]], dict[str, float]], count: int
) -> None:
    """Real lanes, real seconds: the path of what was measured is never longer than the run."""
    needs, seconds = dag
    events: list[Event] = [RunStarted("up", ("a",), tuple(needs.items()))]

    def work(key: str) -> bool:
        began = time.monotonic()
        time.sleep(seconds[key] / 20_000)
        events.append(StepEnded(key, "a", "changed", time.monotonic() - began))
        return True

    tasks = {key: lanes.Task(int(key) % count, needs[key], lambda key=key: work(key)) for key in needs}
    began = time.monotonic()
    assert lanes.run(tasks, threading.Event()) == ()
    assert critical_path(events).seconds <= time.monotonic() - began


@dataclass(frozen=True)
class Symptom(FakeStep):
    """A step that sees something wrong whose cause may be below it."""

    seen: Finding = field(default_factory=Ok)

    def check(self, facts: Facts) -> Finding:
        return self.seen


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (Drifted(("404",), (), disrupts=True, symptom=True), ("404", True)),
        (Absent((), "loading", symptom=True), ("loading", False)),
    ],
)
def test_a_symptom_waits_for_what_is_wrong_below_it(world: World, seen: Finding, said: tuple[str, bool]) -> None:
    steps = [
        FakeStep(world, "fabric"),
        FakeStep(world, "vllm", needs=("fabric@a",)),
        Symptom(world, "serving", needs=("vllm@a",), seen=seen),
    ]

    def finding() -> Finding:
        return make_plan(steps, gather(world.hosts, wants(*steps))).items[-1].finding  # type: ignore[arg-type]

    world.things = {"fabric@a": "there"}
    assert finding() == Pending("vllm@a", *said), "the nearest"
    world.things = {"fabric@a": "wrong", "vllm@a": "there"}
    assert finding() == Pending("fabric@a", *said), "however deep"
    world.things = {"fabric@a": "there", "vllm@a": "there"}
    assert finding() == seen, "nothing else explains it"
