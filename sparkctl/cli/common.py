"""What the verbs share: options, the configuration, sessions, the run of a plan."""

import functools
import inspect
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, ParamSpec, TypeVar

import typer

from sparkctl.cli.complete_nodes import complete_profiles
from sparkctl.data import DEFAULT_PROFILE

if TYPE_CHECKING:
    from sparkctl.config.load import Config
    from sparkctl.core.step import Step
    from sparkctl.errors import SparkctlError
    from sparkctl.facts.probe import Want
    from sparkctl.report.screen import Screen
    from sparkctl.report.waiting import Waiting
    from sparkctl.topology import Node
    from sparkctl.transport.crowd import Watch
    from sparkctl.transport.ssh import SshSession

P = ParamSpec("P")
T = TypeVar("T")

ProfileOption = Annotated[
    str,
    typer.Option(
        "--profile",
        "-p",
        envvar="SPARKCTL_PROFILE",
        metavar="NAME",
        help="What to deploy: a shipped profile, or the path of your own.",
        autocompletion=complete_profiles,
    ),
]
EnvFileOption = Annotated[
    Path | None,
    typer.Option("--env-file", metavar="PATH", help="Read this file instead of ./unified-config.env."),
]
SetOption = Annotated[
    list[str],
    typer.Option("--set", metavar="NAME=VALUE", help="Override one value of the configuration; repeatable."),
]
HostKeysOption = Annotated[
    bool,
    typer.Option("--accept-new-host-keys", help="Trust host keys that are not on record, without asking."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document (docs/json.md).")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Show the result only.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Show commands, files and what is unchanged.")]
NoColorOption = Annotated[bool, typer.Option("--no-color", help="No colour; NO_COLOR does the same.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before something is replaced or removed.")]


@dataclass(frozen=True)
class Options:
    """The options of every verb that works on a cluster; each field is one option."""

    profile: ProfileOption = DEFAULT_PROFILE
    env_file: EnvFileOption = None
    set_values: SetOption = ()  # type: ignore[assignment]
    accept_new_host_keys: HostKeysOption = False
    json: JsonOption = False
    quiet: QuietOption = False
    verbose: VerboseOption = False
    no_color: NoColorOption = False

    def screen(self, verb: str) -> "Screen":
        """Where that verb shows things."""
        from sparkctl.report.screen import Screen

        return Screen(verb, self.json, self.quiet, self.verbose, self.no_color, self.again)

    def waiting(self) -> "Waiting":
        """A line on a terminal that says which nodes are waited for."""
        from sparkctl.report.waiting import Waiting

        return Waiting(wanted=not (self.json or self.quiet))

    @property
    def again(self) -> str:
        """What a hint must add to a command, so that it means the same deployment; nothing for what is usual."""
        import shlex
        from os import environ

        usual = environ.get("SPARKCTL_PROFILE") or DEFAULT_PROFILE
        words = [] if self.profile == usual else ["--profile", self.profile]
        words += ["--env-file", str(self.env_file)] if self.env_file else []
        words += [word for value in self.set_values for word in ("--set", value)]
        return f" {shlex.join(words)}" if words else ""


def new_app(**options: Any) -> typer.Typer:
    """A typer application with the manners of this house: plain help, errors left to the one boundary."""
    return typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, **options)


def with_options(verb: Callable[Concatenate[Options, P], int]) -> Callable[..., int]:
    """Let a verb take all shared options as its first argument; on the command line they follow its own."""
    own = list(inspect.signature(verb).parameters.values())[1:]
    shared = [
        inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default, annotation=f.type)
        for f in fields(Options)
    ]

    @functools.wraps(verb)
    def command(*args: Any, **values: Any) -> int:
        options = Options(**{f.name: values.pop(f.name) for f in fields(Options)})
        with naming_deployment(options):
            return verb(options, *args, **values)

    parameters = [*own, *shared]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    del command.__wrapped__
    return command


@contextmanager
def naming_deployment(options: Options) -> Iterator[None]:
    """Errors of the block: their hints are commands for the very deployment that the options name."""
    from sparkctl.errors import SparkctlError

    try:
        yield
    except SparkctlError as error:
        from sparkctl.report.hints import naming

        error.fix = naming(error.fix, options.again)
        raise


