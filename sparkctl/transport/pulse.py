"""Whether a quiet node still lives: a slow script says nothing, and so does a machine that froze.

A machine that froze (or a paused container, or one that is out of memory) keeps its connections: its kernel, or that
of its host, acknowledges what is sent. What tells is that its SSH server does not answer.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import paramiko

QUIET_SECONDS = 5.0
"""Of silence, then as much for an answer: with 10 s a frozen node costs what one that cannot be connected to does."""


class NoPulse(Exception):
    """The SSH server does not answer any more."""


@dataclass(frozen=True)
class Pulse:
    """Felt after every `seconds` in which a command said nothing."""

    transport: Callable[[], paramiko.Transport]
    seconds: float = QUIET_SECONDS

    def feel(self) -> None:
        """Ask for a channel; a refusal is an answer, too. Raises NoPulse, and what paramiko raises."""
        transport, began = self.transport(), time.monotonic()
        try:
            transport.open_session(timeout=self.seconds).close()
        except paramiko.SSHException as error:
            if time.monotonic() - began >= self.seconds or not transport.is_active():
                raise NoPulse from error
