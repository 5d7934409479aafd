"""Progress of a run: what is worked out from events, and how it is drawn."""

import io
import threading
from dataclasses import replace

import pytest
from cli_fakes import clock

from sparkctl.core.events import Event, RunEnded, RunStarted, StepEnded, StepMoved, StepStarted
from sparkctl.report.live import LiveProgress
from sparkctl.report.look import Look
from sparkctl.report.page import Page
from sparkctl.report.plain import NoProgress, PlainProgress
from sparkctl.report.timings import show_timings, timings_data
from sparkctl.report.track import Track

GIB = 1 << 30
START = RunStarted("up", ("spark-1", "spark-2"), (("image@spark-1", ()), ("vllm@spark-1", ("image@spark-1",))))


def moved(done: int, message: str = "pull", total: int = 4 * GIB) -> StepMoved:
    return StepMoved("image@spark-1", "spark-1", message, done, total, "B")


def test_figures_tell_rate_and_time_left() -> None:
    now, move = clock()
    track = Track(now)
    for event in (START, StepStarted("image@spark-1", "spark-1"), moved(0)):
        track.take(event)
    move(20)
    track.take(moved(GIB))
    move(4)
    track.take(moved(2 * GIB))
    step = track.running["image@spark-1"]
    assert step.figures(now()) == "2.0 GiB of 4.0 GiB, 256.0 MiB/s, 8.0 s left", "20 s without a move do not count"
    track.take(moved(4 * GIB))
    assert step.figures(now()) == "4.0 GiB of 4.0 GiB"


