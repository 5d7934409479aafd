"""The journal: what a run did, one JSON object a line, on the laptop, for audit and timings only.

No verb reads it to decide anything: the nodes are the truth.
"""

import json
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from graphlib import TopologicalSorter
from pathlib import Path

from sparkctl.core.events import Event, RunStarted, StepEnded, StepMoved


def state_home() -> Path:
    """Where the laptop keeps what is worth keeping (XDG base directories)."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "sparkctl"


class Journal:
    """Writes every event but bare progress; the file is made with the first event, mode 0600."""

    def __init__(self, cluster: str, verb: str) -> None:
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        self.path = state_home() / cluster / "journal" / f"{stamp}-{verb}-{os.getpid()}.jsonl"

    def write(self, event: Event) -> None:
        """Append one event."""
        if isinstance(event, StepMoved):
            return
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        line = {"at": round(time.time(), 3), "event": type(event).__name__, **asdict(event)}
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def tee(*sinks: Callable[[Event], None]) -> Callable[[Event], None]:
    """One sink that feeds several."""

    def emit(event: Event) -> None:
        for sink in sinks:
            sink(event)

    return emit


@dataclass(frozen=True)
class CriticalPath:
    """The longest chain of dependent steps and how long it took, in seconds."""

    steps: tuple[str, ...]
    seconds: float


def critical_path(events: Iterable[Event]) -> CriticalPath:
    """The chain of needs with the largest sum of step times: no order of work could have been faster."""
    needs: dict[str, tuple[str, ...]] = {}
    seconds: dict[str, float] = {}
    for event in events:
        if isinstance(event, RunStarted):
            needs = dict(event.steps)
        elif isinstance(event, StepEnded):
            seconds[event.id] = event.seconds
    best: dict[str, CriticalPath] = {}
    for key in TopologicalSorter(needs).static_order():
        below = max((best[n] for n in needs.get(key, ()) if n in best), key=lambda p: p.seconds, default=None)
        chain = below or CriticalPath((), 0.0)
        best[key] = CriticalPath((*chain.steps, key), chain.seconds + seconds.get(key, 0.0))
    return max(best.values(), key=lambda p: p.seconds, default=CriticalPath((), 0.0))
