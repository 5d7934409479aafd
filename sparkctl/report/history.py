"""The history of a cluster: what served when, who changed it, and how that ended."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sparkctl.facts.kept import Generation, KeptFact
from sparkctl.report.look import Glyphs
from sparkctl.report.page import Line
from sparkctl.steps.stack import ONLY


def history_data(found: Sequence[Generation], kept: KeptFact) -> list[dict[str, Any]]:
    """For --json, newest first."""
    return [_data(one, kept) for one in reversed(found)]


def show_history(found: Sequence[Generation], kept: KeptFact, glyphs: Glyphs) -> list[Line]:
    """A line for each generation, newest first, and what it changed."""
    width = max((len(str(one.number)) for one in found), default=0)
    return [line for one in reversed(found) for line in _lines(one, kept, glyphs, width)]


def _lines(one: Generation, kept: KeptFact, glyphs: Glyphs, width: int) -> list[Line]:
    mark, style = (
        (glyphs.ok, "green") if serves_now(one, kept) else (" ", "dim") if one.served else (glyphs.blocked, "red")
    )
    name = "" if one.unit == ONLY else f"{one.unit}: "
    when = one.at[:16].replace("T", " ") + " UTC"
    what = f"{name}{one.model}{f'@{one.revision}' * bool(one.revision)} by {one.image} ({one.image_id[7:19]})"
    heads = ((f"{mark} ", style), (f"{str(one.number).rjust(width)}  ", "bold"), (f"{when}  {one.by}  ", ""))
    told = [f"back to {one.back_to}"] * bool(one.back_to) + [*one.changes] + [one.outcome] * (not one.served)
    return [Line(what, heads=heads), *(Line(text, "" if one.served else "red", width + 4) for text in told)]


def serves_now(one: Generation, kept: KeptFact) -> bool:
    """Whether this is the generation that is on record as serving."""
    return one.served and kept.unit(one.unit).generation == one.number


def _data(one: Generation, kept: KeptFact) -> dict[str, Any]:
    plain = {key: value for key, value in asdict(one).items() if key not in ("record", "digest")}
    return {**plain, "changes": [*one.changes], "serves_now": serves_now(one, kept)}