def test_no_rate_is_told_before_it_means_something() -> None:
    now, move = clock()
    track = Track(now)
    track.take(StepStarted("image@spark-1", "spark-1"))
    step = track.running["image@spark-1"]
    told = []
    for tenths in range(60):
        track.take(moved(tenths * (4 * GIB // 400)))
        told.append("left" in step.figures(now()))
        move(0.1)
    assert told.index(True) == 31, "3 s after it began to move"
    assert all(told[31:])
    slow = StepMoved("image@spark-1", "spark-1", "pull", 0, 400 * GIB, "B")
    for seconds in range(9):
        track.take(replace(slow, done=seconds * GIB // 2))
        move(1)
    assert step.figures(now()) == "4.0 GiB of 400.0 GiB, 448.0 MiB/s, 15 min 05 s left"
    track.take(replace(slow, done=1))
    track.take(replace(slow, done=GIB))
    move(4)
    assert step.figures(now()) == "1.0 GiB of 400.0 GiB", "less than 1 % has moved"


def test_a_new_total_starts_a_new_rate() -> None:
    now, move = clock()
    track = Track(now)
    track.take(StepStarted("image@spark-1", "spark-1"))
    track.take(moved(0))
    move(2)
    track.take(moved(GIB))
    track.take(moved(5, total=10))
    assert track.running["image@spark-1"].figures(now()) == "5 B of 10 B"


def test_the_rate_follows_a_stall() -> None:
    now, move = clock()
    track = Track(now)
    track.take(StepStarted("image@spark-1", "spark-1"))
    for _ in range(60):
        track.take(moved(GIB))
        move(1)
    assert track.running["image@spark-1"].rate(now()) == 0


def plain(events: list[tuple[float, Event]]) -> str:
    now, move = clock()
    out = io.StringIO()
    with PlainProgress(out, now) as progress:
        for seconds, event in events:
            move(seconds)
            progress.emit(event)
    return out.getvalue()


def test_plain_is_a_line_an_event() -> None:
    text = plain(
        [
            (0, START),
            (0, StepStarted("image@spark-1", "spark-1")),
            (1, moved(0)),
            (1, moved(GIB)),
            (10, moved(2 * GIB)),
            (1, moved(3 * GIB, "unpack\x1b[2J\nlayers")),
            (1, StepEnded("image@spark-1", "spark-1", "failed", 14, "the registry\nis gone")),
            (50, RunEnded("failed", 64, ("vllm@spark-1",))),
        ]
    )
    assert text == (
        "[00:00] image@spark-1 started\n"
        "[00:01] image@spark-1 pull (0 B of 4.0 GiB)\n"
        "[00:12] image@spark-1 pull (2.0 GiB of 4.0 GiB, 102.4 MiB/s, 20 s left)\n"
        "[00:13] image@spark-1 unpack layers (3.0 GiB of 4.0 GiB, 186.2 MiB/s, 5.5 s left)\n"
        "[00:14] image@spark-1 failed after 14 s: the registry is gone\n"
        "[01:04] failed after 1 min 04 s; 1 step not begun\n"
    )


class Gone(io.StringIO):
    """A pipe whose reader left."""

    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_a_reader_that_leaves_does_not_break_the_run() -> None:
    with PlainProgress(Gone()) as progress:
        progress.emit(StepStarted("image@spark-1", "spark-1"))
        progress.emit(StepEnded("image@spark-1", "spark-1", "changed", 1))


def test_plain_writes_whatever_is_said_once() -> None:
    text = plain([(0, START), (0, moved(0)), (0, moved(0, "connection lost", 0)), (0, moved(0, "connection lost", 0))])
    assert text.count("connection lost") == 1


def test_quiet_shows_nothing() -> None:
    with NoProgress() as progress:
        progress.emit(START)
        progress.say("stopping")


def live(width: int) -> tuple[LiveProgress, Page, io.StringIO]:
    out = io.StringIO()
    page = Page(out, Look(live=True, width=width))
    return LiveProgress(page, clock()[0]), page, out


def test_live_draws_a_row_a_node_within_the_width() -> None:
    progress, page, _ = live(70)
    for event in (START, StepStarted("image@spark-1", "spark-1"), moved(GIB, "a very long message " * 9)):
        progress.emit(event)
    with page.console.capture() as capture:
        page.console.print(progress._draw())
    rows = capture.get().splitlines()
    assert len(rows) == 3
    assert all(len(row) <= 70 for row in rows)
    assert "spark-1 image 0.0 s ━━━━────────────  1.0 GiB of 4.0 GiB  a very lo…" in rows[0]
    assert "spark-2" in rows[1]
    assert rows[2].startswith("0 of 2 steps")


PULL = "pull registry.lab:5000/sparklab/vllm-cpu:0.32"
HALF, ALL = moved(2 * GIB, PULL), moved(4 * GIB, "the engine unpacks it")


@pytest.mark.parametrize(
    ("columns", "event", "row"),
    [
        (110, HALF, "━━━━━━━━────────  2.0 GiB of 4.0 GiB, 204.8 MiB/s, 10 s left  pull registry.lab:50…"),
        (80, HALF, "━━━━────  2.0 GiB of 4.0 GiB, 204.8 MiB/s, 10 s left"),
        (70, HALF, "2.0 GiB of 4.0 GiB, 204.8 MiB/s, 10 s left"),
        (60, HALF, "2.0 GiB of 4.0 GiB, 10 s left"),
        (45, HALF, "2.0 GiB of 4.0 Gi…"),
        (110, ALL, "━━━━━━━━━━━━━━━━  4.0 GiB of 4.0 GiB  the engine unpacks it"),
        (80, ALL, "━━━━━━━━  4.0 GiB of 4.0 GiB  the engine unpacks it"),
        (60, ALL, "the engine unpacks it"),
    ],
)
def test_a_narrow_terminal_cuts_what_matters_least(columns: int, event: StepMoved, row: str) -> None:
    now, move = clock()
    page = Page(io.StringIO(), Look(live=True, width=columns))
    progress = LiveProgress(page, now)
    for known in (START, StepStarted("image@spark-1", "spark-1"), moved(0, PULL)):
        progress.emit(known)
    move(3690)
    progress.emit(moved(1, PULL))
    move(10)
    progress.emit(event)
    with page.console.capture() as capture:
        page.console.print(progress._draw())
    first = capture.get().splitlines()[0]
    assert first.rstrip()[2:] == f"spark-1 image 1 h 01 min {row}"
    assert len(first) <= columns


def test_live_scrolls_what_ended_and_leaves_the_terminal_as_it_was() -> None:
    progress, _, out = live(80)
    with progress:
        for event in (START, StepStarted("image@spark-1", "spark-1"), moved(GIB)):
            progress.emit(event)
        progress.emit(StepEnded("image@spark-1", "spark-1", "changed", 12.3))
        progress.emit(StepEnded("vllm@spark-1", "spark-1", "failed", 2, "it exited"))
        progress.emit(RunEnded("failed", 15))
    text = out.getvalue()
    assert "✓         12 s  image@spark-1" in text
    assert "✗        2.0 s  vllm@spark-1  failed: it exited" in text
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") > 0


def test_live_takes_events_from_many_threads() -> None:
    progress, _, out = live(80)

    def work(number: int) -> None:
        key = f"s{number}@spark-1"
        progress.emit(StepStarted(key, "spark-1"))
        for done in range(50):
            progress.emit(StepMoved(key, "spark-1", "go", done, 50))
        progress.emit(StepEnded(key, "spark-1", "changed", 1))

    with progress:
        progress.emit(START)
        threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert all(f"s{number}@spark-1" in out.getvalue() for number in range(16))
    assert not progress.track.running


def test_timings_show_what_the_lines_above_do_not() -> None:
    events: list[Event] = [
        RunStarted("up", ("n",), (("a@n", ()), ("b@n", ()), ("c@n", ("a@n",)), ("d@n", ("c@n",)))),
        StepEnded("a@n", "n", "changed", 2.0),
        StepEnded("b@n", "n", "changed", 4.0),
        StepEnded("c@n", "n", "changed", 3.0),
        StepEnded("d@n", "n", "unchanged", 0.01),
        RunEnded("done", 6.0),
    ]
    data = timings_data(events)
    assert data["critical_path"] == {"steps": ["a@n", "c@n", "d@n"], "seconds": 5.01}
    assert data["ratio"] == 1.198
    assert [step["id"] for step in data["steps"]] == ["b@n", "c@n", "a@n", "d@n"]
    out = io.StringIO()
    Page(out, Look()).write(show_timings(events))
    assert out.getvalue().splitlines() == [
        "Critical path, the slowest first",
        "       3.0 s  c@n",
        "       2.0 s  a@n",
        "       10 ms  1 shorter step",
        "Wall time 6.0 s, critical path 5.0 s, ratio 1.20.",
    ]
