"""What a job leaves behind: processes, and memory that belongs to no process. Only the first process may look."""

import asyncio
import ctypes
import os
import signal
from contextlib import suppress
from pathlib import Path

from sparkctl.agents.sandbox.kernel import LIBC

PAUSE_SECONDS = 0.001
SYSV = (("shm", "shmctl", ()), ("msg", "msgctl", ()), ("sem", "semctl", (0,)))
"""Shared memory, queues and semaphores of System V outlive their makers; each is removed by its own call."""
IPC_RMID = 0


def reap() -> dict[int, int]:
    """Every child that has ended since, with how: the exit code, or the signal as a negative number.

    Raises ChildProcessError where no child is left.
    """
    ended: dict[int, int] = {}
    while True:
        try:
            child, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            if ended:
                return ended
            raise
        if not child:
            return ended
        ended[child] = os.waitstatus_to_exitcode(status)


async def sweep() -> dict[int, int]:
    """End every process but this one, which must be the first of its container; how they ended.

    A process that is told to end cannot fork any more, so this comes to an end even with a fork bomb.
    """
    if os.getpid() != 1:
        raise RuntimeError("only the first process of a container may end all others")
    ended: dict[int, int] = {}
    while True:
        with suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
        try:
            ended |= reap()
        except ChildProcessError:
            break
        await asyncio.sleep(PAUSE_SECONDS)
    forget_sysv()
    return ended


def forget_sysv() -> None:
    """Remove what is left of System V's shared memory, queues and semaphores."""
    for name, call, middle in SYSV:
        table = Path("/proc/sysvipc", name)
        lines = table.read_text().splitlines()[1:] if table.exists() else []
        for line in lines:
            getattr(LIBC, call)(int(line.split()[1]), *middle, IPC_RMID, ctypes.c_void_p(None))
