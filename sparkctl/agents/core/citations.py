"""Markers in an answer, [1] or [2, 3], and the chunks that they name: nothing is cited that was not retrieved."""

import re
from collections.abc import Sequence

from sparkctl.agents.core.events import Citation

CODE = re.compile(r"(```.*?(?:```|\Z)|`[^`\n]*`)", re.S)
"""Code in an answer: what stands in it is no marker."""
NUMBERS = re.compile(r"\[(\d{1,4}(?:\s*,\s*\d{1,4})*)\]")
MARKERS = re.compile(rf"[ \t]?(?<![\w)\]])(?:{NUMBERS.pattern})+(?![(\[:])")
"""Numbers in brackets, one after the other; not `list[1]`, `[1](link)`, nor a definition `[1]: x`."""


def resolve(answer: str, retrieved: Sequence[Citation]) -> tuple[str, tuple[Citation, ...]]:
    """The answer without the markers that name nothing, and the citations that its other markers name, in order.

    Marker n names the nth chunk that was retrieved in this run; each citation carries its number.
    """
    cited: dict[int, Citation] = {}
    known = {one.number: one for one in retrieved}

    def known_of(numbers: str) -> str:
        good = [number for number in map(int, numbers.split(",")) if number in known]
        cited.update((number, known[number]) for number in good)
        return f"[{', '.join(map(str, good))}]" if good else ""

    def keep(markers: re.Match[str]) -> str:
        kept = "".join(known_of(one) for one in NUMBERS.findall(markers[0]))
        return markers[0][: markers[0].index("[")] + kept if kept else ""

    parts = CODE.split(answer)
    parts[::2] = [MARKERS.sub(keep, part) for part in parts[::2]]
    return "".join(parts), tuple(cited[number] for number in sorted(cited))
