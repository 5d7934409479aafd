"""profile: what can be deployed."""

import json as jsonlib
from pathlib import Path
from typing import Annotated

import typer

from sparkctl.cli.common import JsonOption, NoColorOption, Options, new_app
from sparkctl.cli.complete_nodes import complete_profiles

app = new_app(no_args_is_help=True, help="List, show and explain profiles.")

NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="A profile, or the path of your own.", autocompletion=complete_profiles)
]


@app.command("list")
def list_profiles(json: JsonOption = False, no_color: NoColorOption = False) -> int:
    """List the profiles: shipped ones, and yours in ./profiles."""
    from sparkctl.config.profiles import names, summary

    found = [(name, summary(path), path) for name, path in names(Path.cwd()).items()]
    screen = Options(json=json, no_color=no_color).screen("profile-list")
    screen.put(profiles=[{"name": name, "description": line, "path": str(path)} for name, line, path in found])
    width = max((len(name) for name, _, _ in found), default=0)
    for name, line, _ in found:
        screen.tell(f"{name.ljust(width)}  {line}".rstrip())
    screen.finish()
    return 0


@app.command()
def show(name: NameArgument, json: JsonOption = False) -> int:
    """Print a profile as it is written, comments included; with --json every value, defaults included."""
    from sparkctl.config.profiles import find, read

    profile, _ = read(name, Path.cwd())
    if json:
        document = {"schema": "sparkctl/profile/1", "profile": profile.model_dump(mode="json")}
        typer.echo(jsonlib.dumps(document, ensure_ascii=False, indent=2))
    else:
        typer.echo(find(name, Path.cwd()).read_text(encoding="utf-8"), nl=False)
    return 0


@app.command("import")
def import_recipe(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe of sparkrun, as YAML.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="PATH", help="The profile; profiles/NAME.yaml without it.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
    json: JsonOption = False,
    no_color: NoColorOption = False,
) -> int:
    """Make a profile of a sparkrun recipe; say line by line what a profile cannot hold."""
    from sparkctl.config.profiles import SUFFIXES
    from sparkctl.config.recipe import profile_name, read

    if output and output.suffix not in SUFFIXES:
        raise typer.BadParameter(f"a profile's file ends in {' or '.join(SUFFIXES)}", param_hint="--output")
    path = output or Path("profiles") / f"{profile_name(recipe.stem)}.yaml"
    imported = read(recipe, path.stem)
    _write_new(path, imported.text(recipe.name), force=force)
    screen = Options(json=json, no_color=no_color).screen("profile-import")
    screen.put(path=str(path), profile=imported.profile, notes=list(imported.notes))
    for note in imported.notes:
        screen.tell(f"not carried over: {note}", "yellow")
    screen.tell(f"wrote {path}")
    screen.tell(f"next: sparkctl config validate --profile {path if output else path.stem}")
    screen.finish()
    return 0


def _write_new(path: Path, text: str, *, force: bool) -> None:
    """Write a file with its folder. Raises SparkctlError where it is there and not to be replaced, or cannot be."""
    from sparkctl.errors import SparkctlError

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise SparkctlError(f"{path} is there", fix="--force replaces it, --output names another one") from error
    except OSError as error:
        raise SparkctlError(f"cannot write {path}: {error.strerror}", fix="--output names another place") from error


@app.command()
def schema(json: JsonOption = False) -> int:
    """Print the JSON Schema of profiles."""
    from sparkctl.config.schema import profile_schema

    typer.echo(jsonlib.dumps(profile_schema(), indent=2))
    return 0
