"""A plan, or what would be taken away, as lines: by layer, then by step; nodes that share a finding share a line."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from sparkctl.core.plan import Item, Plan, UndoItem
from sparkctl.core.step import Absent, Blocked, Drifted, Finding, Layer, Ok, Pending
from sparkctl.report.look import Glyphs
from sparkctl.report.page import Line

WIDEST_NODES = 24
"""Columns for node names; more nodes than that are counted instead."""

STYLES = {Absent: "green", Drifted: "yellow", Pending: "cyan", Blocked: "bold red", Ok: "dim"}

Words = tuple[str, str, str]
"""A text, its style, and what leads it in, such as the bar before a command."""


@dataclass(frozen=True)
class Row:
    """One finding of one step, and the nodes that share it. `lines` are texts, each with its style and its lead."""

    name: str
    nodes: tuple[str, ...]
    mark: str
    style: str
    lines: tuple[Words, ...]


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
    layers = {layer: [item for item in plan.items if item.step.layer is layer] for layer in Layer}
    rows = {
        layer: _shared((_row(i, glyphs, verbose) for i in items if verbose or not isinstance(i.finding, Ok)), nodes)
        for layer, items in layers.items()
    }
    table = Table.of([row for inside in rows.values() for row in inside], nodes, glyphs)
    lines: list[Line] = []
    for layer, items in layers.items():
        fine = sum(isinstance(item.finding, Ok) for item in items) if not verbose else 0
        lines += [Line(str(layer), "bold")] if items else []
        lines += [line for row in rows[layer] for line in table.lines(row)]
        lines += [Line(f"{fine} as wished", "dim", 2, ((glyphs.ok.ljust(table.marks), "green"),))] if fine else []
    return [*lines, Line(""), Line(count(plan).sentence(), "bold")]


def show_undo(items: Sequence[UndoItem], glyphs: Glyphs, *, verbose: bool = False) -> list[Line]:
    """What would be taken away, last made first."""
    nodes = tuple(dict.fromkeys(item.step.node for item in reversed(items)))
    rows = {
        layer: _shared((_undo_row(i, glyphs, verbose) for i in items if i.step.layer is layer), nodes)
        for layer in reversed(Layer)
    }
    table = Table.of([row for inside in rows.values() for row in inside], nodes, glyphs)
    lines: list[Line] = []
    for layer, inside in rows.items():
        lines += [Line(str(layer), "bold")] if inside else []
        lines += [line for row in inside for line in table.lines(row)]
    return [*lines, Line(""), Line(f"Plan: {len(items)} to remove.", "bold")]


def _undo_row(item: UndoItem, glyphs: Glyphs, verbose: bool) -> Row:
    return Row(item.step.name, (item.step.node,), glyphs.remove, "red", tuple(_actions(item, glyphs, verbose)))


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


def _words(item: Item, glyphs: Glyphs, verbose: bool) -> Iterator[Words]:
    """What a finding says."""
    match item.finding:
        case Ok(note):
            yield note or "as wished", "dim", ""
        case Pending(on):
            name, _, node = on.partition("@")
            yield f"known after {name if node == item.step.node else on}", "dim", ""
        case Blocked(problem, fix):
            yield from _troubles(problem.splitlines(), fix.splitlines())
        case Drifted(differences):
            yield from _actions(item, glyphs, verbose)
            yield from ((f"because: {difference}", "yellow", "") for difference in differences)
        case Absent():
            yield from _actions(item, glyphs, verbose)


def _troubles(problems: Sequence[str], fixes: Sequence[str]) -> Iterator[Words]:
    """Each problem with its fix under it, where they come in pairs; else all problems, then all fixes."""
    paired = len(problems) == len(fixes)
    for number, problem in enumerate(problems):
        yield problem, "", ""
        if paired:
            yield fixes[number], "green", "fix: "
    yield from () if paired else ((fix, "green", "fix: ") for fix in fixes)


def _actions(item: Item | UndoItem, glyphs: Glyphs, verbose: bool) -> Iterator[Words]:
    for action in item.actions:
        yield action.summary, "", ""
        if verbose and action.detail:
            yield from ((line, "dim", f"  {glyphs.bar} ") for line in action.detail.rstrip().splitlines())


def _shared(rows: Iterable[Row], order: tuple[str, ...]) -> list[Row]:
    """Rows of one step that say the same become one; steps keep their order, nodes have theirs."""
    same: dict[tuple[str, str, tuple[Words, ...]], list[Row]] = {}
    for row in rows:
        same.setdefault((row.name, row.mark, row.lines), []).append(row)
    names = list(dict.fromkeys(name for name, _, _ in same))
    merged = [
        replace(group[0], nodes=tuple(sorted((n for row in group for n in row.nodes), key=order.index)))
        for group in same.values()
    ]
    return sorted(merged, key=lambda row: names.index(row.name))


@dataclass(frozen=True)
class Table:
    """The columns before the text: their widths, and every node that there is."""

    marks: int
    names: int
    places: int
    nodes: tuple[str, ...]

    @classmethod
    def of(cls, rows: Sequence[Row], nodes: tuple[str, ...], glyphs: Glyphs) -> "Table":
        """Columns wide enough for all rows."""
        marks = max(map(len, (glyphs.ok, glyphs.create, glyphs.change, glyphs.later, glyphs.blocked))) + 1
        names = max((len(row.name) for row in rows), default=0) + 2
        places = max((len(_places(row.nodes, nodes)) for row in rows), default=0) + 2
        return cls(marks, names, places, nodes)

    def lines(self, row: Row) -> Iterator[Line]:
        """One row; its second and later lines stand under its first."""
        heads = (
            (row.mark.ljust(self.marks), row.style),
            (row.name.ljust(self.names), ""),
            (_places(row.nodes, self.nodes).ljust(self.places), "dim"),
        )
        blank = ((" " * (self.marks + self.names + self.places), ""),)
        for number, (text, style, lead) in enumerate(row.lines or (("", "", ""),)):
            yield Line(text, style, 2, blank if number else heads, lead)


def _places(nodes: tuple[str, ...], every: tuple[str, ...]) -> str:
    text = ", ".join(nodes)
    if len(text) <= WIDEST_NODES or len(nodes) == 1:
        return text
    return f"all {len(nodes)} nodes" if len(nodes) == len(every) else f"{nodes[0]} and {len(nodes) - 1} more"
