"""A script that stays: the channel is held open, and both ends notice when the other is gone."""

import threading
import time
from contextlib import suppress

import paramiko

from sparkctl.transport.exec import Capture, NoAnswer, OutOfTime, begin, read_ready
from sparkctl.transport.wrapper import Job

BEAT_SECONDS = 20.0
RELEASE_SECONDS = 10.0
_STEP_SECONDS = 0.005


class ChannelHold:
    """Implements `transport.session.Hold` on a channel of its own, which it closes."""

    def __init__(self, channel: paramiko.Channel, job: Job, capture: Capture, timeout: float) -> None:
        """Start the job and wait for its first line. Raises OutOfTime, NoAnswer, and what paramiko raises.

        When the job ends before it prints a line, `capture` has its status and NoAnswer is raised.
        """
        self._channel = channel
        self._over = threading.Event()
        deadline = time.monotonic() + timeout
        begin(channel, job, deadline)
        self.first_line = self._await_line(capture, deadline)
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._thread.start()

    def alive(self) -> bool:
        """Whether the script still runs, as far as the connection tells."""
        return not (self._over.is_set() or self._channel.closed or self._channel.exit_status_ready())

    def release(self) -> None:
        """End the script, and wait until it has ended."""
        self._over.set()
        with suppress(OSError, EOFError, paramiko.SSHException):
            self._channel.shutdown_write()
            self._channel.status_event.wait(RELEASE_SECONDS)
        self._channel.close()
        self._thread.join()

    def _await_line(self, capture: Capture, deadline: float) -> str:
        while "\n" not in capture.stdout:
            ended = self._channel.exit_status_ready()
            read_ready(self._channel, capture)
            if "\n" in capture.stdout:
                break
            if ended:
                capture.finish(self._channel.recv_exit_status())
                raise NoAnswer
            if time.monotonic() > deadline:
                raise OutOfTime
            time.sleep(_STEP_SECONDS)
        return capture.stdout.split("\n", 1)[0]

    def _beat(self) -> None:
        with suppress(OSError, EOFError, paramiko.SSHException):
            while not self._over.wait(BEAT_SECONDS):
                self._channel.sendall(b"\n")
