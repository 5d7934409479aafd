"""bench: measure the fabric and the served model, keep what was found, compare two results."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from sparkctl.cli.bench_work import at_work, engine_spec, keep, seen_by, stamp
from sparkctl.cli.common import (
    JsonOption,
    NoColorOption,
    Options,
    QuietOption,
    YesOption,
    load_config,
    new_app,
    none_of,
    with_options,
)

app = new_app(no_args_is_help=True, help="Measure the fabric and the served model; compare results.")

MOST_AT_ONCE = 1024
"""Requests at a time: far above what a Spark answers in a time that anybody waits for."""

OutputOption = Annotated[
    Path, typer.Option("--output", "-o", metavar="FOLDER", help="Where results are kept, as JSON and as a page.")
]
AddressesOption = Annotated[
    bool, typer.Option("--with-addresses", help="Keep the addresses of the nodes in the result, too.")
]
FOLDER = Path("bench-results")


@app.command()
@with_options
def fabric(
    options: Options,
    only: Annotated[
        list[str] | None, typer.Option(metavar="KIND", help="ping, tcp, rdma or gather; repeatable. All without it.")
    ] = None,
    streams: Annotated[int, typer.Option(min=1, max=128, metavar="N", help="Parallel TCP connections.")] = 8,
    seconds: Annotated[int, typer.Option(min=1, max=600, metavar="S", help="Of each TCP transfer.")] = 5,
    output: OutputOption = FOLDER,
    with_addresses: AddressesOption = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be measured; measure nothing.")] = False,
    yes: YesOption = False,
) -> int:
    """Measure the fabric from node to node, and grade it.

    Ping, TCP, RDMA, and an all-gather in the engine's image. Asks first where something serves, which would be slowed
    down. Exits with 2 when a figure is below what healthy Sparks reach.
    """
    from sparkctl.bench import fabric as bench
    from sparkctl.bench import files
    from sparkctl.bench.results import FabricResult, Verdict
    from sparkctl.report.bench import plan_data, show_fabric, show_plan

    wish = bench.FabricWish(kinds_of(only), streams, seconds)
    screen, config = options.screen("bench-fabric"), load_config(options)
    spec = engine_spec(config)
    with at_work(screen, config, options) as work:
        seen = seen_by(work, spec.image if spec else "", with_addresses=with_addresses)
        made = bench.plan(config.cluster, seen, spec, wish)
        if dry_run:
            screen.put(**plan_data(made))
            screen.show(show_plan(made, verbose=screen.verbose))
            screen.finish()
            return 0
        busy = tuple(f"{service} on {name}" for name, one in seen.items() for service in one.serving)
        if busy:
            screen.confirm(f"{', '.join(busy)}: it would be slowed down, and so would the bench; go on?", yes=yes)
        machines, links = zip(*((one.machine, one.link) for one in seen.values()), strict=True)
        empty = FabricResult(*stamp(), config.cluster.name, machines, links, busy)
        files.check_folder(output)
        with work.locked("bench fabric") as run:
            result = bench.measure(made, run, empty)
    screen.show(screen.advise(show_fabric(result, screen.glyphs)))
    keep(screen, config, result, output, with_addresses=with_addresses)
    return 2 if result.verdict is Verdict.FAIL else 0


@app.command()
@with_options
def serve(
    options: Options,
    model: Annotated[str, typer.Argument(metavar="[MODEL]", help="One model of several; the first without it.")] = "",
    concurrency: Annotated[
        str, typer.Option(metavar="N,N,...", help="How many requests at a time, one level after the other.")
    ] = "1,2,4,8",
    input_tokens: Annotated[int, typer.Option(min=1, max=1 << 20, metavar="N", help="Of each request.")] = 256,
    output_tokens: Annotated[int, typer.Option(min=2, max=1 << 20, metavar="N", help="Of each answer.")] = 128,
    rounds: Annotated[int, typer.Option(min=1, max=1000, metavar="N", help="Requests at a level, times N.")] = 4,
    tool: Annotated[
        str, typer.Option(metavar="NAME", help="engine (its own tool), client (ours), or auto: engine where it can.")
    ] = "auto",
    output: OutputOption = FOLDER,
    with_addresses: AddressesOption = False,
) -> int:
    """Put a served model under load, level by level.

    Time to the first token, time per token and throughput by concurrency, set against what the memory's bandwidth
    allows where that is known. Exits with 2 when nothing answers.
    """
    from sparkctl.bench import files
    from sparkctl.bench import serve as bench
    from sparkctl.bench.results import Load
    from sparkctl.prove import read_key
    from sparkctl.report.bench import show_serve
    from sparkctl.stacks.serving import chosen

    wish = bench.ServeWish(levels_of(concurrency), Load(input_tokens, output_tokens, rounds), tool)
    if tool not in bench.TOOLS:
        raise none_of("--tool", tool, bench.TOOLS)
    screen, config = options.screen("bench-serve"), load_config(options)
    served = chosen(config, model)
    notes = bench.check(wish, served)
    with at_work(screen, config, options) as work:
        seen = seen_by(work, served.image.ref, with_addresses=with_addresses)
        key = read_key(config, work.sessions)
        active = bench.active_of(config, served, work.ask(bench.active_wants(config, served)))
        files.check_folder(output)
        with work.locked("bench serve") as run:
            measured = bench.measure(config, served, wish, key, seen[served.cluster.head.name].image, run)
    machines = tuple(seen[node.name].machine for node in served.cluster.nodes)
    found = replace(measured, notes=(*notes, *measured.notes))
    result = bench.result(stamp(), config.cluster.name, served, machines, wish, found, active)
    screen.show(show_serve(result))
    keep(screen, config, result, output, with_addresses=with_addresses)
    return 0


@app.command()
def compare(
    left: Annotated[Path, typer.Argument(metavar="A.json", help="A result.")],
    right: Annotated[Path, typer.Argument(metavar="B.json", help="Another one of the same bench.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="The page (default: beside B).")
    ] = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
    no_color: NoColorOption = False,
) -> int:
    """Show two results side by side, and write a page.

    Ratios are right over left. No node is asked.
    """
    from sparkctl.bench import files
    from sparkctl.bench.compare import compare as compared
    from sparkctl.report.bench import show_comparison
    from sparkctl.report.bench_page import comparison_page
    from sparkctl.report.screen import Screen

    screen = Screen("bench-compare", json, quiet, no_color=no_color)
    found = files.load(left), files.load(right)
    comparison = compared(*found)
    page = output or right.with_name(f"{left.stem}-against-{right.stem}.html")
    files.write(page, comparison_page(comparison, (left.stem, right.stem), found))
    screen.show(show_comparison(comparison))
    screen.put(left=str(left), right=str(right), notes=list(comparison.notes), page=str(page))
    screen.put(rows=[{**vars(row), "ratio": row.ratio, "judgement": row.judgement} for row in comparison.rows])
    screen.tell(f"page: {page}")
    screen.finish()
    return 0


def kinds_of(words: list[str] | None) -> tuple[str, ...]:
    """The kinds that `--only` names, all without it. Raises BadParameter."""
    from sparkctl.bench.fabric import KINDS

    for word in words or ():
        if word not in KINDS:
            raise none_of("--only", word, KINDS)
    return tuple(words) if words else KINDS


def levels_of(text: str) -> tuple[int, ...]:
    """The levels of `--concurrency`, each once, from the lowest. Raises BadParameter."""
    words = [word.strip() for word in text.split(",")]
    if not all(word.isascii() and word.isdigit() and 1 <= int(word[:9]) <= MOST_AT_ONCE for word in words):
        what = f"needs whole numbers from 1 to {MOST_AT_ONCE}, such as 1,2,4,8"
        raise typer.BadParameter(what, param_hint="--concurrency")
    return tuple(sorted({int(word) for word in words}))
