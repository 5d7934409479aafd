"""Errors as a reader sees them: what, where, the last lines of output, what next; or one JSON document."""

import json as jsonlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sparkctl.errors import ConfigError, Interrupted, SparkctlError

LAST_LINES = 20
"""Lines of a failed command's output that are shown."""
BUG, USAGE = 70, 3
"""Exit codes beside those of `errors.py`. Usage shares 3 with the configuration: 2, click's own, means drift here."""


def wants_json(argv: Sequence[str]) -> bool:
    """True when the command line asks for JSON; words after `--` belong to another program."""
    return "--json" in argv[: argv.index("--")] if "--" in argv else "--json" in argv


def show(error: Exception | KeyboardInterrupt, argv: Sequence[str]) -> int:
    """Tell the reader about any error and return the exit code."""
    from typer import Abort
    from typer._click.exceptions import NoArgsIsHelpError

    if isinstance(error, NoArgsIsHelpError):
        print(error.format_message())
        return 0
    if isinstance(error, KeyboardInterrupt | Abort) and sys.stderr.isatty():
        print(file=sys.stderr)  # behind the ^C that the terminal has echoed, or the question that stands there
    known = _known(error, argv)
    if wants_json(argv):
        print(jsonlib.dumps({"schema": "sparkctl/error/1", "error": describe(known)}, ensure_ascii=False, indent=2))
    else:
        write(known)
    return known.exit_code


def _known(error: Exception | KeyboardInterrupt, argv: Sequence[str]) -> SparkctlError:
    """The error as one of our own."""
    from typer import Abort
    from typer._click.exceptions import ClickException

    if isinstance(error, SparkctlError):
        return error
    if isinstance(error, KeyboardInterrupt | Abort):
        return Interrupted("interrupted")
    return _Usage(error) if isinstance(error, ClickException) else _bug(error, argv)


def describe(error: SparkctlError) -> dict[str, Any]:
    """The error as plain data, one key per sentence."""
    data: dict[str, Any] = {
        "class": type(error).__name__.lstrip("_"),
        "exit_code": error.exit_code,
        "what": error.what,
        "where": error.where,
        "fix": error.fix,
        "output": error.output,
    }
    if isinstance(error, ConfigError):
        data["problems"] = [vars(problem) for problem in error.problems]
    return data


def write(error: SparkctlError, title: str = "error: ", style: str = "bold red") -> None:
    """Write the error to standard error, under another title where it is none that ends the command."""
    from sparkctl.report.page import Line, Page

    page = Page(sys.stderr)
    page.write([Line(error.what, "bold", heads=((title, style),))])
    if isinstance(error, ConfigError):
        page.write([Line(str(problem), indent=2) for problem in error.problems])
    if error.where:
        page.write([Line(error.where, heads=(("  where: ", "dim"),))])
    for line in error.output.strip().splitlines()[-LAST_LINES:]:
        page.write([Line(line, heads=((f"  {page.look.glyphs.bar} ", "dim"),))])
    if error.fix:
        page.write([Line(error.fix, heads=(("  next: ", "green"),))])


class _Usage(SparkctlError):
    """A command line that cannot be understood."""

    exit_code = USAGE

    def __init__(self, error: Any) -> None:
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "sparkctl"
        said = error.format_message().rstrip(".")
        for type_of_click, word in (("int range", "whole number"), ("float range", "number")):
            said = said.replace(f"is not a valid {type_of_click}", f"is not a valid {word}")
        super().__init__(said, fix=f"try: {command} --help")


class _Bug(SparkctlError):
    """An exception that nobody foresaw."""

    exit_code = BUG


def _bug(error: Exception, argv: Sequence[str]) -> SparkctlError:
    """A bug of ours, with its traceback in a file that only the user can read."""
    path = _keep(error, argv)
    return _Bug(
        f"a bug of ours: {type(error).__name__}",
        where=f"the traceback is in {path}" if path else "the traceback could not be written to a file",
        fix="please report it with that file; look through it first, it may name your hosts",
    )


def _keep(error: Exception, argv: Sequence[str]) -> Path | None:
    import platform
    import tempfile
    import traceback

    from sparkctl import __version__
    from sparkctl.core.journal import state_home

    names = [word.partition("=")[0] for word in argv]  # no values: `--set HF_TOKEN=...` is a secret
    head = f"sparkctl {__version__}, Python {platform.python_version()}, {platform.platform()}\n{names}\n\n"
    try:
        folder = state_home() / "bugs"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, name = tempfile.mkstemp(".txt", "bug-", folder)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(head + "".join(traceback.format_exception(error)))
    except OSError:
        return None
    return Path(name)
