"""A filter of system calls for jobs, beside Docker's: what Landlock lets a job do to its neighbours and to the server.

A job has the server's user, so without this it could watch the folder above its own and learn the names of other
workspaces, lower the limits of the server for good, or shut the gateway out by the access lists of a path.
"""

import ctypes
import errno
import os
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from sparkctl.agents.sandbox.kernel import LIBC

PR_SET_SECCOMP, MODE_FILTER = 22, 2
LOAD, EQUAL, AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06
"""Of classic BPF (include/uapi/linux/bpf_common.h): a word of the call, two comparisons, the verdict."""
ALLOW, DENY = 0x7FFF0000, 0x00050000 | errno.EPERM
NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16
"""Where they are in `struct seccomp_data`; an argument has 8 bytes, of which a process's number is the lower half."""
X32 = 0x40000000
"""From here on, numbers of x86-64 are those of another table of system calls."""


@dataclass(frozen=True)
class Calls:
    """The numbers of a machine's system calls: those that are denied, and those that a job may do to itself alone.

    `own` has, for each, which arguments must be 0: the calling process, in all of them.
    """

    architecture: int
    denied: tuple[int, ...]
    own: dict[int, tuple[int, ...]]


CALLS = {
    "x86_64": Calls(
        0xC000003E,
        (254, 251, 188, 189, 190, 463),
        {302: (0,), 141: (0, 1), 142: (0,), 144: (0,), 203: (0,), 314: (0,)},
    ),
    "aarch64": Calls(
        0xC00000B7,
        (27, 30, 5, 6, 7, 463),
        {261: (0,), 140: (0, 1), 118: (0,), 119: (0,), 122: (0,), 274: (0,)},
    ),
}
"""By `uname -m`. Denied: inotify_add_watch, ioprio_set, setxattr, lsetxattr, fsetxattr, setxattrat. To itself alone:
prlimit64, setpriority, sched_setparam, sched_setscheduler, sched_setaffinity, sched_setattr."""


class Program(ctypes.Structure):
    """`struct sock_fprog`."""

    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def confine() -> None:
    """Filter the calling process and its children, for good; no_new_privs must be set. Raises OSError."""
    machine = os.uname().machine
    if machine not in CALLS or sys.byteorder != "little":
        raise OSError(errno.ENOSYS, f"no filter of system calls is known for {machine}")
    steps = list(_program(CALLS[machine]))
    code = b"".join(struct.pack("<HBBI", *step) for step in steps)
    program = Program(len(steps), code)
    if LIBC.prctl(PR_SET_SECCOMP, MODE_FILTER, ctypes.byref(program), 0, 0):
        raise OSError(ctypes.get_errno(), "the filter of system calls cannot be set")


def _program(calls: Calls) -> Iterator[tuple[int, int, int, int]]:
    """Instructions: code, how many to skip where it is true, how many where it is not, operand."""
    yield LOAD, 0, 0, ARCHITECTURE
    yield EQUAL, 1, 0, calls.architecture
    yield RETURN, 0, 0, DENY
    yield LOAD, 0, 0, NUMBER
    yield AT_LEAST, 0, 1, X32
    yield RETURN, 0, 0, DENY
    for number in calls.denied:
        yield EQUAL, 0, 1, number
        yield RETURN, 0, 0, DENY
    for number, arguments in calls.own.items():
        yield EQUAL, 0, 3 * len(arguments) + 1, number
        for argument in arguments:
            yield LOAD, 0, 0, ARGUMENTS + 8 * argument
            yield EQUAL, 1, 0, 0
            yield RETURN, 0, 0, DENY
        yield RETURN, 0, 0, ALLOW
    yield RETURN, 0, 0, ALLOW
