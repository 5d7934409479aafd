"""export: what the profile serves, as files for other tools."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sparkctl.cli.common import Options, load_config, new_app, with_options
from sparkctl.errors import SparkctlError

if TYPE_CHECKING:
    from sparkctl.stacks.export import ComposeFile

app = new_app(no_args_is_help=True, help="Write Docker Compose files of what the profile serves.")

MARK = "# Written by sparkctl export"
"""The first line of each file: what does not begin with it is somebody else's."""


@app.callback()
def export() -> None:
    """Write what the profile serves as files for other tools; no node is asked."""


@app.command("compose")
@with_options
def export_compose(
    options: Options,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where to write them.")] = Path(),
) -> int:
    """Write a Docker Compose file for each model, to be run on its node with `docker compose -f FILE up -d`.

    The containers are those of `sparkctl up`. A secret is named by its file on the node; no value is written.
    """
    from sparkctl.stacks.export import compose_files

    screen, config = options.screen("export-compose"), load_config(options)
    files = compose_files(config)
    if not files:
        raise SparkctlError(
            f"profile {config.profile.name} serves no model", fix="choose one that does: --profile NAME"
        )
    written = [(file, output / file.name) for file in files]
    for _, path in written:
        refuse_foreign(path)
    for file, path in written:
        write(path, text_of(file, config.profile.name))
        screen.tell(f"{path}  for {file.node}")
    screen.put(files=[{"path": str(path), "node": file.node} for file, path in written])
    screen.finish()
    return 0


def text_of(file: "ComposeFile", profile: str) -> str:
    """The file as text: what it is, what it needs, then the document."""
    head = [f"{MARK} compose, from profile {profile}, for {file.node}; not read by sparkctl again."]
    return "\n".join([*head, *(f"# {note}" for note in file.notes), dump(file.document)])


def dump(document: dict[str, Any]) -> str:
    """YAML in the document's own order; a text of several lines stands as such."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """Plain data, with scripts as blocks."""

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)

    Dumper.add_representer(str, text)
    Dumper.ignore_aliases = lambda *_: True  # type: ignore[method-assign]
    return yaml.dump(document, Dumper=Dumper, sort_keys=False, width=1000, allow_unicode=True)


def refuse_foreign(path: Path) -> None:
    """Raises SparkctlError where a file is there that sparkctl did not write."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            first = file.readline()
    except FileNotFoundError:
        return
    except OSError as error:
        raise SparkctlError(f"{path} cannot be read: {error.strerror}", fix="name another folder: -o DIR") from error
    if not first.startswith(MARK):
        raise SparkctlError(f"{path} was not written by sparkctl", fix="name another folder: -o DIR")


def write(path: Path, text: str) -> None:
    """Put the text there, folder included. Raises SparkctlError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SparkctlError(
            f"{path} cannot be written: {error.strerror}", fix="name another folder: -o DIR"
        ) from error
