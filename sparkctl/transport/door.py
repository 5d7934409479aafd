"""Who may open a channel when: sshd allows so many at once on one connection (MaxSessions), ten unless told.

A command that finds no place waits until another command of ours has ended. Commands without a time limit, which may
run for hours, get a share of the places alone, so that short ones always find one.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import paramiko

CHANNEL_SECONDS = 10.0
"""As long as a connection may take: a node that is frozen keeps the old one, and opens no channel."""

STREAMS = 5
"""Of ten: one is the lock's, three are those that the Docker client keeps, and one is for short commands."""

BUSY_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8)
"""Seconds to wait when nothing of ours will end: a session that has just ended counts a moment longer."""

_LOOK_SECONDS = 1.0


class NoPlace(Exception):
    """The server refuses another channel, and no command runs whose end would make room."""


class Door:
    """The way to new channels of one connection, for several threads."""

    def __init__(self, transport: Callable[[], paramiko.Transport]) -> None:
        """`transport` answers with the connection of the moment."""
        self._transport = transport
        self._streams = threading.BoundedSemaphore(STREAMS)
        self._ended = threading.Condition()
        self._running = 0

    def open(self) -> paramiko.Channel:
        """A fresh channel, to be closed by the caller. Raises NoPlace, and what paramiko raises for a broken link."""
        pauses = iter(BUSY_PAUSES)
        while True:
            try:
                return _open(self._transport())
            except NoPlace:
                if not self._wait() and not _pause(next(pauses, None)):
                    raise

    @contextmanager
    def passage(self, *, stream: bool) -> Iterator[paramiko.Channel]:
        """A channel for one command; `stream` is true for one that may take hours. Raises as `open`."""
        with self._streams if stream else nullcontext():
            channel = self.open()
            with self._ended:
                self._running += 1
            try:
                yield channel
            finally:
                channel.close()
                with self._ended:
                    self._running -= 1
                    self._ended.notify_all()

    def _wait(self) -> bool:
        """Wait for a command to end; False where none runs."""
        with self._ended:
            if not self._running:
                return False
            self._ended.wait(_LOOK_SECONDS)
            return True


def _pause(seconds: float | None) -> bool:
    time.sleep(seconds or 0)
    return seconds is not None


def _open(transport: paramiko.Transport) -> paramiko.Channel:
    began = time.monotonic()
    try:
        return transport.open_session(timeout=CHANNEL_SECONDS)
    except paramiko.ChannelException as error:
        raise NoPlace(error.text) from error
    except paramiko.SSHException as error:
        # When two threads are refused at once, paramiko gives the reason to one of them and to the other none.
        if transport.is_active() and time.monotonic() - began < CHANNEL_SECONDS:
            raise NoPlace(str(error)) from error
        raise
