"""Bars for a page: figures in, places in a picture out. The template draws them as SVG, with their table below."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from sparkctl.amounts import figure

WIDTH = 360.0
"""Of a picture in its own units; a phone shows it at about this many points, so that texts keep their size."""
LEFT, RIGHT, TOP, BOTTOM = 4.0, 62.0, 6.0, 22.0
"""Room around the bars; on the right for the figure of the longest."""
ROW, BAR, GAP, MARK_ROW = 17.0, 15.0, 9.0, 15.0
"""Heights: of the name of a category, of one bar, between two categories, of the name of a mark."""

SMALLEST = 1e-6
"""Below it a figure is shown as nothing."""


@dataclass(frozen=True)
class Series:
    """One figure for each category; None where there is none."""

    name: str
    values: tuple[float | None, ...]


@dataclass(frozen=True)
class Mark:
    """A figure to hold the others against, such as a threshold."""

    name: str
    value: float


@dataclass(frozen=True)
class Chart:
    """One picture and its table. `description` says in a sentence what is to be seen."""

    title: str
    description: str
    unit: str
    categories: tuple[str, ...]
    series: tuple[Series, ...]
    marks: tuple[Mark, ...] = ()
    of: str = ""
    """What a category is: the head of the table's first column."""

    @property
    def rows(self) -> Iterator[tuple[str, list[str]]]:
        """The table: each category with its figures."""
        for at, category in enumerate(self.categories):
            yield category, [shown(one.values[at]) for one in self.series]

    @property
    def drawing(self) -> "Drawing":
        """Where everything is."""
        return draw(self)


@dataclass(frozen=True)
class Bar:
    """One bar with its figure; `of` is the number of its series."""

    x: float
    y: float
    width: float
    height: float
    of: int
    figure: str


@dataclass(frozen=True)
class Label:
    """A text at a place; `end` where it stands left of it."""

    x: float
    y: float
    text: str
    end: bool = False


@dataclass(frozen=True)
class Rule:
    """A vertical line with a text: a step of the scale, or a mark."""

    x: float
    top: float
    bottom: float
    label: Label


@dataclass(frozen=True)
class Drawing:
    """A picture of `WIDTH` by `height`."""

    height: float
    bars: tuple[Bar, ...]
    labels: tuple[Label, ...]
    ticks: tuple[Rule, ...]
    marks: tuple[Rule, ...]
    width: float = WIDTH


def draw(chart: Chart) -> Drawing:
    """Horizontal bars, a group for each category with its name above."""
    most = max((v for one in chart.series for v in one.values if v is not None), default=0.0)
    top = ceiling(max([most, *(mark.value for mark in chart.marks)]))
    start = TOP + MARK_ROW * len(chart.marks)
    group = ROW + BAR * len(chart.series) + GAP
    end = start + group * len(chart.categories)
    bars, labels = [], []
    for at, category in enumerate(chart.categories):
        y = start + group * at
        labels.append(Label(LEFT, y + ROW - 5, category))
        for number, one in enumerate(chart.series):
            value = one.values[at]
            place = y + ROW + BAR * number
            bars.append(Bar(LEFT, place, _x(value or 0.0, top) - LEFT, BAR - 2, number, shown(value)))
    ticks = tuple(_tick(top * part / 4, top, start, end) for part in range(5))
    marks = tuple(_mark(mark, at, top, end) for at, mark in enumerate(chart.marks))
    return Drawing(end + BOTTOM, tuple(bars), tuple(labels), ticks, marks)


def ceiling(most: float) -> float:
    """The end of the scale: a round number above, of which the quarters are plain numbers, too."""
    if most < SMALLEST:
        return 1.0
    power = 10.0 ** math.floor(math.log10(most))
    return next(step * power for step in (1, 1.2, 1.6, 2, 2.4, 3, 4, 5, 6, 8, 10) if step * power >= most * 0.999)


def shown(value: float | None) -> str:
    """A figure as pages and tables show it."""
    return "none" if value is None else figure(value)


def _x(value: float, top: float) -> float:
    return round(LEFT + (WIDTH - LEFT - RIGHT) * value / top, 1)


def _tick(value: float, top: float, start: float, end: float) -> Rule:
    x = _x(value, top)
    return Rule(x, start, end, Label(x, end + 14, f"{value:g}"))


def _mark(mark: Mark, at: int, top: float, end: float) -> Rule:
    """Its name stands on a row of its own, on the side where there is room."""
    x, y = _x(mark.value, top), TOP + MARK_ROW * at
    far = x > WIDTH / 2
    text = f"{mark.name} {shown(mark.value)}"
    return Rule(x, y, end, Label(x + (-4 if far else 4), y + 10, text, far))
