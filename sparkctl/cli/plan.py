"""plan: show what `up` would change."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from sparkctl.cli.common import Options, load_config, new_app, none_of, open_sessions, wants_of, with_options
from sparkctl.cli.complete_nodes import complete_layers

if TYPE_CHECKING:
    from sparkctl.config.load import Config
    from sparkctl.core.plan import Plan
    from sparkctl.core.step import Step
    from sparkctl.report.screen import Screen

app = new_app()

UntilOption = Annotated[
    str,
    typer.Option(
        "--until",
        metavar="LAYER",
        help="Stop after host, storage, image, model or workload.",
        autocompletion=complete_layers,
    ),
]


@app.command()
@with_options
def plan(
    options: Options,
    until: UntilOption = "",
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit with 2 when there are changes.")] = False,
) -> int:
    """Show what `sparkctl up` would change on the nodes; change nothing.

    Exits with 0; with 1 when something blocks the plan; with 2 on changes, if --exit-code is given.
    """
    made = show_dry_run(options, until)
    if made.blocked:
        return 1
    return 2 if exit_code and made.changes else 0


def show_dry_run(options: Options, until: str) -> "Plan":
    """What `up` would do."""
    from sparkctl.stacks.serving import steps

    screen, config = options.screen("plan"), load_config(options)
    return look(options, screen, config, within(steps(config), until))


def look(options: Options, screen: "Screen", config: "Config", todo: "Sequence[Step]") -> "Plan":
    """Read the nodes, make the plan, show it. The sessions are used as probers, which cannot write."""
    from sparkctl.core.plan import gather, make_plan
    from sparkctl.report.plan_view import count

    with options.waiting() as waiting, open_sessions(config, options, waiting.watch) as sessions:
        made = make_plan(todo, gather(sessions, wants_of(todo), waiting.watch))
    show_plan(screen, config, made)
    if screen.quiet:
        screen.tell(count(made).sentence())
    screen.finish()
    return made


def within(steps: "Sequence[Step]", until: str) -> "list[Step]":
    """The steps up to and with a layer, and what these need of a later one: packages and cache outlive a mount.

    Raises BadParameter for a layer that there is not.
    """
    from sparkctl.core.plan import id_of, ordered
    from sparkctl.core.step import Layer

    layers = list(Layer)
    if until and until not in layers:
        raise none_of("--until", until, layers)
    wanted = layers[: layers.index(Layer(until)) + 1] if until else layers
    kept: dict[str, Step] = {}
    for step in reversed(ordered(steps)):
        if step.layer in wanted or any(id_of(step) in user.needs for user in kept.values()):
            kept[id_of(step)] = step
    return [step for step in steps if id_of(step) in kept]


def show_plan(screen: "Screen", config: "Config", made: "Plan") -> None:
    """Show a plan and what is to be said about the configuration, or put both into the document."""
    from sparkctl.report import plan_view
    from sparkctl.report.data import plan_data
    from sparkctl.report.page import Line

    screen.put(cluster=config.cluster.name, notes=list(config.notes), **plan_data(made))
    screen.show([Line(note, "dim", 0, (("note: ", "dim"),)) for note in config.notes])
    screen.show(plan_view.show_plan(made, screen.glyphs, verbose=screen.verbose))
