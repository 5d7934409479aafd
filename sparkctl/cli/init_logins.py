"""The logins that init works with: from its options, or from the answers of a user."""

import sys
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from sparkctl.config.local import Login
    from sparkctl.config.nodes import UserOn


def named(head: str, workers: Sequence[str]) -> "list[Login]":
    """Logins from the command line. Raises ConfigError for a target that cannot be, or no head."""
    from sparkctl.config.local import Login
    from sparkctl.config.origin import quoted
    from sparkctl.config.settings import TARGET
    from sparkctl.errors import ConfigError, Problem

    options = [("--head", head), *(("--worker", worker) for worker in workers)]
    said = [(name, quoted(text) if text else "not set", text) for name, text in options]
    wrong = [Problem("flag", name, found, TARGET) for name, found, text in said if not is_target(text)]
    places: set[tuple[str, int]] = set()
    for name, found, text in [] if wrong else said:
        if place_of(text) in places:
            wrong.append(Problem("flag", name, found, "another machine for each node"))
        places.add(place_of(text))
    if wrong:
        raise ConfigError(tuple(wrong), fix="sparkctl init --help")
    return [Login(text, "") for _, text in options]


def asked() -> "list[Login]":
    """Logins as the user types them, head first. Raises SparkctlError where there is nobody to ask."""
    from sparkctl.errors import SparkctlError
    from sparkctl.transport.sshconfig import user_on

    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise SparkctlError(
            "there is no terminal to ask on; nothing was written",
            fix="sparkctl init --head TARGET --worker TARGET",
        )
    return converse(typer.prompt, user_on)


def converse(prompt: Callable[..., Any], user_on: "UserOn") -> "list[Login]":
    """The questions, put through `prompt` (of typer): target and login of the head, then of each worker."""
    from os import environ

    from sparkctl.config.laptop import login_name
    from sparkctl.config.local import Login
    from sparkctl.config.values import parse_target

    taken: set[tuple[str, int]] = set()

    def login(who: str, default: str, user: str) -> Login | None:
        text = prompt(
            f"{who}, as this machine reaches it",
            default=default,
            show_default=False,
            value_proc=lambda text: checked(text, taken),
            err=True,
        )
        if not text:
            return None
        taken.add(place_of(text))
        if "@" in text:
            return Login(text, "")
        usual = user_on(parse_target(text)[1]) or user
        return Login(text, prompt(f"Login on {text}", default=usual, value_proc=checked_login, err=True))

    head = None
    while head is None:
        head = login("The head (host name or address)", "", login_name(environ))
    logins = [head]
    while worker := login("The next worker, empty for no more", "", head.user or head.target.split("@")[0]):
        logins.append(worker)
    return logins


def checked(text: str, taken: Collection[tuple[str, int]]) -> str:
    """An answer that may be another target. Raises BadParameter, upon which the question is put again."""
    if text and not is_target(text.strip()):
        raise typer.BadParameter("not of the form [user@]host[:port]")
    if text and place_of(text.strip()) in taken:
        raise typer.BadParameter("that machine is named already")
    return text.strip()


def checked_login(text: str) -> str:
    """An answer that may be a login. Raises BadParameter as `checked` does."""
    if not is_target(f"{text.strip()}@host"):
        raise typer.BadParameter("not a login")
    return text.strip()


def place_of(target: str) -> tuple[str, int]:
    """Host and port of a target that can be."""
    from sparkctl.config.values import parse_target

    _, host, port = parse_target(target)
    return host, port or 22


def is_target(text: str) -> bool:
    """Whether a text is [user@]host[:port]."""
    from sparkctl.config.values import parse_target

    try:
        parse_target(text)
    except ValueError:
        return False
    return True
