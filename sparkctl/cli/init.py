"""init: ask for the addresses, try them, write unified-config.local.env."""

from collections.abc import Mapping, Sequence
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
from sparkctl.cli.init_logins import asked, named

if TYPE_CHECKING:
    from sparkctl.config.discovery import Fabric
    from sparkctl.report.screen import Screen
    from sparkctl.topology import Cluster

app = new_app()

LOCAL = "unified-config.local.env"
_KEYS = ("SSH_KEY_FILE", "SSH_KNOWN_HOSTS_FILE")
TARGET_HELP = "[user@]host[:port] as this machine reaches it over SSH."


@dataclass(frozen=True)
class Found:
    """What the nodes themselves said, where they were asked: the head's address for clients, the fabric of all."""

    api_ip: str = ""
    fabric: "Fabric | None" = None
    asked: bool = True


@dataclass(frozen=True)
class Known:
    """What files and environment say already and any nodes have use for."""

    key_file: str
    known_hosts: Path | None
    nodes: Mapping[str, str]


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
    from os import environ

    from sparkctl.config import local
    from sparkctl.transport.sshconfig import user_on

    screen = Options(json=json, no_color=no_color).screen("init")
    path = Path.cwd() / LOCAL
    logins = named(head, worker) if head or worker else asked()
    old, known = before(path), so_far(path.parent)
    if path.exists():
        screen.confirm(f"{LOCAL} is there already. Replace the addresses in it?", yes=yes)
    cluster = local.cluster(logins, environ, user_on, known.key_file)
    found = Found(asked=False)
    if not no_check:
        found = discover(cluster, screen, known.known_hosts, accept_new=accept_new_host_keys)
    api_ip = found.api_ip or address_of(cluster.head.address)
    values = local.assignments(api_ip, logins, found.fabric, known.nodes)
    local.write(path, local.text(old, values))
    finish(screen, path, cluster, found, [name for name in values if name in environ])
    return 0


def so_far(cwd: Path) -> Known:
    """What is said in the files of a folder and in the environment. Raises nothing: `load` says what is wrong."""
    from os import environ

    from sparkctl.config.laptop import path_of
    from sparkctl.config.layers import merge
    from sparkctl.config.local import LISTS

    names = frozenset((*LISTS, "WORKER_NODE_IP", *_KEYS))
    said = merge(names, frozenset(), lab=False, env_file=None, flags={}, environ=environ, cwd=cwd).values
    texts = {name: said[name].text if name in said else "" for name in names}
    key, hosts = (path_of(texts[name], cwd) if texts[name] else None for name in _KEYS)
    return Known(str(key or ""), hosts, texts)


def discover(cluster: "Cluster", screen: "Screen", known_hosts: Path | None, *, accept_new: bool) -> Found:
    """Connect to every node and read addresses and fabric. Raises UnreachableError, HostKeyError, LoginError."""
    from sparkctl.config.discovery import LINKS, REACHED, shared_fabric
    from sparkctl.core.plan import gather
    from sparkctl.facts.probe import Want
    from sparkctl.transport.ssh import open_all

    manners: dict[str, Any] = {"accept_new": accept_new, "ask": ask_host_key(), "unlock": ask_passphrase()}
    sessions = open_all(cluster, known_hosts=known_hosts, **manners)
    try:
        names = [node.name for node in cluster.nodes]
        facts = gather(sessions, [Want(name, probe) for name in names for probe in (REACHED, LINKS)])
    finally:
        for session in sessions.values():
            session.close()
    for node in cluster.nodes:
        screen.tell(f"{node.name}: {node.user}@{node.address} answers")
    fabric = shared_fabric([facts.get(name, LINKS) for name in names])
    refuse_one_machine_twice(fabric)
    return Found(facts.get(cluster.head.name, REACHED), fabric)


def refuse_one_machine_twice(fabric: "Fabric | None") -> None:
    """Raises SparkctlError where two nodes, by whatever names, have one address on the fabric."""
    from sparkctl.errors import SparkctlError

    addresses = fabric.addresses if fabric else ()
    if len(set(addresses)) < len(addresses):
        raise SparkctlError(
            f"two nodes are one machine: {max(addresses, key=addresses.count)} on the fabric; nothing was written",
            fix="name each machine once",
        )


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
    """What the file says now, empty where there is none. Raises ConfigError for a file that is no text."""
    from sparkctl.config.envfile import LARGEST
    from sparkctl.config.laptop import read_text
    from sparkctl.errors import ConfigError

    text = read_text(path, path.name, LARGEST) if path.exists() else ""
    if isinstance(text, str):
        return text
    raise ConfigError((text,), fix=f"move it away, then try again: mv {path.name} {path.name}.old")


def finish(screen: "Screen", path: Path, cluster: "Cluster", found: Found, hidden: Sequence[str]) -> None:
    """Check what was written, say what was found and what comes next; `hidden` variables the environment sets too.

    Raises ConfigError with the problems of what was written.
    """
    from sparkctl.config.load import load
    from sparkctl.errors import ConfigError, Problem
    from sparkctl.transport.sshconfig import user_on

    screen.tell(f"wrote {path.name} (mode 0600)")
    if cluster.workers:
        screen.tell(told(found))
    if hidden:
        screen.tell(f"note: the environment wins over {path.name}, and sets {', '.join(hidden)}")
    profile = "stacked" if cluster.workers else "single"
    config = load(profile, cwd=path.parent, user_on=user_on)
    if cluster.workers and not (config.settings.worker_ips or config.settings.worker_node_ip):
        problem = Problem(path.name, "WORKER_NODE_IP", "not set", "the fabric address of the worker")
        raise ConfigError((problem,))
    screen.tell(f"next: sparkctl plan --profile {profile}")
    addresses = [node.fabric_ip for node in config.cluster.nodes]
    screen.put(path=str(path), profile=profile, api_ip=config.cluster.api_ip, fabric=addresses)
    screen.finish()


def told(found: Found) -> str:
    """What became of the fabric."""
    if fabric := found.fabric:
        return f"fabric: {', '.join(fabric.addresses)} on {fabric.interface}"
    missing = "no fabric found" if found.asked else "fabric not looked for"
    return f"{missing}: its addresses are those that are configured; see docs/quick-start.md"
