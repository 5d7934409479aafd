"""How a lab tells what it is doing: a line when something begins, and its seconds when it ends."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """`seconds` is None where `what` begins (or is all there is to say), else how long it took."""

    what: str
    seconds: float | None = None


Report = Callable[[Event], None]


@contextmanager
def stage(report: Report, what: str) -> Iterator[None]:
    """Report `what` as begun, and its seconds once the block has ended well."""
    report(Event(what))
    start = time.monotonic()
    yield
    report(Event(what, time.monotonic() - start))
