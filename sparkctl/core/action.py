"""Actions: the only code that changes a node. A plan shows them, an executor performs them."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from sparkctl.errors import Interrupted
from sparkctl.transport.session import Session


@dataclass(frozen=True)
class Progress:
    """How far a long action is; `done` and `total` are bytes where `unit` is B, else counts. `total` 0 is unknown."""

    message: str
    done: int = 0
    total: int = 0
    unit: str = ""


@dataclass(frozen=True)
class Context:
    """What an action works with: the session of its own node, those of its peers, and somewhere to report."""

    session: Session
    peers: Mapping[str, Session]
    report: Callable[[Progress], None]
    stop: threading.Event = field(default_factory=threading.Event)

    def say(self, message: str) -> None:
        """Report a line of progress without numbers."""
        self.report(Progress(message))

    def pause(self, seconds: float) -> None:
        """Wait between two looks; raises Interrupted as soon as the run is asked to stop."""
        if self.stop.wait(seconds):
            raise Interrupted("stopped while waiting")


class Action(Protocol):
    """One change of one node. `summary` is a line of the plan, `detail` what `--verbose` adds: a command, a file."""

    @property
    def summary(self) -> str: ...
    @property
    def detail(self) -> str: ...
    def perform(self, context: Context) -> None: ...
