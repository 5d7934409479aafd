"""How a lab tells what it is doing: a line when something begins, and its seconds when it ends."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """A remark, or with `begins` the start of something that takes time, or with `seconds` the end of it."""

    what: str
    begins: bool = False
    seconds: float | None = None

    def __str__(self) -> str:
        if self.seconds is not None:
            return f"{self.what}: done in {self.seconds:.1f} s"
        return f"{self.what} ..." if self.begins else self.what


Report = Callable[[Event], None]


@contextmanager
def stage(report: Report, what: str) -> Iterator[None]:
    """Report `what` as begun, and its seconds once the block has ended well."""
    report(Event(what, begins=True))
    start = time.monotonic()
    yield
    report(Event(what, seconds=time.monotonic() - start))
