"""docs/benchmarks.md: one table for each part, written when that part is measured; the others stay as they are."""

import datetime
import os
import platform
import re
from collections.abc import Sequence
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
HEAD = "| figure | measured | target | | how |\n|---|---|---|---|---|"


def write(part: str, rows: Sequence[str], loads: Sequence[float]) -> None:
    """Put a part's rows on the page. Raises ValueError where the page has no place for them."""
    PAGE.write_text(replace(PAGE.read_text(), part, f"{remark(part, loads)}\n\n{HEAD}\n" + "\n".join(rows)))


def replace(text: str, part: str, table: str) -> str:
    """The page with another table for that part. Raises ValueError where the page has no place for it."""
    begin, end = (f"<!-- {word} {part} -->\n" for word in ("begin", "end"))
    place = re.compile(f"({begin}).*?({end})", re.S)
    if len(place.findall(text)) != 1:
        raise ValueError(f"the page needs {begin.strip()} and {end.strip()}, once")
    return place.sub(lambda found: f"{found[1]}{table}\n\n{found[2]}", text)


def remark(part: str, loads: Sequence[float]) -> str:
    """When, on what, and how busy it was: `loads` are the one-minute averages from before the part to its end."""
    day, cores = datetime.date.today().isoformat(), os.cpu_count()
    machine = f"Python {platform.python_version()}, {platform.machine()}, {cores} cores"
    load = f"a load of {loads[0]:.1f} before, of {max(loads):.1f} at most"
    return f"`python -m tests.bench {part} --write` on {day}, {machine}, {load}:"
