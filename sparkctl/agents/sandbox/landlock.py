"""Landlock: a process gives up, for good and for its children, every file but those that are named.

Numbers and meanings are those of the kernel's Documentation/userspace-api/landlock.rst.
"""

import ctypes
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from sparkctl.agents.sandbox.kernel import (
    LANDLOCK_ADD,
    LANDLOCK_CREATE,
    LANDLOCK_RESTRICT,
    PathBeneath,
    Ruleset,
    refuse_new_privileges,
    syscall,
)

NEEDED = 3
"""The ABI (Linux 6.2) from which on cutting a file short is confined too; before, a job could empty another's."""
ASK_VERSION, PATH_BENEATH = 1, 1
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
TRUNCATE = 1 << 14
FILE = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE
"""The rights that a rule for one file may have."""
RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}
"""How many rights over files an ABI knows; 16 from 5 on."""
TCP = 0b11
"""Bind and connect, from ABI 4 on."""
SCOPES = 0b11
"""Abstract Unix sockets and signals stay within the domain, from ABI 6 on."""


def abi() -> int:
    """The version that this kernel offers; 0 where it has none, or where we may not ask."""
    try:
        return syscall(LANDLOCK_CREATE, None, 0, ASK_VERSION)
    except OSError:
        return 0


def confine(own: Iterable[Path], readable: Iterable[Path], devices: Iterable[Path]) -> None:
    """Keep this process to these paths: all rights in its own folders, read and run, read and write of devices.

    No TCP (from ABI 4 on), no signals to others (from 6 on). Paths that are missing are left out. Raises OSError.
    """
    version = abi()
    everything = (1 << RIGHTS.get(version, 16)) - 1
    rules = Ruleset(everything, TCP if version >= 4 else 0, SCOPES if version >= 6 else 0)
    size = 8 if version < 4 else 16 if version < 6 else 24
    ruleset = syscall(LANDLOCK_CREATE, ctypes.byref(rules), size, 0)
    try:
        for paths, allowed in (
            (own, everything),
            (readable, EXECUTE | READ_FILE | READ_DIR),
            (devices, READ_FILE | WRITE_FILE),
        ):
            for path in paths:
                _allow(ruleset, path, allowed & everything)
        refuse_new_privileges()
        syscall(LANDLOCK_RESTRICT, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: Path, allowed: int) -> None:
    try:
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        folder = stat.S_ISDIR(os.fstat(parent).st_mode)
        rule = PathBeneath(allowed if folder else allowed & FILE, parent)
        syscall(LANDLOCK_ADD, ruleset, PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(parent)
