"""The system calls that Python has no names for. Their numbers are the same on x86-64 and on arm64."""

import ctypes
import os
from ctypes import Structure, c_int32, c_int64, c_long, c_uint64

OPENAT2, LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 437, 444, 445, 446
"""From the kernel's table of system calls (include/uapi/asm-generic/unistd.h)."""
RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, RESOLVE_BENEATH = 0x02, 0x04, 0x08
"""From include/uapi/linux/openat2.h."""
PR_SET_NO_NEW_PRIVS = 38

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.syscall.restype = c_long


class OpenHow(Structure):
    """`struct open_how`."""

    _fields_ = [("flags", c_uint64), ("mode", c_uint64), ("resolve", c_uint64)]


class Ruleset(Structure):
    """`struct landlock_ruleset_attr`, as long as ABI 6 has it."""

    _fields_ = [("fs", c_uint64), ("net", c_uint64), ("scoped", c_uint64)]


class PathBeneath(Structure):
    """`struct landlock_path_beneath_attr`."""

    _pack_ = 1
    _fields_ = [("allowed", c_uint64), ("parent", c_int32)]


def syscall(number: int, *arguments: object) -> int:
    """Call the kernel; what it answers. Raises OSError."""
    words = [c_int64(one) if isinstance(one, int) else one for one in arguments]
    answer = int(LIBC.syscall(c_long(number), *words))
    if answer < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return answer


def refuse_new_privileges() -> None:
    """From now on no program gains privileges by being executed, for good. Raises OSError."""
    if LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "no_new_privs cannot be set")
