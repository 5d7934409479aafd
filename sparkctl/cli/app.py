"""The commands, in the user's order of work; a command's own module is imported when it is used, not for help."""

from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Annotated

import typer
from typer._click.core import Command, Context
from typer._click.formatting import HelpFormatter
from typer.core import TyperCommand, TyperGroup

from sparkctl.cli.common import new_app

SECTIONS: dict[str, dict[str, str]] = {
    "Configure": {
        "init": "Ask for the addresses, try them, write the configuration.",
        "config": "Show, check and explain the configuration.",
        "profile": "List, show and check profiles.",
        "fit": "Tell whether a model fits the memory of the nodes.",
    },
    "Deploy": {
        "setup": "Make new Sparks ready: packages, Docker, GPU, network, trust, memory.",
        "plan": "Show what up would change; change nothing.",
        "up": "Deploy the cluster; change only what is not as configured.",
        "status": "Show what runs and what drifted.",
        "test": "Prove that the cluster answers: GPUs, Ray, a streamed token.",
        "logs": "Show the logs of the containers.",
        "history": "Show what served when, and what changed it.",
        "rollback": "Serve an earlier generation again.",
    },
    "Roles": {
        "role": "List, launch, stop, switch and test the roles of a profile.",
        "export": "Write Docker Compose files of what the profile serves.",
    },
    "Agents": {
        "agents": "Run the agent platform, or a part of it.",
    },
    "Models and images": {
        "model": "List, bring, check, pin and remove models on the nodes.",
        "image": "List, bring and remove engine images on the nodes.",
    },
    "Take away": {
        "stop": "Remove the containers; keep images, models and mounts.",
        "down": "Remove what sparkctl made on the nodes.",
    },
    "Look closer": {
        "doctor": "Check the nodes, change nothing, explain each finding.",
        "bench": "Measure the fabric and the served model; compare results.",
        "gpu-stats": "Show load, heat and memory of the GPUs, and who holds them.",
        "ssh": "Open a shell on a node, or run a command there.",
        "credentials": "Print base URL, model and API key for clients.",
        "lab": "Build simulated Sparks on this machine to try sparkctl on.",
        "completion": "Print the completion script of a shell.",
    },
}
"""Every command with its line in the help; `sparkctl.cli.<name>` holds its `app`, with `_` for `-`."""

EPILOG = "Exit codes: 0 fine, 1 failed, 2 drift or unhealthy, 3 bad configuration or usage, 4 unreachable, 5 locked."

COMMANDS = {name: line for section in SECTIONS.values() for name, line in section.items()}


class LazyGroup(TyperGroup):
    """A group that lists its commands from `SECTIONS` and imports a command's module only to run it."""

    def list_commands(self, _ctx: Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _ctx: Context, cmd_name: str) -> Command | None:
        """A stand-in with the name and the line: all that help and completion ask for."""
        line = COMMANDS.get(cmd_name)
        return TyperCommand(cmd_name, short_help=line, help=line) if line else None

    def resolve_command(self, ctx: Context, args: list[str]) -> tuple[str | None, Command | None, list[str]]:
        """The real command. Raises UsageError with the nearest names."""
        self.commands = {name: TyperCommand(name) for name in COMMANDS}  # the names that a typo is compared with
        name, found, rest = super().resolve_command(ctx, args)
        return name, found and load_command(str(name)), rest

    def format_commands(self, _ctx: Context, formatter: HelpFormatter) -> None:
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl(list(_aligned(commands)))


def _aligned(commands: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Names padded to one width, so that the sections line up."""
    width = max(map(len, COMMANDS))
    return ((name.ljust(width), line) for name, line in commands.items())


def load_command(name: str) -> Command:
    """The command of that name from its own module; `app` there is a `typer.Typer`, see `common.new_app`."""
    module = import_module(f"sparkctl.cli.{name.replace('-', '_')}")
    command: Command = typer.main.get_command(module.app)
    command.name = name
    return command


app = new_app(
    name="sparkctl",
    cls=LazyGroup,
    no_args_is_help=True,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from sparkctl import __version__

        print(f"sparkctl {__version__}")
        raise typer.Exit


def _install_completion(shell: str | None) -> None:
    if shell:
        from sparkctl.cli.completion import completion

        raise typer.Exit(completion(shell, install=True))


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", "-V", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
    install_completion: Annotated[
        str | None,
        typer.Option(metavar="SHELL", help="Install completion.", is_eager=True, callback=_install_completion),
    ] = None,
) -> None:
    """From bare SSH access to a served model on one, two or more DGX Sparks."""


def invoke(argv: Sequence[str]) -> int:
    """Run one command line and return its exit code; every error is raised, none is printed."""
    command = typer.main.get_command(app)
    try:
        with command.make_context("sparkctl", list(argv)) as context:
            code = command.invoke(context)
    except typer.Exit as ended:
        return ended.exit_code
    return code if isinstance(code, int) else 0
