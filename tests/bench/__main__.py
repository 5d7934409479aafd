"""Print every figure of issue and docs: `make bench`, or `python -m tests.bench` and the names of parts.

With `--write` the tables of the parts that are measured go into docs/benchmarks.md.
"""

import os
import sys

from tests.bench import (
    agents_chat,
    agents_sandbox,
    agents_search,
    deployed,
    fanout,
    gateway,
    many,
    memory,
    page,
    roles,
    startup,
    survival,
)

PARTS = {
    "startup": startup.figures,
    "many": many.figures,
    "memory": memory.figures,
    "deployed": deployed.figures,
    "fanout": fanout.figures,
    "survival": survival.figures,
    "roles": roles.figures,
    "agents_chat": agents_chat.figures,
    "agents_sandbox": agents_sandbox.figures,
    "agents_search": agents_search.figures,
    "agents_retrieval": agents_search.retrieval,
    "agents_passthrough": gateway.passthrough,
    "agents_streams": gateway.streams,
}


def main() -> int:
    """Measure the parts that are named, or all."""
    words = sys.argv[1:]
    if unknown := {*words} - {*PARTS, "--write"}:
        raise SystemExit(f"{' '.join(sorted(unknown))}: neither --write nor one of {', '.join(PARTS)}")
    for part in [word for word in words if word in PARTS] or PARTS:
        measure(part, write="--write" in words)
    return 0


def measure(part: str, *, write: bool) -> None:
    """Print the figures of one part as they come, then write them all, if asked for."""
    rows, loads = [], [os.getloadavg()[0]]
    print(f"{part}\n{page.HEAD}", flush=True)
    for figure in PARTS[part]():
        rows.append(figure.row())
        loads.append(os.getloadavg()[0])
        print(rows[-1], flush=True)
    if write:
        page.write(part, rows, loads)


if __name__ == "__main__":
    sys.exit(main())
