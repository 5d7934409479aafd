"""Several nodes asked at once, and left at any moment."""

import threading
import time

import pytest

from sparkctl.transport.crowd import ask_all, on_desk


def test_answers_come_in_the_order_of_the_asks_and_the_slow_are_named() -> None:
    go, seen = threading.Event(), list[tuple[str, ...]]()

    def watch(waiting: object) -> None:
        seen.append(tuple(waiting))  # type: ignore[arg-type]
        if seen[-1] == ("slow",):
            go.set()

    def slow() -> int:
        assert go.wait(60)
        return 1

    assert list(ask_all({"slow": slow, "quick": lambda: 2}, watch).items()) == [("slow", 1), ("quick", 2)]
    assert seen[0] == ("slow", "quick") and ("slow",) in seen and seen[-1] == ()


def test_nobody_is_asked_for_nothing() -> None:
    assert ask_all({}) == {}


def test_the_first_failure_is_raised_at_once() -> None:
    go = threading.Event()

    def fail() -> None:
        raise ValueError("no")

    began = time.monotonic()
    with pytest.raises(ValueError, match="no"):
        ask_all({"hangs": lambda: go.wait(30), "fails": fail})
    assert time.monotonic() - began < 25
    go.set()


def test_ctrl_c_is_answered_although_a_thread_hangs() -> None:
    go = threading.Event()

    def watch(waiting: object) -> None:
        if waiting:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ask_all({"frozen": lambda: go.wait(30)}, watch)
    (left,) = [thread for thread in threading.enumerate() if thread.name == "ask frozen"]
    assert left.daemon, "the interpreter does not wait for it either"
    go.set()


def test_a_question_is_put_in_the_thread_that_waits() -> None:
    here = threading.current_thread()
    asked = ask_all({"a": lambda: on_desk(threading.current_thread)})
    assert asked["a"] is here
    assert on_desk(threading.current_thread) is here


def test_a_question_that_is_broken_off_ends_the_asking() -> None:
    def broken() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ask_all({"a": lambda: on_desk(broken)})
