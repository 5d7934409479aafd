"""Lanes: work side by side, in the order of its needs."""

import threading

from hypothesis import given, settings
from hypothesis import strategies as st

from sparkctl.core import lanes

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
@settings(max_examples=150)
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
