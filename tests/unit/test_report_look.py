"""What a terminal is trusted to show."""

import io

import pytest

from sparkctl.amounts import amount, plural, size, span
from sparkctl.report.look import ASCII, UNICODE, clean, look_at


class Terminal(io.TextIOWrapper):
    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding=encoding)

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environ", "encoding", "unicode"),
    [
        ({"LANG": "en_US.UTF-8"}, "utf-8", True),
        ({"LANG": "C.utf8"}, "utf-8", True),
        ({}, "utf-8", True),
        ({"LC_ALL": "C", "LANG": "en_US.UTF-8"}, "utf-8", False),
        ({"LANG": "en_US.ISO-8859-1"}, "iso8859-1", False),
        ({"LANG": "en_US.UTF-8"}, "ascii", False),
    ],
)
def test_marks_follow_the_locale(environ: dict[str, str], encoding: str, unicode: bool) -> None:
    look = look_at(Terminal(encoding), environ={"TERM": "xterm", **environ})
    assert look.glyphs is (UNICODE if unicode else ASCII)


def test_colour_and_redrawing_are_for_terminals_that_can() -> None:
    assert look_at(Terminal(), environ={"TERM": "xterm"}).colour
    assert not look_at(Terminal(), environ={"TERM": "xterm", "NO_COLOR": "1"}).colour
    assert look_at(Terminal(), environ={"TERM": "xterm", "NO_COLOR": "1"}).live
    assert not look_at(Terminal(), no_color=True, environ={"TERM": "xterm"}).colour
    assert not look_at(Terminal(), environ={"TERM": "dumb"}).live
    piped = look_at(io.StringIO(), environ={"TERM": "xterm"})
    assert (piped.colour, piped.live, piped.width) == (False, False, 0)


@pytest.mark.parametrize(
    ("dirty", "shown"),
    [
        ("a\x1b[31mred\x1b[0m b", "ared b"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link", "link"),
        ("50%\r100%", "50%\n100%"),
        ("one\r\ntwo", "one\ntwo"),
        ("bell\x07 back\x08 nul\x00 c1\x9b2J", "bell back nul c12J"),
        ("\u202egnp.exe", "gnp.exe"),
        ("a\tb", "a   b"),
        ("Grüße 日本", "Grüße 日本"),
    ],
)
def test_a_nodes_words_cannot_steer_the_terminal(dirty: str, shown: str) -> None:
    assert clean(dirty) == shown


def test_amounts() -> None:
    assert [size(n) for n in (0, 1023, 1024, 1536, 9 << 30)] == ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "9.0 GiB"]
    spans = [span(s) for s in (0, 0.04, 2.44, 12.4, 184, 7500, 3 * 86400 + 4 * 3600)]
    assert spans == ["0.0 s", "40 ms", "2.4 s", "12 s", "3 min 04 s", "2 h 05 min", "3 d 4 h"]
    assert (amount(3, "files"), amount(2048, "B"), amount(3, "")) == ("3 files", "2.0 KiB", "3")
    assert (plural(1, "step"), plural(0, "step")) == ("1 step", "0 steps")
