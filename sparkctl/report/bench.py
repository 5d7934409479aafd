"""Results of a bench as lines for a terminal."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sparkctl.amounts import figure
from sparkctl.bench.compare import Comparison, Row, mebibytes
from sparkctl.bench.fabric import FabricPlan
from sparkctl.bench.results import FabricResult, Gather, Grade, Level, Ping, Rdma, ServeResult, Transfer, Verdict
from sparkctl.report.look import Glyphs
from sparkctl.report.page import Line

STYLES = {Verdict.PASS: "green", Verdict.FAIR: "yellow", Verdict.FAIL: "red", Verdict.UNGRADED: "dim"}


def show_plan(plan: FabricPlan, *, verbose: bool) -> list[Line]:
    """What would be measured, and what cannot be."""
    lines = []
    for one in plan.measurements:
        lines.append(Line(one.summary, heads=((f"{one.kind:8}", "bold"),)))
        lines += [Line(row, "dim", indent=8) for row in one.detail.splitlines() if verbose]
    return [*lines, *_left_out(plan)]


def plan_data(plan: FabricPlan) -> dict[str, Any]:
    """The same for --json."""
    measurements = [
        {"kind": one.kind, "node": one.node, "summary": one.summary, "detail": one.detail} for one in plan.measurements
    ]
    return {"measurements": measurements, "left_out": [vars(one) for one in plan.left_out]}


def show_fabric(result: FabricResult, glyphs: Glyphs) -> list[Line]:
    """A line for each figure; below, each reason of a grade once, with what to do next."""
    lines = [_link(result, machine.name) for machine in result.machines]
    lines += [Line(f"{', '.join(result.busy)} served meanwhile", "yellow")] if result.busy else []
    measured: list[Ping | Transfer | Rdma] = [*result.ping, *result.tcp, *result.rdma]
    for one in measured:
        between = f"{one.source} to {one.target}"
        lines.append(_graded(_kind(one), f"{between}: {_figure(one)}", one.grade, glyphs))
    for text in _gathered(result.gather) if result.gather else ():
        lines.append(_graded("gather", text, result.gather.grade, glyphs)) if result.gather else None
    return [*lines, *_left_out(result), *_reasons(result.grades)]


def show_serve(result: ServeResult) -> list[Line]:
    """A row for each concurrency, and the roofline."""
    load, model = result.load, result.model
    where = ", ".join(model.nodes)
    lines = [
        Line(f"{model.name} by {model.engine} on {where}, tensor parallel {model.tensor_parallel}", "bold"),
        Line(
            f"{load.input_tokens} tokens in, {load.output_tokens} out; measured by {result.tool} from {result.place}"
        ),
        Line(_row("at once", "output", "first token", "per token", "between pieces", "failed"), "dim"),
        Line(_row("", "tok/s", "p50 / p99 ms", "p50 / p99 ms", "p50 / p99 ms", ""), "dim"),
    ]
    lines += [Line(_level(level)) for level in result.levels]
    lines.append(Line(roofline_sentence(result)))
    return [*lines, *(Line(f"note: {note}") for note in result.notes)]


def show_comparison(comparison: Comparison) -> list[Line]:
    """A row for each figure."""
    parts = list(dict.fromkeys(row.part for row in comparison.rows))
    width = max((len(row.name) for row in comparison.rows), default=0)
    lines = [Line(f"note: {note}", "yellow") for note in comparison.notes]
    for part in parts:
        rows = [row for row in comparison.rows if row.part == part]
        lines.append(Line(f"{part} ({rows[0].unit}), {'more' if rows[0].higher else 'less'} is better", "bold"))
        lines += [Line(_compared(row, width), _tint(row), indent=2) for row in rows]
    return lines


def roofline_sentence(result: ServeResult) -> str:
    """The roofline in a sentence, or why there is none."""
    roof = result.roofline
    if not roof.known or roof.tokens_per_s is None:
        return f"no roofline: {roof.note}"
    reached = f"; one request at a time reached {roof.reached:.0%} of it" if roof.reached is not None else ""
    return f"roofline for one request: {roof.tokens_per_s:.1f} tok/s ({roof.note}){reached}"


def _link(result: FabricResult, node: str) -> Line:
    machine = next(one for one in result.machines if one.name == node)
    link = next((one for one in result.links if one.node == node), None)
    if link is None:
        return Line(machine.name)
    speed = f"{link.gbit:g} Gb/s" if link.gbit is not None else "speed unknown"
    driver = link.driver or "virtual, no hardware behind it"
    return Line(f"{link.interface} ({driver}), {speed}, MTU {link.mtu or 'unknown'}", heads=((f"{node}  ", "bold"),))


def _kind(one: Ping | Transfer | Rdma) -> str:
    return "ping" if isinstance(one, Ping) else "tcp" if isinstance(one, Transfer) else "rdma"


def _figure(one: Ping | Transfer | Rdma) -> str:
    if isinstance(one, Ping):
        times = "no answer" if one.avg_ms is None else f"{one.min_ms:g} / {one.avg_ms:g} / {one.max_ms:g} ms"
        return f"{one.size} bytes, {times}, {one.lost_percent:g} % lost"
    if isinstance(one, Transfer):
        many = "1 connection" if one.streams == 1 else f"{one.streams} connections"
        return f"{figure(one.gbit)} Gb/s by {many} ({one.tool})"
    return f"{figure(one.gbit)} Gb/s through {one.device}"


def _gathered(gather: Gather) -> Iterator[str]:
    for size in gather.sizes:
        yield f"{mebibytes(size.bytes)} over {gather.ranks} ranks: {figure(size.bus_gbyte)} GB/s ({gather.backend})"


def _graded(kind: str, text: str, grade: Grade, glyphs: Glyphs) -> Line:
    marks = {Verdict.PASS: glyphs.ok, Verdict.FAIR: glyphs.change, Verdict.FAIL: glyphs.blocked}
    mark = marks.get(grade.verdict, glyphs.dot)
    return Line(text, heads=((f"{mark} ", STYLES[grade.verdict]), (f"{kind:8}", "bold")))


def _left_out(of: FabricPlan | FabricResult) -> list[Line]:
    lines = []
    for one in of.left_out:
        lines.append(Line(f"{one.what}, {one.node}: {one.why}", "yellow", heads=(("left out: ", "yellow"),)))
        lines += [Line(f"try: {one.next}", indent=4)] if one.next else []
    return lines


def _reasons(grades: Mapping[Grade, Sequence[str]]) -> list[Line]:
    lines = []
    for grade, subjects in grades.items():
        title = "not graded" if grade.verdict is Verdict.UNGRADED else str(grade.verdict)
        what = subjects[0] if len(subjects) == 1 else f"{subjects[0]} and {len(subjects) - 1} more"
        lines.append(Line(f"{what}: {grade.reason}", heads=((f"{title}: ", STYLES[grade.verdict]),)))
        lines += [Line(f"try: {grade.next}", indent=4)] if grade.next else []
    return lines


def _level(level: Level) -> str:
    pairs = (f"{one.median:.1f} / {one.p99:.1f}" for one in (level.ttft, level.tpot, level.itl))
    return _row(str(level.concurrency), f"{level.output_rate:.1f}", *pairs, f"{level.failed} of {level.requests}")


def _row(*cells: str) -> str:
    widths = (7, 9, 18, 18, 18, 10)
    return "".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _compared(row: Row, width: int) -> str:
    left, right = (figure(value) if value is not None else "none" for value in (row.left, row.right))
    ratio = f"{row.ratio:.2f} x  {row.judgement}" if row.ratio is not None else ""
    return f"{row.name.ljust(width)}{left.rjust(12)}{right.rjust(12)}  {ratio}".rstrip()


def _tint(row: Row) -> str:
    return {"better": "green", "worse": "red"}.get(row.judgement, "")
