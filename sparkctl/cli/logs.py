"""logs: what the containers of the cluster print."""

from typing import TYPE_CHECKING, Annotated

import typer

from sparkctl.cli.common import Options, load_config, new_app, with_options
from sparkctl.cli.complete_nodes import complete_components, complete_nodes
from sparkctl.cli.log_sources import Source, choose, follow_all, last_state, reaching, read_all
from sparkctl.errors import SparkctlError

if TYPE_CHECKING:
    from sparkctl.config.load import Config
    from sparkctl.report.screen import Screen

app = new_app()


@app.command()
@with_options
def logs(
    options: Options,
    component: Annotated[
        str, typer.Argument(metavar="[COMPONENT]", help="Default: all.", autocompletion=complete_components)
    ] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    node: Annotated[str, typer.Option(metavar="NODE", help="Of this node only.", autocompletion=complete_nodes)] = "",
    tail: Annotated[int, typer.Option(min=0, metavar="N", help="Last lines of each container.")] = 100,
) -> int:
    """Show the logs of the containers, those of several together in order of time.

    What cannot be read, as its node is away, is named on standard error; exits with 4 when there is nothing else.
    """
    return show_logs(options, load_config(options), component, node, follow=follow, tail=tail)


def show_logs(
    options: Options, config: "Config", component: str, node: str, *, follow: bool, tail: int, start: str = ""
) -> int:
    """Print the logs of a component, or of all, on one node or on all; answers with the exit code.

    `start` is the command that brings the component, where that is not `up`.
    """
    from sparkctl.cli.ssh import find_node

    screen = options.screen("logs")
    nodes = (find_node(config, node),) if node else config.cluster.nodes
    with reaching(config, nodes, options) as (found, errors):
        sources = choose(found, errors, component, config.cluster.name, start)
        for error in errors:
            complain(error)
        lines = follow_all(sources, tail, complain) if follow else read_all(sources, tail, complain)
        try:
            for source, line in lines:
                show(screen, source, line, prefixed=len(sources) > 1)
        except KeyboardInterrupt:
            return 0 if follow else 130
    return 0


def complain(error: SparkctlError) -> None:
    """Say on standard error what is missing, and go on."""
    from sparkctl.report.failure import write

    write(error, "not shown: ", "yellow")


def show(screen: "Screen", source: Source, line: str, *, prefixed: bool) -> None:
    """One line; with --json, one object a line, so that a reader can follow too."""
    import json

    from sparkctl.report.look import clean

    text = last_state(line)
    if screen.json:
        data = {"schema": "sparkctl/logs/1", "node": source.node, "service": source.service, "line": text}
        print(json.dumps(data, ensure_ascii=False), flush=True)
    else:
        print(f"{source.name} {screen.glyphs.bar} {clean(text)}" if prefixed else clean(text), flush=True)
