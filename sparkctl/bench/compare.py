"""Two results of one kind side by side: every figure that both have, with their ratio. Pure."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from sparkctl.bench.results import FabricResult, Level, Outcome, ServeResult
from sparkctl.errors import SparkctlError

SAME = 0.05
"""Ratios within it are taken as equal: two runs of one thing differ as much."""


@dataclass(frozen=True)
class Row:
    """One figure of both; None where one of them lacks it. With `higher`, more is better."""

    part: str
    name: str
    unit: str
    left: float | None
    right: float | None
    higher: bool = True

    @property
    def ratio(self) -> float | None:
        """Right over left."""
        return self.right / self.left if self.left and self.right is not None else None

    @property
    def judgement(self) -> str:
        """`better`, `worse` or `same`, of the right one; empty where there is no ratio."""
        if self.ratio is None:
            return ""
        if abs(self.ratio - 1) <= SAME:
            return "same"
        return "better" if (self.ratio > 1) == self.higher else "worse"


@dataclass(frozen=True)
class Comparison:
    """Every figure of two results, and what makes them hard to compare."""

    rows: tuple[Row, ...]
    notes: tuple[str, ...]


Figures = Mapping[tuple[str, str, str, bool], float]
"""By part, name, unit and whether more is better."""


def compare(left: Outcome, right: Outcome) -> Comparison:
    """Raises SparkctlError where they are results of different benches."""
    if isinstance(left, FabricResult) and isinstance(right, FabricResult):
        return Comparison(_rows(dict(_of_fabric(left)), dict(_of_fabric(right))), tuple(_fabric_notes(left, right)))
    if isinstance(left, ServeResult) and isinstance(right, ServeResult):
        return Comparison(_rows(dict(_of_serve(left)), dict(_of_serve(right))), tuple(_serve_notes(left, right)))
    raise SparkctlError(
        f"{left.schema} and {right.schema} have no figure in common",
        fix="compare two results of sparkctl bench fabric, or two of sparkctl bench serve",
    )


def _rows(left: Figures, right: Figures) -> tuple[Row, ...]:
    """In the order of the left one, then what only the right one has."""
    names = [*left, *(name for name in right if name not in left)]
    return tuple(
        Row(part, name, unit, left.get((part, name, unit, higher)), right.get((part, name, unit, higher)), higher)
        for part, name, unit, higher in names
    )


def _of_fabric(result: FabricResult) -> Iterator[tuple[tuple[str, str, str, bool], float]]:
    for ping in result.ping:
        if ping.avg_ms is not None:
            name = f"{ping.source} to {ping.target}, {ping.size} bytes"
            yield ("ping, mean", name, "ms", False), ping.avg_ms
    for transfer in result.tcp:
        name = f"{transfer.source} to {transfer.target}, {transfer.streams} connections"
        yield ("TCP", name, "Gb/s", True), transfer.gbit
    for write in result.rdma:
        yield ("RDMA", f"{write.source} to {write.target}, {write.device}", "Gb/s", True), write.gbit
    for size in result.gather.sizes if result.gather else ():
        yield ("all-gather, bus bandwidth", mebibytes(size.bytes), "GB/s", True), size.bus_gbyte


def _of_serve(result: ServeResult) -> Iterator[tuple[tuple[str, str, str, bool], float]]:
    parts: tuple[tuple[str, str, bool, Callable[[Level], float]], ...] = (
        ("output", "tok/s", True, lambda level: level.output_rate),
        ("time to the first token, median", "ms", False, lambda level: level.ttft.median),
        ("time to the first token, p99", "ms", False, lambda level: level.ttft.p99),
        ("time per output token, median", "ms", False, lambda level: level.tpot.median),
        ("time per output token, p99", "ms", False, lambda level: level.tpot.p99),
        ("between two pieces, median", "ms", False, lambda level: level.itl.median),
        ("between two pieces, p99", "ms", False, lambda level: level.itl.p99),
    )
    for part, unit, higher, figure in parts:
        for level in result.levels:
            yield (part, at_a_time(level), unit, higher), figure(level)


def _fabric_notes(left: FabricResult, right: FabricResult) -> Iterator[str]:
    tools = [sorted({transfer.tool for transfer in one.tcp}) for one in (left, right)]
    if tools[0] != tools[1]:
        yield f"TCP was measured by {' and '.join(tools[0])} on the left, by {' and '.join(tools[1])} on the right"
    for side, one in (("left", left), ("right", right)):
        if one.busy:
            yield f"on the {side} one something served meanwhile: {', '.join(one.busy)}"
    gathers = [one.gather.backend for one in (left, right) if one.gather]
    if len(set(gathers)) > 1:
        yield f"the all-gather went by {gathers[0]} on the left, by {gathers[1]} on the right"


def _serve_notes(left: ServeResult, right: ServeResult) -> Iterator[str]:
    if left.tool != right.tool:
        yield f"measured by {left.tool} on the left, by {right.tool} on the right: times differ by the way between"
    if left.load != right.load:
        loads = (left.load, right.load)
        sides = [f"{one.input_tokens} tokens in, {one.output_tokens} out, {one.rounds} rounds" for one in loads]
        yield f"the requests differ: {sides[0]} on the left, {sides[1]} on the right"
    for side, one in (("left", left), ("right", right)):
        yield from (f"on the {side} {failure}" for failure in one.failures)
    if left.model.id != right.model.id:
        yield f"the models differ: {left.model.id} on the left, {right.model.id} on the right"


def mebibytes(count: int) -> str:
    """`0.25 MiB`, `32 MiB`, `1024 MiB`: one unit, so that a column can be read."""
    return f"{count / (1 << 20):g} MiB"


def at_a_time(level: Level) -> str:
    """How a concurrency is named."""
    return f"{level.concurrency} at a time"
