"""setup: make new Sparks ready for deployments, and back."""

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from sparkctl.cli.common import Options, YesOption, load_config, new_app, with_options

if TYPE_CHECKING:
    from sparkctl.facts.probe import Facts
    from sparkctl.topology import Cluster

app = new_app()

PASSWORD = "SPARKCTL_SUDO_PASSWORD"  # noqa: S105 - the name of a variable


@app.command()
@with_options
def setup(
    options: Options,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done; change nothing.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Put back what was there before.")] = False,
    purge: Annotated[bool, typer.Option("--purge", help="With --undo: remove the installed packages too.")] = False,
    sudoers: Annotated[bool, typer.Option("--sudoers", help="Give the login sudo without a password.")] = False,
    ask_sudo_password: Annotated[
        bool,
        typer.Option("--ask-sudo-password", help=f"Ask for the password that --sudoers needs once; or {PASSWORD}."),
    ] = False,
    yes: YesOption = False,
) -> int:
    """Make new Sparks ready: packages, Docker, GPU, network, SSH from node to node, memory.

    Changes only what is not as wished, and keeps what was there before: --undo brings it back.
    """
    from sparkctl.cli.part import bring, show_taking, take
    from sparkctl.cli.plan import look
    from sparkctl.stacks.setup import steps

    if purge and not undo:
        raise typer.BadParameter("goes with --undo", param_hint="--purge")
    screen, config = options.screen("setup-undo" if undo else "setup"), load_config(options)
    if ask_sudo_password and not (sudoers or config.profile.setup.sudoers):
        raise typer.BadParameter("goes with --sudoers", param_hint="--ask-sudo-password")
    todo = steps(config, sudoers_asked=sudoers, password=_password(asked=ask_sudo_password), undoing=undo)
    if undo:
        verb, layers = "setup --undo", ("host", "storage", "workload", *(("image",) if purge else ()))
        if dry_run:
            return show_taking(options, screen, config, todo, verb, layers=layers, refuse=refuse_undo)
        kept = "" if purge else "sparkctl setup --undo --purge, to remove the packages, too"
        return take(
            options, screen, config, todo, verb, yes=yes, after=kept, layers=layers, refuse=refuse_undo, forget=True
        )
    if dry_run:
        return 1 if look(options, screen, config, todo).blocked else 0
    return bring(options, screen, config, todo, "setup", yes=yes)


def refuse_undo(cluster: "Cluster", facts: "Facts", verb: str) -> None:
    """Raise SparkctlError where a deployment stands on what would be taken away, or where that cannot be seen."""
    from sparkctl.cli.stop import refuse_blind
    from sparkctl.core.service import LABEL_CLUSTER
    from sparkctl.errors import SparkctlError
    from sparkctl.facts.docker import CONTAINERS

    _refuse_without_sudo(cluster, facts, verb)  # without it Docker may not answer us either
    refuse_blind(cluster, facts, verb)
    ours = []
    for node in cluster.nodes:
        found = facts.get(node.name, CONTAINERS) or {}
        ours += [f"{name}@{node.name}" for name, one in found.items() if LABEL_CLUSTER in one.labels]
    if ours:
        raise SparkctlError(
            f"a deployment stands on this setup: {', '.join(sorted(ours))}",
            fix="take it away first: sparkctl down; then run again: sparkctl setup --undo",
        )


def _refuse_without_sudo(cluster: "Cluster", facts: "Facts", verb: str) -> None:
    """What only root sees would stay in silence."""
    from sparkctl.errors import SparkctlError
    from sparkctl.facts.host import HOST
    from sparkctl.steps.host import allow_sudo

    hosts = [(node, facts.get(node.name, HOST)) for node in cluster.nodes]
    if closed := [node for node, host in hosts if host.user and not host.sudo]:
        where = ", ".join(node.name for node in closed)
        rules = "; ".join(f"on {node.name}: {allow_sudo(node.user)}" for node in closed)
        raise SparkctlError(
            f"sudo asks for a password on {where}, so what setup made there is unknown; nothing was removed anywhere",
            where=where,
            fix=f"{rules}; then run again: sparkctl {verb}",
        )


def _password(*, asked: bool) -> str:
    """From the environment, or from whoever sits there. Raises BadParameter where nobody does."""
    if found := os.environ.get(PASSWORD, ""):
        return found
    if not asked:
        return ""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise typer.BadParameter(f"needs a terminal; scripts set {PASSWORD}", param_hint="--ask-sudo-password")
    return str(typer.prompt("Password for sudo on the nodes", hide_input=True, err=True))
