"""Files by a name that somebody else chose, opened so that nothing outside the folder is ever reached."""

import ctypes
import errno
import os
import stat

from sparkctl.agents.core.failure import Failure, Refused, Unknown
from sparkctl.agents.sandbox.kernel import (
    OPENAT2,
    RESOLVE_BENEATH,
    RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS,
    OpenHow,
    syscall,
)

RESOLVE = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS
RETRIES = 32
"""How often we ask again when the kernel saw a folder move away under us (EAGAIN)."""
WHY = {
    errno.ELOOP: "it is a link, or leads through one",
    errno.EXDEV: "it leads out of the workspace",
    errno.ENOTDIR: "a part of the name is no folder",
    errno.EISDIR: "it is a folder",
    errno.ENAMETOOLONG: "the name is too long",
    errno.ENXIO: "it is no plain file",
    errno.EACCES: "it may not be opened",
    errno.EEXIST: "something of that name is there, and no folder",
    errno.ENOSPC: "no space is left",
}


def open_beneath(folder: int, name: str, flags: int, mode: int = 0) -> int:
    """A descriptor of a file or folder beneath that folder, without following any link.

    Raises Unknown where there is none, Refused for a name that leads elsewhere or is no name.
    """
    waits = 0 if flags & os.O_PATH else os.O_NONBLOCK  # a pipe without a writer must not hold us
    how = OpenHow(flags | os.O_CLOEXEC | os.O_NOFOLLOW | waits, mode if flags & os.O_CREAT else 0, RESOLVE)
    for left in reversed(range(RETRIES)):
        try:
            return syscall(OPENAT2, folder, encoded(name), ctypes.byref(how), ctypes.sizeof(how))
        except OSError as error:
            if error.errno != errno.EAGAIN or not left:
                raise refusal(name, error) from error
    raise AssertionError("the last try returns or raises")


def open_plain(folder: int, name: str, flags: int) -> int:
    """As `open_beneath`, and a plain file: no pipe that would wait for a writer, no folder. Raises the same."""
    descriptor = open_beneath(folder, name, flags, 0o600)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Refused(f"{shown(name)}: it is no plain file")
    return descriptor


def make_parents(folder: int, name: str) -> None:
    """Make the folders that the name leads through. Raises Refused."""
    parts = [part for part in name.split("/")[:-1] if part not in ("", ".")]
    for number, part in enumerate(parts):
        above = open_beneath(folder, "/".join(parts[:number]) or ".", os.O_PATH | os.O_DIRECTORY)
        try:
            os.mkdir(encoded(part), 0o700, dir_fd=above)
        except FileExistsError:
            pass
        except OSError as error:
            raise refusal(name, error) from error
        finally:
            os.close(above)


def encoded(name: str) -> bytes:
    """The name as the kernel takes it. Raises Refused for what cannot be one."""
    try:
        raw = name.encode()
    except UnicodeEncodeError as error:
        raise Refused("a name that is no text") from error
    if b"\0" in raw or not raw:
        raise Refused("a name that is empty, or has a NUL in it")
    if raw.startswith(b"/"):
        raise Refused(f"{shown(name)}: names are relative to the workspace")
    return raw


def refusal(name: str, error: OSError) -> Failure:
    """What the kernel's error means to whoever chose the name."""
    if error.errno == errno.ENOENT:
        return Unknown(f"{shown(name)}: there is no such file in the workspace")
    return Refused(f"{shown(name)}: {WHY.get(error.errno or 0, error.strerror)}")


def shown(name: str) -> str:
    """A name as it is told: short, and in one line."""
    text = repr(name)[1:-1]
    return text if len(text) <= 80 else f"{text[:77]}..."
