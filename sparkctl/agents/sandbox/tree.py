"""Walking, measuring and emptying folders that hostile code has filled: no recursion, no links, no long paths."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

DEPTH = 48
"""Folders within folders; what is nested deeper is not walked, and its workspace counts as full."""
BLOCK = 4096
"""What the smallest file counts for, so that many of them are a full disk too."""
FOLDER = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class Entry:
    """Something below a folder: its size in bytes, what it takes of the disk, when it changed (clock, nanoseconds)."""

    name: str
    mode: int
    size: int
    disk: int
    changed: int

    @property
    def plain(self) -> bool:
        """Whether it is a plain file."""
        return stat.S_ISREG(self.mode)

    @property
    def hidden(self) -> bool:
        """Whether a part of its name begins with a dot."""
        return any(part.startswith(".") for part in self.name.split("/"))


@contextmanager
def opened(name: str | os.PathLike[str], above: int | None = None) -> Iterator[int]:
    """A folder, open, not through a link; a mode that closes it to its owner is mended. Raises OSError."""
    handle = os.open(name, os.O_PATH | FOLDER, dir_fd=above)
    try:
        path = Path("/proc/self/fd", str(handle))
        if os.fstat(handle).st_mode & 0o700 != 0o700:
            path.chmod(0o700)
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    finally:
        os.close(handle)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def walk(folder: int, above: str = "", depth: int = 0) -> Iterator[Entry]:
    """Everything below an open folder, without following links; what vanishes meanwhile is left out."""
    with os.scandir(folder) as found:
        for one in found:
            with suppress(OSError):
                status = one.stat(follow_symlinks=False)
                name, disk = f"{above}{one.name}", max(status.st_blocks * 512, BLOCK)
                yield Entry(name, status.st_mode, status.st_size, disk, status.st_ctime_ns)
                if stat.S_ISDIR(status.st_mode) and depth < DEPTH:
                    with opened(one.name, folder) as inner:
                        yield from walk(inner, f"{name}/", depth + 1)


def usage(folder: int) -> float:
    """Bytes of disk that everything below an open folder takes; infinite where it is nested too deep."""
    taken = 0.0
    for one in walk(folder):
        taken += float("inf") if one.name.count("/") >= DEPTH else one.disk
    return taken


Marks = frozenset[tuple[str, int]]
"""Names with the times when they changed: those nobody can set."""


def marks(folder: int) -> Marks:
    """What is below an open folder now."""
    return frozenset((one.name, one.changed) for one in walk(folder))


def forget_since(folder: int, before: Marks) -> None:
    """Take away the files that were not there as they are now, and the folders that were not there. No job may run."""
    known, found = {name for name, _ in before}, list(walk(folder))
    for one in reversed(found):  # a folder comes before what is in it
        with suppress(OSError):  # a path that is too long; whoever called looks again
            if stat.S_ISDIR(one.mode):
                if one.name not in known:
                    os.rmdir(one.name, dir_fd=folder)
            elif (one.name, one.changed) not in before:
                os.unlink(one.name, dir_fd=folder)


def names(folder: int) -> list[str]:
    """What is in an open folder."""
    with os.scandir(folder) as found:
        return [one.name for one in found]


def empty(folder: int) -> None:
    """Take away everything in an open folder. No job may run.

    Folders are moved up before they are emptied: so depth does not matter, and no path gets long.
    """
    while found := names(folder):
        for name in found:
            remove(folder, name)


def remove(folder: int, name: str) -> None:
    """Take away a file, or a folder of an open folder; folders in it are moved up, and left for the caller."""
    if not stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
        os.unlink(name, dir_fd=folder)
        return
    with opened(name, folder) as inner:
        for one in names(inner):
            if stat.S_ISDIR(os.stat(one, dir_fd=inner, follow_symlinks=False).st_mode):
                with opened(one, inner):  # mended: a folder that is closed to us cannot be moved
                    os.rename(one, f".gone-{uuid4().hex}", src_dir_fd=inner, dst_dir_fd=folder)
            else:
                os.unlink(one, dir_fd=inner)
    os.rmdir(name, dir_fd=folder)
