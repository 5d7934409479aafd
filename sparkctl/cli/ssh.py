"""ssh: a shell on a node, by OpenSSH, reached just as sparkctl reaches it."""

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from sparkctl.cli.common import Options, load_config, new_app, none_of, with_options
from sparkctl.cli.complete_nodes import complete_nodes

if TYPE_CHECKING:
    from sparkctl.config.load import Config
    from sparkctl.topology import Node

app = new_app()

PATIENCE = ("ConnectTimeout=10", "ServerAliveInterval=5", "ServerAliveCountMax=3")
"""A node that is frozen accepts connections and says nothing: ssh gives up after 10 s, or 15 s into a session."""


@app.command(context_settings={"allow_interspersed_args": False})
@with_options
def ssh(
    options: Options,
    node: Annotated[
        str, typer.Argument(metavar="[NODE]", help="Default: head.", autocompletion=complete_nodes)
    ] = "head",
    command: Annotated[list[str] | None, typer.Argument(help="Run this instead of a shell.")] = None,
) -> int:
    """Open a shell on a node, or run a command there: sparkctl ssh spark-2 -- nvidia-smi -L.

    As with ssh itself, the words are joined by blanks and go to the shell of the node, which takes the quotes of
    sparkctl ssh -- 'echo a; echo b'; the exit code is that of the command, 255 where ssh could not connect.
    """
    from sparkctl.errors import SparkctlError

    config = load_config(options)
    words = command[1:] if command and command[0] == "--" else command or []
    argv = ssh_argv(config, find_node(config, node), words, accept_new=options.accept_new_host_keys)
    try:
        os.execvp(argv[0], argv)  # noqa: S606 - ssh takes over this process, terminal and exit status
    except FileNotFoundError as error:
        raise SparkctlError("there is no ssh on this machine", fix="install the OpenSSH client") from error


def ssh_argv(config: "Config", node: "Node", command: Sequence[str], *, accept_new: bool = False) -> list[str]:
    """OpenSSH's arguments for a node; port 22 is left to the SSH configuration, as in `transport.login`.

    A command has a terminal where we have one: a shell would get it unasked.
    """
    argv = ["ssh", *(word for setting in PATIENCE for word in ("-o", setting))]
    argv += ["-l", node.user] if node.user else []
    if node.port != 22:
        argv += ["-p", str(node.port)]
    if node.identity_file:
        argv += ["-i", node.identity_file, "-o", "IdentitiesOnly=yes"]
    if known_hosts := config.settings.ssh_known_hosts_file:
        argv += ["-o", f"UserKnownHostsFile={known_hosts}"]
    if accept_new:
        argv += ["-o", "StrictHostKeyChecking=accept-new"]
    if command and sys.stdin.isatty() and sys.stdout.isatty():
        argv.append("-t")
    return [*argv, node.address, *(("--", *command) if command else ())]


def find_node(config: "Config", name: str) -> "Node":
    """The node of that name; `head` is the head. Raises BadParameter with the nearest name."""
    cluster = config.cluster
    by_name = {"head": cluster.head, **{node.name: node for node in cluster.nodes}}
    if name not in by_name:
        raise none_of("NODE", name, by_name)
    return by_name[name]
