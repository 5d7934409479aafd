"""Results of a bench as one page that needs nothing else: pictures with their tables, for somebody it is sent to."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sparkctl.bench import grades
from sparkctl.bench.compare import Comparison, Row, at_a_time, mebibytes
from sparkctl.bench.results import FabricResult, Gather, Grade, LeftOut, Machine, Outcome, ServeResult
from sparkctl.rendering import render_html
from sparkctl.report.bench import roofline_sentence
from sparkctl.report.bench_plot import Chart, Mark, Series, shown

TEMPLATE = "bench.html.j2"


@dataclass(frozen=True)
class Compared:
    """The table of one figure of two results: its unit, and rows of texts."""

    unit: str
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Page:
    """What the template shows. `facts` are pairs of a name and what is known."""

    title: str
    verdict: str
    summary: str
    facts: tuple[tuple[str, str], ...]
    charts: tuple[Chart, ...]
    grades: tuple[tuple[Grade, str], ...] = ()
    """Each with what it was given for."""
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()
    compared: tuple[Compared, ...] = ()


def result_page(result: Outcome) -> str:
    """The page of one result."""
    return render_html(TEMPLATE, page=_fabric(result) if isinstance(result, FabricResult) else _serve(result))


def comparison_page(comparison: Comparison, names: tuple[str, str], results: tuple[Outcome, Outcome]) -> str:
    """The page of two results side by side."""
    parts = dict.fromkeys(row.part for row in comparison.rows)
    groups = [tuple(row for row in comparison.rows if row.part == part) for part in parts]
    page = Page(
        title=f"{names[0]} against {names[1]}",
        verdict="",
        summary="Ratios are right over left; within 5 % they are taken as the same.",
        facts=tuple(map(_side, ("left", "right"), names, results)),
        charts=tuple(_compared_chart(rows, names) for rows in groups),
        notes=comparison.notes,
        compared=tuple(Compared(rows[0].unit, tuple(map(_texts, rows))) for rows in groups),
    )
    return render_html(TEMPLATE, page=page)


def _fabric(result: FabricResult) -> Page:
    summaries = {
        "pass": "Every figure that can be graded is what two healthy Sparks reach.",
        "fair": "It works, and could be faster: see the grades.",
        "fail": "Something is below what two healthy Sparks reach: see the grades.",
        "ungraded": "Nothing here could be graded: see why below.",
    }
    return Page(
        title=f"Fabric of {result.cluster}",
        verdict=result.verdict,
        summary=summaries[result.verdict],
        facts=(*_common(result), *_links(result)),
        charts=tuple(_fabric_charts(result)),
        grades=tuple((grade, "; ".join(subjects)) for grade, subjects in result.grades.items()),
        left_out=result.left_out,
        notes=(f"{', '.join(result.busy)} served meanwhile, and took its share",) if result.busy else (),
    )


def _fabric_charts(result: FabricResult) -> Iterator[Chart]:
    if result.ping:
        names = tuple(f"{one.source} to {one.target}, {one.size} bytes" for one in result.ping)
        rows = ("least", "mean", "longest")
        values = zip(*((one.min_ms, one.avg_ms, one.max_ms) for one in result.ping), strict=True)
        series = tuple(Series(name, tuple(row)) for name, row in zip(rows, values, strict=True))
        text = "How long a packet travels there and back. Less is better."
        yield Chart("Ping", text, "ms", names, series, of="way")
    if result.tcp:
        names = tuple(f"{one.source} to {one.target}, {_connections(one.streams)}" for one in result.tcp)
        series = (Series("received", tuple(one.gbit for one in result.tcp)),)
        tool = result.tcp[0].tool
        text = f"What arrives by TCP over the fabric, measured by {tool}. More is better."
        yield Chart("TCP", text, "Gb/s", names, series, of="way")
    if result.rdma:
        names = tuple(f"{one.source} to {one.target}, {one.device}" for one in result.rdma)
        series = (Series("average", tuple(one.gbit for one in result.rdma)),)
        text = "RDMA writes through one half of the port at a time. More is better."
        marks = (Mark("threshold", grades.HALF_PASS_GBIT),)
        yield Chart("RDMA", text, "Gb/s", names, series, marks, of="way")
    if result.gather:
        yield _gather_chart(result.gather)


def _gather_chart(gather: Gather) -> Chart:
    names = tuple(mebibytes(size.bytes) for size in gather.sizes)
    series = (Series("bus bandwidth", tuple(size.bus_gbyte for size in gather.sizes)),)
    how = f"{gather.backend} over {gather.transport}" if gather.transport else gather.backend
    text = f"What each link carries while {gather.ranks} ranks gather a whole, by {how}. More is better."
    nccl = gather.backend == "nccl"
    marks = (Mark("one half", 12.0), Mark("NVIDIA's threshold", grades.PASS_GBYTE)) if nccl else ()
    return Chart("All-gather", text, "GB/s", names, series, marks, of="whole")


def _serve(result: ServeResult) -> Page:
    model, load = result.model, result.load
    facts = (
        *_common(result),
        ("model", f"{model.name}, tensor parallel {model.tensor_parallel} on {', '.join(model.nodes)}"),
        ("engine", f"{model.engine}, image {model.image}"),
        ("requests", f"{load.input_tokens} tokens in, {load.output_tokens} out, {load.rounds} times the level"),
        ("measured by", f"{result.tool}, from {result.place}"),
        ("roofline", roofline_sentence(result)),
    )
    best = max(result.levels, key=lambda level: level.output_rate)
    summary = f"At most {shown(best.output_rate)} tokens a second, with {at_a_time(best)}."
    notes = (*result.notes, *result.failures, *([result.few] if result.few else []))
    return Page(f"{model.name} under load", "", summary, facts, tuple(_serve_charts(result)), notes=notes)


def _serve_charts(result: ServeResult) -> Iterator[Chart]:
    names = tuple(at_a_time(level) for level in result.levels)
    rates = Series("all requests", tuple(level.output_rate for level in result.levels))
    text = "Tokens a second of all requests together. More is better."
    yield Chart("Throughput", text, "tok/s", names, (rates,), of="requests")
    floor = result.roofline.tokens_per_s
    marks = (Mark("roofline", 1000 / floor),) if floor else ()
    parts = (
        ("Time to the first token", "ttft", "How long a client waits for the first token. Less is better.", ()),
        ("Time per output token", "tpot", "The mean time of each token after the first. Less is better.", marks),
        ("Between two pieces", "itl", "How long the stream pauses. Less is better.", ()),
    )
    for title, member, description, held in parts:
        spreads = [getattr(level, member) for level in result.levels]
        series = (
            Series("median", tuple(one.median for one in spreads)),
            Series("99th percentile", tuple(one.p99 for one in spreads)),
        )
        yield Chart(title, description, "ms", names, series, held, of="requests")


def _common(result: Outcome) -> tuple[tuple[str, str], ...]:
    nodes = ((machine.name, _machine(machine)) for machine in result.machines)
    return (
        ("cluster", result.cluster),
        ("taken", _moment(result)),
        ("sparkctl", result.version),
        *nodes,
    )


def _moment(result: Outcome) -> str:
    return result.taken.replace("T", " ").replace("+00:00", " UTC")


def _machine(machine: Machine) -> str:
    what = "DGX Spark" if machine.spark else "no Spark"
    where = f", {machine.address}, fabric {machine.fabric_ip}" if machine.address else ""
    return f"{what}: {machine.architecture}, nvidia-smi names {machine.gpu or 'no GPU'}{where}"


def _links(result: FabricResult) -> Iterator[tuple[str, str]]:
    for link in result.links:
        speed = f"{link.gbit:g} Gb/s" if link.gbit is not None else "speed unknown"
        driver = link.driver or "virtual, no hardware behind it"
        yield f"link of {link.node}", f"{link.interface} ({driver}), {speed}, MTU {link.mtu or 'unknown'}"


def _side(side: str, name: str, result: Outcome) -> tuple[str, str]:
    tool = result.tool if isinstance(result, ServeResult) else ", ".join(dict.fromkeys(one.tool for one in result.tcp))
    nodes = ", ".join(f"{machine.name} ({'Spark' if machine.spark else 'no Spark'})" for machine in result.machines)
    what = f" of {result.model.name}" if isinstance(result, ServeResult) else ""
    return side, f"{name}: {result.cluster}{what}, {_moment(result)}, {nodes}" + (f", by {tool}" if tool else "")


def _compared_chart(rows: Sequence[Row], names: tuple[str, str]) -> Chart:
    series = (Series(names[0], tuple(row.left for row in rows)), Series(names[1], tuple(row.right for row in rows)))
    title = rows[0].part[:1].upper() + rows[0].part[1:]
    return Chart(title, f"Both results, {_better(rows[0])}.", rows[0].unit, tuple(row.name for row in rows), series)


def _texts(row: Row) -> tuple[str, ...]:
    """Name, both figures, their ratio, and what the right one is."""
    ratio = "" if row.ratio is None else shown(row.ratio)
    return row.name, shown(row.left), shown(row.right), ratio, row.judgement


def _better(row: Row) -> str:
    return "more is better" if row.higher else "less is better"


def _connections(count: int) -> str:
    return "1 connection" if count == 1 else f"{count} connections"
