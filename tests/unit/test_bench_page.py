"""The pages: well formed, alone, and with the very figures that went in."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from bench_samples import fabric, serve
from hypothesis import given
from hypothesis import strategies as st

from sparkctl.bench.compare import compare
from sparkctl.bench.results import Outcome
from sparkctl.report.bench_page import comparison_page, result_page
from sparkctl.report.bench_plot import WIDTH, Chart, Mark, Series, ceiling, draw, shown

PAGES = {
    "fabric": result_page(fabric()),
    "serve": result_page(serve()),
    "compare-fabric": comparison_page(
        compare(fabric(), fabric(90.25)), ("before", "after"), (fabric(), fabric(90.25))
    ),
    "compare-serve": comparison_page(compare(serve(), serve("sparkctl")), ("a", "b"), (serve(), serve("sparkctl"))),
}
EACH = pytest.mark.parametrize("page", PAGES.values(), ids=PAGES.keys())
VOID = ("meta", "link", "br", "hr", "img", "input")


class Checked(HTMLParser):
    """Every element is closed by its own end tag; texts and attributes are kept."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def pictures(page: str) -> list[ElementTree.Element]:
    return [ElementTree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", page, re.S)]


@EACH
def test_pages_are_whole_and_alone(page: str) -> None:
    found = Checked(page)
    assert page.startswith("<!doctype html>")
    assert "script" not in page
    assert not [name for name, _ in found.attributes if name in ("src", "href", "onclick")]
    assert "url(" not in page
    assert "@import" not in page
    ids = [value for name, value in found.attributes if name == "id"]
    assert len(ids) == len(set(ids))


@EACH
def test_pictures_say_what_they_show(page: str) -> None:
    drawn = pictures(page)
    assert len(drawn) == page.count("<table>") > 1
    for picture in drawn:
        assert picture.get("role") == "img"
        named = (picture.get("aria-labelledby") or "").split()
        texts = {one.get("id"): one.text for one in picture if one.tag in ("title", "desc")}
        assert list(texts) == named
        assert all(texts.values())


@EACH
def test_bars_stay_inside_and_have_their_figure_in_the_table(page: str) -> None:
    for figure in re.findall(r"<figure>.*?</figure>", page, re.S):
        (picture,) = pictures(figure)
        cells = re.findall(r"<td[^>]*>([^<]*)</td>", figure)
        for bar in picture.iter("rect"):
            assert 0 <= float(bar.get("x", -1)) + float(bar.get("width", -1)) <= WIDTH
        written = [one.text or "" for one in picture.iter("text") if not one.get("class")]
        figures = {text for text in written if re.fullmatch(r"[\d.]+|none", text)}
        assert figures
        assert figures <= set(cells)


def test_the_figures_that_went_in_come_out() -> None:
    for wanted in ("180.50", "22.75", "17.66", "0.034", "92.57", "21.88", "12.00"):
        assert f">{wanted}<" in PAGES["fabric"] or f" {wanted}<" in PAGES["fabric"], wanted
    for wanted in ("17.25", "40.50", "101.01", "131.31", "64.00", "512.00", "182.0 tok/s", "32% of it"):
        assert wanted in PAGES["serve"], wanted
    for wanted in ("180.50", "90.25", "0.500", "worse"):
        assert wanted in PAGES["compare-fabric"], wanted


def test_the_page_says_what_was_graded_and_left_out() -> None:
    page = PAGES["fabric"]
    assert '<span class="verdict pass">pass</span>' in page
    assert "roceP2p1s0f1 is down" in page
    assert "vllm on spark-1 served meanwhile" in page
    assert "unplug" in result_page(fabric(gbit=13.0))


def test_a_page_says_of_how_many_requests_it_is_and_how_many_failed() -> None:
    page = PAGES["serve"]
    assert "1 of 32 requests failed with 8 at a time" in page
    assert "of 4 requests the 99th percentile is little else than the slowest" in page
    enough = replace(serve(), levels=tuple(replace(level, requests=100, failed=0) for level in serve().levels))
    assert "requests failed" not in result_page(enough) and "99th percentile is" not in result_page(enough)
    assert "on the right 1 of 4 requests failed with 1 at a time" in PAGES["compare-serve"]


def test_a_comparison_says_which_is_left_and_where_its_figures_are() -> None:
    assert "<dt>left</dt><dd>before: demo" in PAGES["compare-fabric"]
    assert "in the JSON files of both results" in PAGES["compare-fabric"]
    assert "in the JSON file of the same name" in PAGES["fabric"]


def test_words_of_others_are_text() -> None:
    evil = "<script>alert(1)</script>&\"'"
    for result in (replace(fabric(), cluster=evil), replace(serve(), notes=(evil,))):
        page = result_page(result)
        Checked(page)
        assert "<script" not in page


def test_results_of_machines_that_are_none_say_so() -> None:
    strange = tuple(replace(machine, spark=False, architecture="x86_64") for machine in fabric().machines)
    results: tuple[Outcome, ...] = (replace(fabric(), machines=strange), replace(serve(), machines=strange))
    for result in results:
        assert "no Spark: x86_64" in result_page(result)


VALUES = st.one_of(st.none(), st.floats(0, 1e7))


@given(st.lists(st.tuples(VALUES, VALUES), max_size=6), st.lists(st.floats(0, 1e6), max_size=2))
def test_any_figures_can_be_drawn(rows: list[tuple[float | None, float | None]], marks: list[float]) -> None:
    series = tuple(Series(str(at), tuple(row[at] for row in rows)) for at in (0, 1))
    names = tuple(str(at) for at in range(len(rows)))
    drawing = draw(Chart("t", "d", "u", names, series, tuple(Mark("m", mark) for mark in marks)))
    assert len(drawing.bars) == 2 * len(rows)
    assert all(
        bar.width >= 0 and bar.x + bar.width <= WIDTH and bar.y + bar.height <= drawing.height for bar in drawing.bars
    )
    assert all(0 <= rule.x <= WIDTH for rule in (*drawing.ticks, *drawing.marks))
    for at, row in enumerate(rows):
        assert [bar.figure for bar in drawing.bars[2 * at : 2 * at + 2]] == [shown(value) for value in row]


@given(st.floats(1e-6, 1e9))
def test_the_scale_ends_above_and_near(most: float) -> None:
    assert most * 0.999 <= ceiling(most) <= most * 2 + 1e-9
