"""Where a verb shows things: a terminal, a pipe, or one JSON document at the end."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sparkctl.errors import SparkctlError
from sparkctl.report import failure
from sparkctl.report.hints import naming
from sparkctl.report.live import LiveProgress
from sparkctl.report.look import Glyphs, look_at
from sparkctl.report.page import Line, Page
from sparkctl.report.plain import NoProgress, PlainProgress


@dataclass
class Screen:
    """The output of one run of one verb. With `json`, standard output holds the document and nothing else.

    `again` are the options that hints must name, so that a command in them is about the same deployment.
    """

    verb: str
    json: bool = False
    quiet: bool = False
    verbose: bool = False
    no_color: bool = False
    again: str = ""
    document: dict[str, Any] = field(default_factory=dict)
    _page: Page | None = None

    @property
    def page(self) -> Page:
        """Standard output."""
        if self._page is None:
            self._page = Page(sys.stdout, look_at(sys.stdout, no_color=self.no_color))
        return self._page

    @property
    def glyphs(self) -> Glyphs:
        """The marks that the terminal can show."""
        return self.page.look.glyphs

    def show(self, lines: Sequence[Line]) -> None:
        """Lines on the way, such as a plan: not with --json, not with --quiet."""
        if not (self.json or self.quiet):
            self.page.write(lines)

    def advise(self, lines: Sequence[Line]) -> list[Line]:
        """The lines with commands that are about the same deployment."""
        return [replace(line, text=naming(line.text, self.again)) for line in lines]

    def tell(self, text: str, style: str = "") -> None:
        """A result, or what to do next: also with --quiet, not with --json."""
        if not self.json:
            self.page.say(naming(text, self.again), style)

    def progress(self) -> LiveProgress | PlainProgress | NoProgress:
        """A renderer for the events of a run: rows on a terminal, lines elsewhere; beside JSON on standard error."""
        if self.quiet:
            return NoProgress()
        if self.json:
            return PlainProgress(sys.stderr)
        return LiveProgress(self.page) if self.page.look.live else PlainProgress(sys.stdout)

    def put(self, **data: Any) -> None:
        """Add members to the JSON document."""
        self.document.update(data)

    def finish(self) -> None:
        """Print the JSON document, where one is wanted."""
        if self.json:
            print(json.dumps({"schema": f"sparkctl/{self.verb}/1", **self.document}, ensure_ascii=False, indent=2))

    def fail(self, *errors: SparkctlError) -> int:
        """Show errors as the end of the verb, beside what it has done; returns the exit code of the first."""
        for error in errors:
            error.fix = naming(error.fix, self.again)
        if self.json:
            first, *others = map(failure.describe, errors)
            self.put(error=first, also=others)
            self.finish()
        else:
            for error in errors:
                failure.write(error)
        return errors[0].exit_code

    def confirm(self, question: str, *, yes: bool) -> None:
        """Ask before something is destroyed. Raises SparkctlError when the answer is no, or nobody can be asked."""
        if yes:
            return
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise SparkctlError(
                "this needs a confirmation, and there is no terminal to ask on; nothing was changed",
                fix="look at the plan, then add --yes",
            )
        import typer

        if not typer.confirm(question, default=False, err=True):
            raise SparkctlError("not confirmed; nothing was changed")