def finite(value: float | None) -> float | None:
    """A value of the command line that is neither infinite nor NaN, which no range of click's excludes.

    Raises BadParameter.
    """
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a finite number")
    return value


def none_of(name: str, found: str, accepted: Iterable[str]) -> typer.BadParameter:
    """The error of a command line that names for `name` what there is not: a usage error, exit code 3."""
    from sparkctl.errors import hint

    known = list(accepted)
    return typer.BadParameter(f"{found!r} is none of {', '.join(known)}{hint(found, known)}", param_hint=name)


def load_config(options: Options, *, pinned: bool = True) -> "Config":
    """The checked configuration that the options name, unless it is not `pinned` at what the lock file says.

    Raises ConfigError, and BadParameter for a wrong `--set`.
    """
    from sparkctl.config.load import load
    from sparkctl.transport.sshconfig import user_on

    flags = flags_of(options.set_values)
    return load(options.profile, env_file=options.env_file, flags=flags, user_on=user_on, pinned=pinned)


def flags_of(words: Sequence[str]) -> dict[str, str]:
    """The values of `--set`, by name. Raises BadParameter; a word without a name is not shown, it may be a secret."""
    if not all(word.partition("=")[0].isidentifier() and "=" in word for word in words):
        raise typer.BadParameter("needs NAME=VALUE, such as VLLM_PORT=8001", param_hint="--set")
    return dict(word.split("=", 1) for word in words)


@contextmanager
def open_sessions(
    config: "Config", options: Options, watch: "Watch | None" = None
) -> "Iterator[Mapping[str, SshSession]]":
    """A session to every node. Raises UnreachableError, HostKeyError, LoginError."""
    from sparkctl.transport.crowd import unwatched
    from sparkctl.transport.ssh import open_all

    sessions = open_all(config.cluster, **manners(config, options), watch=watch or unwatched)
    try:
        yield sessions
    finally:
        for session in sessions.values():
            session.close()


@contextmanager
def open_session(config: "Config", node: "Node", options: Options) -> "Iterator[SshSession]":
    """A session to one node. Raises UnreachableError, HostKeyError, LoginError."""
    from sparkctl.transport.ssh import SshSession

    session = SshSession(node, **manners(config, options))
    try:
        yield session
    finally:
        session.close()


def attempt(
    config: "Config",
    options: Options,
    node: "Node",
    work: "Callable[[SshSession], T]",
    opened: "SshSession | None" = None,
) -> "tuple[SshSession | None, T | SparkctlError]":
    """What the work on a node came to, over its session, which stays open; or no session, and why.

    `opened` is the session that there is already.
    """
    from sparkctl.errors import SparkctlError
    from sparkctl.transport.ssh import SshSession

    session = opened
    try:
        session = session or SshSession(node, **manners(config, options))
        return session, work(session)
    except SparkctlError as error:
        if session:
            session.close()
        return None, error


def manners(config: "Config", options: Options) -> dict[str, Any]:
    """How connections are opened: whose host keys count, and who answers questions."""
    known_hosts = config.settings.ssh_known_hosts_file
    return {  # keywords of SshSession and of open_all
        "known_hosts": Path(known_hosts).expanduser() if known_hosts else None,
        "accept_new": options.accept_new_host_keys,
        "ask": ask_host_key(),
        "unlock": ask_passphrase(),
    }


def ask_host_key() -> Callable[[str, str], bool] | None:
    """A question about an unknown host key, where there is somebody to answer."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None

    from sparkctl.transport.crowd import on_desk

    def ask(host: str, fingerprint: str) -> bool:
        typer.echo(f"The host key of {host} is not on record: {fingerprint}", err=True)
        return typer.confirm("Trust it?", default=False, err=True)

    return lambda host, fingerprint: on_desk(lambda: ask(host, fingerprint))


def ask_passphrase() -> Callable[[str], str] | None:
    """A question for the passphrase of a key, where there is somebody to answer."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    from sparkctl.transport.crowd import on_desk

    return lambda file: on_desk(lambda: str(typer.prompt(f"Passphrase of {file}", hide_input=True, err=True)))


def wants_of(steps: "Sequence[Step]") -> "list[Want]":
    """Every probe that the steps read."""
    return [want for step in steps for want in step.wants]
