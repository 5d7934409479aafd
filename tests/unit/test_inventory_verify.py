"""Hashing on several nodes at once: what is reported meanwhile, and how it ends when it is stopped or a node fails."""

import json
import threading
from collections.abc import Sequence

from cli_fakes import cluster_of

from sparkctl.core.events import Event, RunEnded, StepEnded, StepMoved
from sparkctl.core.executor import Outcome
from sparkctl.inventory.verify import Check, Verdict, verify
from sparkctl.transport.memory import Command, MemoryHost
from sparkctl.transport.session import Result

LINES = "".join(
    f"{json.dumps(line)}\n"
    for line in ({"total": 10}, {"done": 4}, {"files": 1, "bytes": 10, "unchecked": 0, "bad": []})
)
CHECKS = [Check(f"spark-{n}", "org/tiny", "/c/hub/models--org--tiny", {}) for n in (1, 2)]


def hosts(*replies: object) -> dict[str, MemoryHost]:
    found = {node.name: MemoryHost(node) for node in cluster_of().nodes}
    for host, reply in zip(found.values(), replies, strict=True):
        host.reply(["python3"], reply)  # type: ignore[arg-type]
    return found


def run(
    found: dict[str, MemoryHost], stop: threading.Event | None = None
) -> tuple[Outcome, list[Verdict], Sequence[Event]]:
    events: list[Event] = []
    verdicts: list[Verdict] = []
    return verify(CHECKS, found, events.append, stop or threading.Event(), verdicts), verdicts, events


def test_progress_is_told_in_bytes() -> None:
    outcome, verdicts, events = run(hosts(LINES, LINES))
    assert not outcome.failures
    assert [(v.node, v.files, v.bytes, v.bad) for v in verdicts] == [("spark-1", 1, 10, ()), ("spark-2", 1, 10, ())]
    moved = [event for event in events if isinstance(event, StepMoved)]
    assert {(event.node, event.done, event.total, event.unit) for event in moved} == {
        ("spark-1", 4, 10, "B"),
        ("spark-2", 4, 10, "B"),
    }
    assert isinstance(events[-1], RunEnded) and events[-1].outcome == "done"


def test_one_node_that_fails_does_not_hide_the_other() -> None:
    outcome, verdicts, events = run(hosts(Result("", "boom", 1), LINES))
    assert [key for key, _ in outcome.failures] == ["org/tiny@spark-1"]
    assert [verdict.node for verdict in verdicts] == ["spark-2"]
    assert isinstance(events[-1], RunEnded) and events[-1].outcome == "failed"


def test_an_answer_that_is_none_is_a_failure() -> None:
    outcome, verdicts, _ = run(hosts('{"total": 3}\n', "garbage\n"))
    assert (len(outcome.failures), verdicts) == (2, [])


def test_it_stops_when_asked_to() -> None:
    stop = threading.Event()

    def then_stop(_: Command) -> str:
        stop.set()
        return LINES

    outcome, verdicts, events = run(hosts(then_stop, then_stop), stop)
    assert (outcome.interrupted, verdicts) == (True, [])
    ended = [event for event in events if isinstance(event, StepEnded)]
    assert {event.outcome for event in ended} == {"stopped"}
    assert isinstance(events[-1], RunEnded) and events[-1].outcome == "interrupted"
