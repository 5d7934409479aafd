"""A plan, or what would be taken away, as lines: by layer, then by step; nodes that share a finding share a line."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sparkctl.core.plan import Item, Plan, UndoItem
from sparkctl.core.step import Absent, Blocked, Drifted, Finding, Layer, Ok, Pending
from sparkctl.report.look import Glyphs
from sparkctl.report.page import Line

WIDEST_NODES = 24
"""Columns for node names; more nodes than that are counted instead."""

STYLES = {Absent: "green", Drifted: "yellow", Pending: "cyan", Blocked: "bold red", Ok: "dim"}


@dataclass(frozen=True)
class Row:
    """One finding of one step, and the nodes that share it. `lines` are pairs of text and style."""

    name: str
    nodes: tuple[str, ...]
    mark: str
    style: str
    lines: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Counts:
    """How many items of each kind a plan has."""

    create: int
    change: int
    later: int
    blocked: int
    unchanged: int

    def sentence(self) -> str:
        """The last line of a plan."""
        blocked = f", {self.blocked} blocked" if self.blocked else ""
        later = f", {self.later} known later" if self.later else ""
        return f"Plan: {self.create} to create, {self.change} to change{later}{blocked}, {self.unchanged} unchanged."


def count(plan: Plan) -> Counts:
    """The items of a plan by kind of finding."""
    kinds = [type(item.finding) for item in plan.items]
    return Counts(*(kinds.count(kind) for kind in (Absent, Drifted, Pending, Blocked, Ok)))


def show_plan(plan: Plan, glyphs: Glyphs, *, verbose: bool = False) -> list[Line]:
    """The whole plan. What is as wished is counted, or listed when verbose."""
    nodes = tuple(dict.fromkeys(item.step.node for item in plan.items))
    lines: list[Line] = []
    for layer in Layer:
        items = [item for item in plan.items if item.step.layer is layer]
        listed = [item for item in items if verbose or not isinstance(item.finding, Ok)]
        fine = len(items) - len(listed)
        if items:
            lines.append(Line(str(layer), "bold"))
            lines += _table(_shared(_row(item, glyphs, verbose) for item in listed), nodes)
        if fine:
            lines.append(Line(f"{fine} as wished", "dim", 2, ((f"{glyphs.ok} ", "dim green"),)))
    return [*lines, Line(""), Line(count(plan).sentence(), "bold")]


def show_undo(items: Sequence[UndoItem], glyphs: Glyphs, *, verbose: bool = False) -> list[Line]:
    """What would be taken away, last made first."""
    nodes = tuple(dict.fromkeys(item.step.node for item in items))
    lines: list[Line] = []
    for layer in reversed(Layer):
        inside = [item for item in items if item.step.layer is layer]
        rows = (
            Row(i.step.name, (i.step.node,), glyphs.remove, "red", tuple(_actions(i, glyphs, verbose))) for i in inside
        )
        if inside:
            lines.append(Line(str(layer), "bold"))
            lines += _table(_shared(rows), nodes)
    return [*lines, Line(""), Line(f"Plan: {len(items)} to remove.", "bold")]


def _row(item: Item, glyphs: Glyphs, verbose: bool) -> Row:
    lines = tuple(_words(item, glyphs, verbose))
    return Row(item.step.name, (item.step.node,), _mark(item.finding, glyphs), STYLES[type(item.finding)], lines)


def _mark(finding: Finding, glyphs: Glyphs) -> str:
    marks = {
        Absent: glyphs.create,
        Drifted: glyphs.change,
        Pending: glyphs.later,
        Blocked: glyphs.blocked,
        Ok: glyphs.ok,
    }
    return marks[type(finding)]


def _words(item: Item, glyphs: Glyphs, verbose: bool) -> Iterator[tuple[str, str]]:
    """What a finding says, as pairs of text and style."""
    match item.finding:
        case Ok(note):
            yield note or "as wished", "dim"
        case Pending(on):
            yield f"known after {on}", "dim"
        case Blocked(problem, fix):
            yield problem, ""
            yield f"fix: {fix}", "green"
        case Drifted(differences):
            yield from _actions(item, glyphs, verbose)
            yield from ((f"because: {difference}", "yellow") for difference in differences)
        case Absent():
            yield from _actions(item, glyphs, verbose)


def _actions(item: Item | UndoItem, glyphs: Glyphs, verbose: bool) -> Iterator[tuple[str, str]]:
    for action in item.actions:
        yield action.summary, ""
        if verbose and action.detail:
            yield from ((f"  {glyphs.bar} {line}", "dim") for line in action.detail.rstrip().splitlines())


def _shared(rows: Iterable[Row]) -> list[Row]:
    """Rows of one step that say the same become one; steps keep their order."""
    by_content: dict[tuple[str, str, tuple[tuple[str, str], ...]], Row] = {}
    for row in rows:
        key = (row.name, row.mark, row.lines)
        nodes = by_content[key].nodes if key in by_content else ()
        by_content[key] = Row(row.name, (*nodes, *row.nodes), row.mark, row.style, row.lines)
    order = list(dict.fromkeys(name for name, _, _ in by_content))
    return sorted(by_content.values(), key=lambda row: order.index(row.name))


def _table(rows: Sequence[Row], nodes: tuple[str, ...]) -> Iterator[Line]:
    """Rows in columns; the second and later lines of a row stand under its first."""
    marks = max((len(row.mark) for row in rows), default=0) + 1
    names = max((len(row.name) for row in rows), default=0) + 2
    wide = max((len(_places(row.nodes, nodes)) for row in rows), default=0) + 2
    for row in rows:
        heads = (
            (row.mark.ljust(marks), row.style),
            (row.name.ljust(names), ""),
            (_places(row.nodes, nodes).ljust(wide), "dim"),
        )
        blank = ((" " * (marks + names + wide), ""),)
        for number, (text, style) in enumerate(row.lines or (("", ""),)):
            yield Line(text, style, 2, blank if number else heads)


def _places(nodes: tuple[str, ...], every: tuple[str, ...]) -> str:
    text = ", ".join(nodes)
    if len(text) <= WIDEST_NODES or len(nodes) == 1:
        return text
    return f"all {len(nodes)} nodes" if len(nodes) == len(every) else f"{nodes[0]} and {len(nodes) - 1} more"
