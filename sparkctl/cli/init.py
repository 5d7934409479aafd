"""init: ask for the addresses, try them, write unified-config.local.env."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sparkctl.cli.common import (
    HostKeysOption,
    JsonOption,
    NoColorOption,
    Options,
    YesOption,
    ask_host_key,
    ask_passphrase,
    new_app,
)

if TYPE_CHECKING:
    from sparkctl.config.discovery import Fabric
    from sparkctl.config.local import Login
    from sparkctl.report.screen import Screen
    from sparkctl.topology import Cluster

app = new_app()

LOCAL = "unified-config.local.env"
TARGET_HELP = "[user@]host[:port] as this machine reaches it over SSH."


@dataclass(frozen=True)
class Found:
    """What the nodes themselves said: the head's address for clients, the fabric of all nodes."""

    api_ip: str = ""
    fabric: "Fabric | None" = None


@app.command()
def init(
    head: Annotated[str, typer.Option("--head", metavar="TARGET", help=f"The head: {TARGET_HELP}")] = "",
    worker: Annotated[
        list[str], typer.Option("--worker", metavar="TARGET", help="A worker, as --head; repeatable.")
    ] = [],  # noqa: B006 - typer reads the default, nobody changes it
    no_check: Annotated[bool, typer.Option("--no-check", help="Write what was said without trying it.")] = False,
    yes: YesOption = False,
    accept_new_host_keys: HostKeysOption = False,
    json: JsonOption = False,
    no_color: NoColorOption = False,
) -> int:
    """Ask for the addresses of the Sparks, try them over SSH, find their fabric, write unified-config.local.env.

    With --head (and --worker for every worker) nothing is asked. Changes nothing on the Sparks.
    """
    from sparkctl.config import local

    screen = Options(json=json, no_color=no_color).screen("init")
    path = Path.cwd() / LOCAL
    logins = named(head, worker) if head else asked()
    if path.exists():
        screen.confirm(f"{LOCAL} is there already. Replace the addresses in it?", yes=yes)
    cluster = cluster_of(logins)
    found = Found() if no_check else discover(cluster, screen, accept_new=accept_new_host_keys)
    api_ip = found.api_ip or address_of(cluster.head.address)
    content = local.text(api_ip, logins[0], logins[1:], found.fabric)
    local.write(path, content + local.kept(before(path), content))
    finish(screen, path, cluster, found)
    return 0


def named(head: str, workers: Sequence[str]) -> "list[Login]":
    """Logins from the command line. Raises ConfigError for a target that cannot be."""
    from sparkctl.config.local import Login
    from sparkctl.config.origin import quoted
    from sparkctl.config.settings import TARGET
    from sparkctl.errors import ConfigError, Problem

    options = [("--head", head), *(("--worker", worker) for worker in workers)]
    wrong = [Problem("flag", name, quoted(text), TARGET) for name, text in options if not is_target(text)]
    if wrong:
        raise ConfigError(tuple(wrong), fix="sparkctl init --help")
    return [Login(text, "") for _, text in options]


def asked() -> "list[Login]":
    """Logins as the user types them, head first. Raises SparkctlError where there is nobody to ask."""
    from sparkctl.errors import SparkctlError

    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise SparkctlError(
            "there is no terminal to ask on; nothing was written",
            fix="sparkctl init --head TARGET --worker TARGET",
        )
    return converse(typer.prompt)


def converse(prompt: Callable[..., Any]) -> "list[Login]":
    """The questions, put through `prompt` (of typer): target and login of the head, then of each worker."""
    from os import environ

    from sparkctl.config.laptop import login_name
    from sparkctl.config.local import Login

    def login(who: str, default: str, user: str) -> Login | None:
        text = prompt(
            f"{who}, as this machine reaches it", default=default, show_default=False, value_proc=checked, err=True
        )
        if not text:
            return None
        return Login(text, "" if "@" in text else prompt(f"Login on {text}", default=user, err=True))

    head = None
    while head is None:
        head = login("The head (host name or address)", "", login_name(environ))
    logins = [head]
    while worker := login("The next worker, empty for no more", "", head.user or head.target.split("@")[0]):
        logins.append(worker)
    return logins


