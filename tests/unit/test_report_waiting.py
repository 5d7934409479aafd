"""The line that says which nodes are waited for."""

import io
from typing import Any

import pytest
from cli_fakes import clock

from sparkctl.report.waiting import Waiting


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def tty(monkeypatch: pytest.MonkeyPatch) -> Tty:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "40")
    return Tty()


def waiting_on(tty: Tty, patch: pytest.MonkeyPatch, **how: Any) -> Waiting:
    patch.setattr("sys.stdout", Tty())
    return Waiting(stream=tty, **how)


def test_who_is_waited_for_and_nothing_afterwards(tty: Tty, monkeypatch: pytest.MonkeyPatch) -> None:
    now, move = clock()
    with waiting_on(tty, monkeypatch, clock=now) as waiting:
        waiting.watch(("spark-1", "spark-2"))
        assert tty.getvalue() == "", "who answers at once needs no line"
        move(0.5)
        waiting.watch(("spark-1", "spark-2"))
        move(3.5)
        waiting.watch(("spark-2",))
        waiting.watch(())
    assert tty.getvalue() == "\r\x1b[Kasking spark-1, spark-2\r\x1b[Kwaiting for spark-2, 4 s\r\x1b[K"


def test_a_line_never_folds(tty: Tty, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting_on(tty, monkeypatch).say("x" * 100 + "\x1b[2J")
    assert tty.getvalue() == "\r\x1b[K" + "x" * 39


@pytest.mark.parametrize("how", ["unwanted", "pipe", "dumb", "output"])
def test_nothing_where_nobody_looks(how: str, tty: Tty, monkeypatch: pytest.MonkeyPatch) -> None:
    if how == "dumb":
        monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr("sys.stdout", Tty())
    if how == "output":
        monkeypatch.setattr("sys.stdout", io.StringIO())
    stream = io.StringIO() if how == "pipe" else tty
    with Waiting(wanted=how != "unwanted", stream=stream) as waiting:
        waiting.say("asking")
    assert stream.getvalue() == ""
