"""What a page that follows an answer is sent: at first the whole, then the pieces that changed, by their ids."""

from typing import Any

from sparkctl.agents.ui.rendering import piece
from sparkctl.agents.ui.turns import Turn

PIECES = {"route": "turn_route.html", "asks": "turn_asks.html", "answer": "turn_answer.html", "foot": "turn_foot.html"}


class Frames:
    """One page's view of a turn: it remembers what the page has, so that what is open or focused stays."""

    def __init__(self, turn: Turn, csrf: str) -> None:
        self._turn, self._csrf = turn, csrf
        self._sent: dict[str, str] | None = None
        self._calls = 0

    def next(self) -> str:
        """HTML whose elements htmx puts in the places of their ids; empty where nothing changed."""
        pieces = self._pieces()
        if self._sent is None:
            html = _to(f"body-{self._turn.id}", self._render("turn_body.html"))
        else:
            new = range(self._calls, len(self._turn.calls))
            added = [_to(f"calls-{self._turn.id}", self._call("turn_call.html", i), "beforeend") for i in new]
            changed = [_to(name, text) for name, text in pieces.items() if self._sent.get(name, text) != text]
            html = "".join(added + changed)
        self._sent, self._calls = pieces, len(self._turn.calls)
        return html

    def _pieces(self) -> dict[str, str]:
        turn = self._turn
        found = {f"{name}-{turn.id}": self._render(template) for name, template in PIECES.items()}
        for i in range(len(turn.calls)):
            found[f"mark-{turn.id}-{i}"] = self._call("turn_call_mark.html", i)
            found[f"output-{turn.id}-{i}"] = self._call("turn_call_output.html", i)
        return found

    def _call(self, template: str, number: int) -> str:
        return self._render(template, call=self._turn.calls[number], number=number)

    def _render(self, template: str, **more: Any) -> str:
        return piece(template, turn=self._turn, csrf=self._csrf, **more)


def _to(element: str, html: str, how: str = "innerHTML") -> str:
    return f'<div id="{element}" hx-swap-oob="{how}">{html}</div>'
