"""The clock of a role's turn: when what was ready, and when the first token came."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sparkctl.core.events import Event, StepEnded


@dataclass
class Clock:
    """Seconds from the start to each mark; the first token is heard of in the events of a run."""

    token_step: str
    began: float = field(default_factory=time.monotonic)
    marks: dict[str, float] = field(default_factory=dict)

    def mark(self, name: str) -> None:
        """Now."""
        self.marks[name] = time.monotonic() - self.began

    def listening(self, emit: Callable[[Event], None]) -> Callable[[Event], None]:
        """The same listener, with an ear for the token."""

        def hear(event: Event) -> None:
            if isinstance(event, StepEnded) and event.id == self.token_step:
                self.mark("token")
            emit(event)

        return hear