def checked(text: str) -> str:
    """An answer that may be a target. Raises BadParameter, upon which the question is put again."""
    if text and not is_target(text.strip()):
        raise typer.BadParameter("not of the form [user@]host[:port]")
    return text.strip()


def is_target(text: str) -> bool:
    """Whether a text is [user@]host[:port]."""
    from sparkctl.config.values import parse_target

    try:
        parse_target(text)
    except ValueError:
        return False
    return True


def cluster_of(logins: "Sequence[Login]") -> "Cluster":
    """A cluster to open connections to: addresses and logins alone."""
    from os import environ

    from sparkctl.config.laptop import login_name
    from sparkctl.config.values import parse_target
    from sparkctl.topology import Cluster, Node, Role

    nodes = []
    for rank, login in enumerate(logins):
        user, host, port = parse_target(login.target)
        role = Role.WORKER if rank else Role.HEAD
        nodes.append(Node(f"spark-{rank + 1}", role, host, user or login.user or login_name(environ), port or 22))
    return Cluster("init", nodes[0], tuple(nodes[1:]))


def discover(cluster: "Cluster", screen: "Screen", *, accept_new: bool) -> Found:
    """Connect to every node and read addresses and fabric. Raises UnreachableError, HostKeyError, LoginError."""
    from sparkctl.config.discovery import LINKS, REACHED, shared_fabric
    from sparkctl.core.plan import gather
    from sparkctl.facts.probe import Want
    from sparkctl.transport.ssh import open_all

    sessions = open_all(cluster, accept_new=accept_new, ask=ask_host_key(), unlock=ask_passphrase())
    try:
        names = [node.name for node in cluster.nodes]
        facts = gather(sessions, [Want(name, probe) for name in names for probe in (REACHED, LINKS)])
    finally:
        for session in sessions.values():
            session.close()
    for node in cluster.nodes:
        screen.tell(f"{node.name}: {node.user}@{node.address} answers")
    fabric = shared_fabric([facts.get(name, LINKS) for name in names])
    return Found(facts.get(cluster.head.name, REACHED), fabric)


def address_of(host: str) -> str:
    """The host itself, an IPv4 address. Raises SparkctlError for a name: clients of the model need an address."""
    from ipaddress import AddressValueError, IPv4Address

    from sparkctl.errors import SparkctlError

    try:
        return str(IPv4Address(host))
    except AddressValueError as error:
        raise SparkctlError(
            f"the address behind {host} is unknown; nothing was written",
            fix="give the head as an IPv4 address",
        ) from error


def before(path: Path) -> str:
    """What the file says now; empty where there is none, or no text. Its other values are kept."""
    from sparkctl.config.envfile import LARGEST
    from sparkctl.config.laptop import read_text

    text = read_text(path, path.name, LARGEST)
    return text if isinstance(text, str) else ""


def finish(screen: "Screen", path: Path, cluster: "Cluster", found: Found) -> None:
    """Check what was written, say what was found and what comes next. Raises ConfigError with its problems."""
    from sparkctl.config.load import load

    screen.tell(f"wrote {path.name} (mode 0600)")
    if cluster.workers:
        if fabric := found.fabric:
            screen.tell(f"fabric: {', '.join(fabric.addresses)} on {fabric.interface}")
        else:
            screen.tell("no fabric found: the fabric addresses of unified-config.env stay; see docs/quick-start.md")
    profile = "stacked" if cluster.workers else "single"
    config = load(profile, cwd=path.parent)
    screen.tell(f"next: sparkctl plan --profile {profile}")
    addresses = [node.fabric_ip for node in config.cluster.nodes]
    screen.put(path=str(path), profile=profile, api_ip=config.cluster.api_ip, fabric=addresses)
    screen.finish()
