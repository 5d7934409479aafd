"""Records on the head's disk, for root alone: JSON on one line, whole or not there."""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HOME = Path(__file__).resolve().parent.parent
GENERATIONS = 20
"""How many are kept in the history of those that served, and of those that failed."""
Record = dict[str, Any]


class Failure(Exception):
    """What could not be done, in words for a reader."""


class Gone(Failure):
    """A container that is to be started is not there any more: no later try will find it."""


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
    put(path, json.dumps(record) + "\n")


def put(path: Path, text: str) -> None:
    """Put a file in place, for root alone, whole and on the disk once this returns."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:  # noqa: PTH123 - with a mode
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    move(new, path)


def move(source: Path, target: Path) -> None:
    """Give a file another name in its folder, on the disk once this returns: what comes after it comes after it."""
    source.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def alone() -> Iterator[None]:
    """One keeper at a time: the one that watches, or one that a sparkctl has asked, which may have gone dark since."""
    with (HOME / "busy").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


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
    """Put a generation into the history, once, and drop the oldest: many failures take no way back away."""
    write(_place(record), record)
    for served in (True, False):
        alike = [found for found in history() if (found["outcome"] == "serves") == served]
        for found in alike[:-GENERATIONS]:
            _place(found).unlink()


def _place(record: Record) -> Path:
    return HOME / "history" / f"{record['generation']:06d}.json"
