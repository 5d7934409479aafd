"""agents eval: how well requests are routed, programs written, documents found; with the floors beside it."""

from pathlib import Path
from typing import Annotated

import typer

from sparkctl.cli.common import JsonOption, NoColorOption, QuietOption, none_of

SUITES = ("routing", "code", "retrieval")


def evaluate(
    endpoint: Annotated[str, typer.Option(metavar="URL", help="A gateway, or a server of OpenAI's API.")] = "",
    key_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", exists=True, dir_okay=False, readable=True, help="Holds the endpoint's key."),
    ] = None,
    model: Annotated[str, typer.Option(metavar="ID", help="Evaluate this raw model, also of a gateway.")] = "",
    suite: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="routing, code or retrieval; repeatable. All without it.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, max=100, metavar="N", help="How often everything is asked.")] = 1,
    sandbox: Annotated[str, typer.Option(metavar="SOCKET", help="Of the sandbox that runs programs.")] = "",
    docs: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Pages to search, too: sparkctl's own.")] = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
    no_color: NoColorOption = False,
) -> int:
    """Measure routing, code and retrieval; without an endpoint, the floors alone.

    A floor is what routers without a model reach on the same prompts. docs/evaluation.md says what each figure means.
    """
    from sparkctl.cli.agents import room
    from sparkctl.report.agents_eval import show_eval
    from sparkctl.report.screen import Screen
    from sparkctl.report.waiting import Waiting

    for name in suite or ():
        if name not in SUITES:
            raise none_of("--suite", name, SUITES)
    if endpoint and not endpoint.startswith(("http://", "https://")):
        raise typer.BadParameter(f"{endpoint!r} is no URL, such as http://127.0.0.1:8000", param_hint="--endpoint")
    if suite and set(suite) == {"code"} and not (endpoint and sandbox):
        what = "needs --endpoint, which writes programs, and --sandbox, which runs them"
        raise typer.BadParameter(what, param_hint="--suite code")
    command = room("eval.command")
    screen = Screen("agents-eval", json, quiet, no_color=no_color)
    wish = command.Wish(tuple(dict.fromkeys(suite or SUITES)), endpoint, key_file, model, seeds, sandbox, docs)
    with Waiting(wanted=not (json or quiet)) as waiting:
        found = command.evaluate(wish, waiting.say)
    screen.put(**found)
    screen.show(show_eval(found))
    screen.finish()
    return 0
