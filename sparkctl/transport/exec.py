"""One command over one channel: send the job, read both streams, learn how it ended.

A single thread polls both streams, so neither can fill up while the other is waited for.
"""

import select
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import paramiko

from sparkctl.transport.pulse import Pulse
from sparkctl.transport.wrapper import MARK, Job

CHUNK = 65536
_DIRECT = 16384
_LINGER = 1.0
BEGIN_SECONDS = 60.0
"""For the server to take a command, and its input as far as any server's first window reaches."""
_EVER = 1e9


class OutOfTime(Exception):
    """The command did not end within its time limit."""


class NoAnswer(Exception):
    """The server does not take the command, or its channel ended without a status: the connection broke."""


@dataclass
class Capture:
    """What came back. `started` is False when the wrapper never ran (no bash, no sudo)."""

    on_line: Callable[[str], None] | None = None
    started: bool = False
    rc: int = -1
    _out: bytearray = field(default_factory=bytearray)
    _err: bytearray = field(default_factory=bytearray)
    _told: int = 0

    @property
    def stdout(self) -> str:
        """Standard output, UTF-8 with replacement."""
        return self._out.decode("utf-8", "replace")

    @property
    def stderr(self) -> str:
        """Standard error, UTF-8 with replacement."""
        return self._err.decode("utf-8", "replace")

    def take_out(self, data: bytes) -> None:
        """More of standard output; what came before the mark is dropped as soon as the mark is seen."""
        self._out += data
        if not self.started:
            _, mark, rest = bytes(self._out).partition(MARK)
            if not mark:
                return
            self.started = True
            self._out = bytearray(rest)
        self._tell()

    def take_err(self, data: bytes) -> None:
        """More of standard error."""
        self._err += data

    def finish(self, rc: int) -> None:
        """The command ended; a last line without a newline is told too."""
        self.rc = rc
        if self.on_line and self.started and self._told < len(self._out):
            self.on_line(self._out[self._told :].decode("utf-8", "replace"))

    def _tell(self) -> None:
        if not self.on_line:
            return
        while (end := self._out.find(b"\n", self._told)) >= 0:
            line = self._out[self._told : end].decode("utf-8", "replace")
            self._told = end + 1
            self.on_line(line.rstrip("\r"))


def execute(
    channel: paramiko.Channel, job: Job, capture: Capture, timeout: float | None, pulse: Pulse | None = None
) -> None:
    """Run the job on a fresh channel until it ends; while it is quiet, the pulse is felt.

    The caller closes the channel, which ends whatever still runs. Raises OutOfTime, NoAnswer, NoPulse, and what
    paramiko raises for a broken connection (SSHException, OSError, EOFError).
    """
    deadline = time.monotonic() + (_EVER if timeout is None else timeout)
    begin(channel, job, deadline)
    _drain(channel, capture, deadline, pulse)
    _await_status(channel, deadline, pulse)
    capture.finish(_status(channel))


def begin(channel: paramiko.Channel, job: Job, deadline: float) -> None:
    """Start the job and send its input: what is larger than any server's first window from a thread of its own."""
    try:
        request(channel, job.command, max(0.01, min(deadline - time.monotonic(), BEGIN_SECONDS)))
        channel.sendall(job.payload[:_DIRECT])
    except TimeoutError as error:
        raise (OutOfTime if time.monotonic() >= deadline else NoAnswer) from error
    if len(job.payload) > _DIRECT:
        channel.settimeout(None)
        threading.Thread(target=_send, args=(channel, memoryview(job.payload)[_DIRECT:]), daemon=True).start()


def request(channel: paramiko.Channel, command: str, seconds: float) -> None:
    """Ask the server to run a command, and give it so many seconds to answer, now and later.

    Raises TimeoutError, after which the channel is closed, and what paramiko raises. Paramiko itself waits for ever.
    """
    channel.settimeout(seconds)
    until = time.monotonic() + seconds
    patience = threading.Timer(seconds, _give_up, (channel,))
    patience.daemon = True
    patience.start()
    try:
        channel.exec_command(command)
    except paramiko.SSHException as error:
        if time.monotonic() < until:
            raise
        raise TimeoutError(f"no answer within {seconds:g} s") from error
    finally:
        patience.cancel()


def read_ready(channel: paramiko.Channel, capture: Capture) -> None:
    """Take everything that has come so far."""
    while channel.recv_ready():
        capture.take_out(channel.recv(CHUNK))
    while channel.recv_stderr_ready():
        capture.take_err(channel.recv_stderr(CHUNK))


def _give_up(channel: paramiko.Channel) -> None:
    with suppress(OSError, EOFError, paramiko.SSHException):
        channel.close()


def _send(channel: paramiko.Channel, data: memoryview) -> None:
    # A command may end without reading its input; that it did so is seen on its output.
    with suppress(OSError, EOFError, paramiko.SSHException):
        for start in range(0, len(data), CHUNK):
            channel.sendall(bytes(data[start : start + CHUNK]))


def _drain(channel: paramiko.Channel, capture: Capture, deadline: float, pulse: Pulse | None) -> None:
    poller = select.poll()
    poller.register(channel.fileno(), select.POLLIN)
    quiet_since, heard = None, time.monotonic()
    while not (channel.eof_received or channel.closed):
        left = deadline - time.monotonic()
        if left <= 0:
            raise OutOfTime
        ready = poller.poll(1000 * min(left, _LINGER))
        read_ready(channel, capture)
        if ready:
            heard = time.monotonic()
        elif pulse and time.monotonic() - heard >= pulse.seconds:
            pulse.feel()
            heard = time.monotonic()
        # A daemon that the command left behind may hold the streams open for ever: the status is what counts.
        if ready or not channel.exit_status_ready():
            quiet_since = None
        elif quiet_since is None:
            quiet_since = time.monotonic()
        else:
            break
    read_ready(channel, capture)


def _await_status(channel: paramiko.Channel, deadline: float, pulse: Pulse | None) -> None:
    # A command may close its streams long before it ends, and its node may freeze in between.
    turn = pulse.seconds if pulse else _EVER
    while not channel.status_event.wait(max(0.0, min(deadline - time.monotonic(), turn))):
        if time.monotonic() >= deadline:
            raise OutOfTime
        if pulse:
            pulse.feel()


def _status(channel: paramiko.Channel) -> int:
    status = channel.recv_exit_status()
    if status < 0:
        # A connection that broke closes its channels first, and its thread ends; one that stands has told of a signal.
        transport = channel.get_transport()
        transport.join(_LINGER)
        if not transport.is_active():
            raise NoAnswer
    return status
