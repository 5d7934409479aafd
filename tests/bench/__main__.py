"""Print every figure of issue and docs: `make bench`, or `python -m tests.bench startup many deployed`.

With `--write` the table goes into docs/benchmarks.md.
"""

import datetime
import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.bench import deployed, many, startup

SECTIONS = {"startup": startup.figures, "many": many.figures, "deployed": deployed.figures}
PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
HEAD = "| figure | measured | target | | how |\n|---|---|---|---|---|"
BEGIN, END = "<!-- figures -->\n", "<!-- end of figures -->\n"


def main() -> int:
    """Measure the sections that are named, or all."""
    words = sys.argv[1:]
    chosen = [word for word in words if word in SECTIONS] or list(SECTIONS)
    rows = [row for name in chosen for row in _rows(name)]
    if "--write" in words:
        _write(rows)
    return 0


def _rows(name: str) -> Iterator[str]:
    print(f"{name}\n{HEAD}", flush=True)
    for figure in SECTIONS[name]():
        print(figure.row(), flush=True)
        yield figure.row()


def _write(rows: list[str]) -> None:
    day = datetime.date.today().isoformat()
    machine = f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores, {day}"
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(
        f"{before}{BEGIN}Measured by `make bench` on {machine}.\n\n{HEAD}\n" + "\n".join(rows) + f"\n\n{END}{after}"
    )


if __name__ == "__main__":
    sys.exit(main())
