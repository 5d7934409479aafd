"""config: show, check and explain the configuration; no node is asked but by `validate --live`."""

import json as jsonlib
from typing import TYPE_CHECKING, Annotated

import typer

from sparkctl.cli.common import (
    EnvFileOption,
    JsonOption,
    NoColorOption,
    Options,
    ProfileOption,
    SetOption,
    load_config,
    naming_deployment,
    new_app,
)
from sparkctl.data import DEFAULT_PROFILE

if TYPE_CHECKING:
    from sparkctl.config.load import Config
    from sparkctl.config.origin import Origin
    from sparkctl.report.screen import Screen

app = new_app(no_args_is_help=True, help="Show, check and explain the configuration.")

AllOption = Annotated[bool, typer.Option("--all", help="Also what is empty, or a default of the profile.")]


@app.command()
def show(
    profile: ProfileOption = DEFAULT_PROFILE,
    env_file: EnvFileOption = None,
    set_values: SetOption = (),  # type: ignore[assignment]
    everything: AllOption = False,
    json: JsonOption = False,
    no_color: NoColorOption = False,
) -> int:
    """Print each value and where it came from; secrets stay hidden."""
    config, screen = _loaded("config", Options(profile, env_file, set_values, json=json, no_color=no_color))
    for title, origins in (("where", _variables(config)), ("what", _profile_values(config))):
        screen.put(**{title: {name: vars(origin) for name, origin in origins.items()}})
        shown = origins if everything else {n: o for n, o in origins.items() if _matters(n, o)}
        screen.tell(title, "bold")
        _table(screen, shown)
    for note in config.notes:
        screen.tell(f"note: {note}")
    screen.finish()
    return 0


@app.command()
def validate(
    profile: ProfileOption = DEFAULT_PROFILE,
    env_file: EnvFileOption = None,
    set_values: SetOption = (),  # type: ignore[assignment]
    live: Annotated[bool, typer.Option("--live", help="Also run every check on the nodes.")] = False,
    json: JsonOption = False,
    no_color: NoColorOption = False,
) -> int:
    """Check all of the configuration; exits with 3 and names every problem where something is wrong.

    With --live the nodes are asked as well: sparkctl doctor, with its exit codes and its document.
    """
    options = Options(profile, env_file, set_values, json=json, no_color=no_color)
    if live:
        from sparkctl.cli.doctor import examination

        return examination(options)
    config, screen = _loaded("config-validate", options)
    for note in config.notes:
        screen.tell(f"note: {note}")
    nodes = ", ".join(f"{node.name} ({node.user}@{node.address})" for node in config.cluster.nodes)
    screen.tell(f"fine: profile {config.profile.name} on {nodes}")
    screen.put(nodes=[node.name for node in config.cluster.nodes])
    screen.finish()
    return 0


@app.command()
def schema(
    of_profile: Annotated[bool, typer.Option("--profile", help="Of profiles (the default is the settings).")] = False,
    of_settings: Annotated[bool, typer.Option("--settings", help="Of the settings.")] = False,
    json: JsonOption = False,
) -> int:
    """Print the JSON Schema of the settings (unified-config.env) or of profiles, for editors and programs."""
    from sparkctl.config.schema import profile_schema, settings_schema

    if of_profile and of_settings:
        raise typer.BadParameter("choose one of --profile and --settings")
    typer.echo(jsonlib.dumps(profile_schema() if of_profile else settings_schema(), indent=2))
    return 0


def _loaded(verb: str, options: Options) -> "tuple[Config, Screen]":
    with naming_deployment(options):
        config, screen = load_config(options), options.screen(verb)
    screen.put(profile=config.profile.name, cluster=config.cluster.name, notes=list(config.notes))
    return config, screen


def _variables(config: "Config") -> "dict[str, Origin]":
    return {name: origin for name, origin in config.origins.items() if name.isupper()}


def _profile_values(config: "Config") -> "dict[str, Origin]":
    return {name: origin for name, origin in config.origins.items() if not name.isupper()}


def _matters(name: str, origin: "Origin") -> bool:
    """Whether a value is worth a line: not empty, and set by somebody or the default of a variable."""
    return bool(origin.value) and (name.isupper() or origin.where != "default")


def _table(screen: "Screen", origins: "dict[str, Origin]") -> None:
    """Three columns, the last one the origin."""
    left = max((len(name) for name in origins), default=0)
    middle = min(max((len(origin.value) for origin in origins.values()), default=0), 48)
    for name, origin in origins.items():
        screen.tell(f"  {name.ljust(left)}  {origin.value.ljust(middle)}  {origin.where}")
