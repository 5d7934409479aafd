"""A picture that is drawn again and again: in place on a terminal, one after the other elsewhere."""

import json
from collections.abc import Mapping, Sequence

from sparkctl.report.page import Line
from sparkctl.report.screen import Screen


class Canvas:
    """Draws lines over the lines that it drew before. With --json, each picture is one document on one line."""

    def __init__(self, screen: Screen) -> None:
        from rich.live import Live

        self.screen = screen
        self._live: Live | None = None
        if screen.page.look.live and not screen.json:
            self._live = Live(console=screen.page.console, auto_refresh=False, vertical_overflow="crop")

    def __enter__(self) -> "Canvas":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def redraw(self, lines: Sequence[Line]) -> None:
        """Draw over the last picture where that can be; elsewhere nothing, as nothing new is known."""
        from rich.console import Group

        if self._live:
            rows = [row for line in lines for row in self.screen.page.rows(line)]
            self._live.update(Group(*rows), refresh=True)

    def draw(self, lines: Sequence[Line], data: Mapping[str, object], plain: Sequence[Line] = ()) -> None:
        """Draw a picture; `data` is the same for a program, `plain` where it cannot be drawn over."""
        if self._live:
            self.redraw(lines)
        elif self.screen.json:
            print(json.dumps({"schema": f"sparkctl/{self.screen.verb}/1", **data}, ensure_ascii=False), flush=True)
        else:
            self.screen.page.write(plain or [*lines, Line("")])
