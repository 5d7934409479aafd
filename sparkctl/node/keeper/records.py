"""Records on the head's disk, for root alone: JSON on one line, whole or not there."""

import json
import os
import time
from pathlib import Path
from typing import Any

HOME = Path(__file__).resolve().parent.parent
GENERATIONS = 20
"""How many of the history are kept."""
Record = dict[str, Any]


class Failure(Exception):
    """What could not be done, in words for a reader."""


def say(text: str) -> None:
    """A line for the journal, or for the sparkctl that asked."""
    print(text, flush=True)


def read(path: Path) -> Record:
    """A record, empty where there is none."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write(path: Path, record: Record) -> None:
    """Put a record in place so that a power cut leaves the old one or the new one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    with new.open("w") as file:
        json.dump(record, file)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def now() -> str:
    """The time, ISO 8601 in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())


def units() -> list[str]:
    """The stacks that are on record."""
    folder = HOME / "units"
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def history() -> list[Record]:
    """The generations that are kept, oldest first, with those that failed."""
    return [found for path in sorted((HOME / "history").glob("*.json")) if (found := read(path))]


def next_number() -> int:
    """The number of the next generation; they count for all stacks together."""
    return max((int(found["generation"]) for found in history()), default=0) + 1


def remember(record: Record) -> None:
    """Put a generation into the history, once, and drop the oldest."""
    write(HOME / "history" / f"{record['generation']:06d}.json", record)
    for path in sorted((HOME / "history").glob("*.json"))[:-GENERATIONS]:
        path.unlink()
