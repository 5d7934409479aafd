"""`sparkctl agents`: the programs of the agent containers, and tools beside them."""

from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated

import typer

from sparkctl.cli.agents_eval import evaluate
from sparkctl.cli.agents_selftest import show
from sparkctl.cli.common import JsonOption, NoColorOption, QuietOption, new_app, none_of
from sparkctl.errors import SparkctlError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sparkctl.report.page import Line

app = new_app(no_args_is_help=True)
key = new_app(no_args_is_help=True, help="Make, list and end the keys of the platform's users.")
app.add_typer(key, name="key")
app.command("eval")(evaluate)
Document = Annotated[Path, typer.Option("--config", metavar="FILE", help="What `sparkctl up` wrote for the platform.")]
DOCUMENT = Path("/etc/sparkctl/agents.json")


@app.callback()
def agents() -> None:
    """Run the agent platform, or a part of it."""


@app.command()
def serve(config: Document = DOCUMENT) -> None:
    """Serve the gateway: agents, OpenAI's API, documents."""
    room("serve").serve(config)


@app.command()
def worker(config: Document = DOCUMENT) -> None:
    """Read documents beside the gateway, off the queue in its database."""
    room("worker").serve(config)


@app.command()
def ui(config: Document = DOCUMENT) -> None:
    """Serve the web UI, which asks the gateway with the key of whoever is signed in."""
    room("ui.serve").serve(config)


@app.command()
def sandbox(
    socket: Annotated[Path, typer.Option(metavar="PATH", help="Unix socket that the gateway asks.")],
    workspaces: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the sessions' files.")],
    seconds: Annotated[float, typer.Option(min=0.1, help="Wall-clock time of one job.")] = 20,
    memory_mib: Annotated[int, typer.Option(min=16, help="Memory that the container was given.")] = 512,
    processes: Annotated[int, typer.Option(min=4, help="Processes that the container was given.")] = 64,
    disk_mib: Annotated[int, typer.Option(min=1, help="Files of one session.")] = 256,
    user_mib: Annotated[int, typer.Option(min=1, help="Files of all sessions of one user.")] = 4_096,
    output_kib: Annotated[int, typer.Option(min=1, help="Output kept of one job.")] = 64,
    keep_days: Annotated[float, typer.Option(min=0, help="Days after which unused files go.")] = 30,
) -> None:
    """Run code that models write; the first process of its own container, which docs/sandbox.md describes."""
    server = room("sandbox.server")
    limits = (seconds, memory_mib, processes, disk_mib, user_mib, output_kib)
    options = server.Options(socket, workspaces, *limits, keep_days)
    server.serve(options)


@app.command()
def selftest(
    config: Document = DOCUMENT, json: JsonOption = False, quiet: QuietOption = False, no_color: NoColorOption = False
) -> int:
    """Tell what the sandbox found out about its isolation when it started. Exits with 2 where code is not run."""
    return show(room("sandbox.asking").report(config), json=json, quiet=quiet, no_color=no_color)


@app.command()
def node(
    key_file: Annotated[Path, typer.Option(metavar="FILE", help="Holds the key that opens it.")],
    name: Annotated[str, typer.Option(help="What the node is called.")],
    listen: Annotated[str, typer.Option(metavar="ADDRESS", help="Where it listens.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Its port.")] = 9101,
    disk: Annotated[list[str] | None, typer.Option(metavar="PATH", help="File systems; repeat it.")] = None,
    fabric: Annotated[
        list[str] | None, typer.Option(metavar="INTERFACE", help="The fabric's; without it, those with RDMA.")
    ] = None,
) -> None:
    """Serve a node's own figures: memory, disks, fabric, GPU; /facts as JSON, /metrics for Prometheus."""
    serving, place = room("node.serve"), room("node.look").Place(name, tuple(disk or ["/"]), tuple(fabric or ()))
    serving.serve(place, serving.Door(listen, port, key_file))


@app.command()
def doctor(
    config: Document = DOCUMENT, json: JsonOption = False, quiet: QuietOption = False, no_color: NoColorOption = False
) -> int:
    """Ask each served model what it can do, and tell whether the agents can work with that.

    Exits with 0 when they can, 2 when not, 3 for a bad configuration.
    """
    from sparkctl.report.screen import Screen

    screen = Screen("agents-doctor", json, quiet, no_color=no_color)
    found = room("doctor").doctor(config)
    screen.put(**found.data())
    screen.show(table(list(found.rows())))
    for problem in found.problems:
        screen.tell(problem, "red")
    screen.finish()
    return int(found.exit_code)


@key.command("create")
def create_key(
    user: Annotated[str, typer.Argument(help="Who will show it.")],
    name: Annotated[str, typer.Option(help="What it is for, in your words.")] = "",
    scope: Annotated[
        list[str] | None, typer.Option(help="chat, documents, code, admin or metrics; repeat it.")
    ] = None,
    days: Annotated[float | None, typer.Option(min=0.001, max=3_650, help="Its life; else until revoked.")] = None,
    config: Document = DOCUMENT,
) -> None:
    """Make a key and print it, the only time that it is shown."""
    principal = room("core.principal")
    for one in scope or ():
        if one not in list(principal.Scope):
            raise none_of("--scope", one, principal.Scope)
    if not principal.USER.match(user):
        raise typer.BadParameter(f"{user!r} is not of letters, digits and ._@-", param_hint="USER")
    typer.echo(room("key_tool").create(config, user, name, scope or ["chat", "documents", "code"], days))


@key.command("list")
def list_keys(config: Document = DOCUMENT) -> None:
    """Print every key as a line of JSON, without what is shown to use it."""
    typer.echo(room("key_tool").listed(config), nl=False)


@key.command("revoke")
def revoke_key(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="As `list` prints it.")], config: Document = DOCUMENT
) -> None:
    """End a key, for good; the gateway refuses it within seconds."""
    room("key_tool").revoke(config, key_id)


def table(rows: "Sequence[Sequence[str]]") -> "list[Line]":
    """Rows in columns, the first of them the head."""
    from sparkctl.report.page import Line

    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return [Line(text.rstrip(), "" if number else "bold") for number, text in enumerate(padded)]


def room(name: str) -> ModuleType:
    """A module of `sparkctl.agents`. Raises SparkctlError where the extra is not installed."""
    try:
        return import_module(f"sparkctl.agents.{name}")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("sparkctl."):
            raise
        what = f"this sparkctl has no agent platform: the library {error.name} is not installed"
        raise SparkctlError(what, fix="pip install 'sparkctl[agents]'") from error
