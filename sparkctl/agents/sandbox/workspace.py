"""Workspaces: one folder for each session of each user, which nobody else's jobs can reach."""

import hashlib
import hmac
import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from sparkctl.agents.core.failure import Refused, TooLarge
from sparkctl.agents.sandbox import tree
from sparkctl.agents.sandbox.beneath import make_parents, open_beneath, open_plain, refusal, shown

READ_BYTES = 256 * 1024
"""Most of a file that one request reads."""
LISTED = 1_000
"""Most files of one listing."""
SCRATCH = ".scratch"
"""The folder of a job's program and temporary files; it is emptied before and after every job, and never listed."""
PROGRAM = "main-of-job"
"""What a job's own program is called: it lies where relative imports find the workspace's files."""
PASSING = (SCRATCH, PROGRAM, ".gone-")
KEY = ".key"


@dataclass(frozen=True)
class Text:
    """A file as text: `size` is that of the whole file in bytes, of which `content` is the beginning."""

    content: str
    size: int
    truncated: bool


@dataclass(frozen=True)
class Workspace:
    """A session's files, at most `limit` bytes of disk. Names are relative, with slashes."""

    path: Path
    limit: int

    def read(self, name: str) -> Text:
        """The beginning of a file; bytes that are no UTF-8 are replaced. Raises Unknown, Refused."""
        with self._opened() as folder, os.fdopen(open_plain(folder, name, os.O_RDONLY), "rb") as file:
            size = os.fstat(file.fileno()).st_size
            return Text(file.read(READ_BYTES).decode(errors="replace"), size, size > READ_BYTES)

    def write(self, name: str, content: str) -> int:
        """Write a file anew, with its folders; bytes written. Raises Refused, TooLarge."""
        try:
            data = content.encode()
        except UnicodeEncodeError as error:
            raise Refused("the content is no text: it has half a character in it") from error
        with self._opened() as folder:
            if tree.usage(folder) + len(data) > self.limit:
                raise TooLarge(f"{shown(name)}: the workspace may hold {self.limit >> 20} MiB")
            make_parents(folder, name)
            descriptor = open_plain(folder, name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    return file.write(data)
            except OSError as error:
                raise refusal(name, error) from error

    def files(self, name: str = ".") -> list[tree.Entry]:
        """The plain files below a folder, by name, at most LISTED, none that is hidden. Raises Unknown, Refused."""
        with self._opened() as above:
            folder = open_beneath(above, name, os.O_RDONLY | os.O_DIRECTORY)
            try:
                seen = (one for one in tree.walk(folder) if one.plain and not one.hidden)
                return sorted(islice(seen, LISTED), key=lambda one: one.name)
            finally:
                os.close(folder)

    @property
    def full(self) -> bool:
        """Whether it takes more than it may, or is nested deeper than we look."""
        with self._opened() as folder:
            return tree.usage(folder) > self.limit

    @property
    def room(self) -> int:
        """Bytes that are left on the disk it is on."""
        with self._opened() as folder:
            found = os.fstatvfs(folder)
        return found.f_bavail * found.f_frsize

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A new folder for one job, gone afterwards; so is whatever else a job has put in its place."""
        with self._opened() as folder:
            _clear(folder)
            os.mkdir(SCRATCH, 0o700, dir_fd=folder)
        try:
            yield self.path / SCRATCH
        finally:
            with self._opened() as folder:
                _clear(folder)

    def marks(self) -> tree.Marks:
        """What is in it now, for `shrink`."""
        with self._opened() as folder:
            return tree.marks(folder)

    @contextmanager
    def _opened(self) -> Iterator[int]:
        self.path.parent.chmod(0o700)  # a job can name it, and so close it to us
        with tree.opened(self.path) as folder:
            yield folder

    def shrink(self, before: tree.Marks) -> None:
        """Take away what was not there before; all, where it is full even so."""
        with self._opened() as folder:
            tree.forget_since(folder, before)
            if tree.usage(folder) > self.limit:
                tree.empty(folder)


def _clear(folder: int) -> None:
    while found := [name for name in tree.names(folder) if name.startswith(PASSING)]:
        for name in found:
            tree.remove(folder, name)


@dataclass(frozen=True)
class Workspaces:
    """All workspaces below one folder; `limit` is that of each, in bytes.

    Their names are keyed hashes: Landlock hides the content of a file, but a job that knows a path may still change
    its mode, so no job can know one.
    """

    folder: Path
    key: bytes
    limit: int

    def of(self, user: str, session: str) -> Workspace:
        """The workspace of that session, made where there is none. Raises Refused."""
        self.folder.chmod(0o700)
        path = self._path(user, session)
        path.mkdir(0o700, exist_ok=True)
        os.utime(path)
        return Workspace(path, self.limit)

    def forget(self, user: str, session: str) -> None:
        """Take the workspace of that session away, where there is one. Raises Refused."""
        path = self._path(user, session)
        if path.exists():
            _remove(path)

    def forget_older(self, seconds: float) -> int:
        """Take away those that nobody asked for in so many seconds; how many."""
        before = time.time() - seconds
        old = [path for path in self.folder.iterdir() if path.name != KEY and path.lstat().st_ctime < before]
        for path in old:
            _remove(path)
        return len(old)

    def _path(self, user: str, session: str) -> Path:
        if not user or not session:
            raise Refused("a workspace is of a user and a session")
        name = json.dumps([user, session]).encode()
        return self.folder / hmac.new(self.key, name, hashlib.sha256).hexdigest()[:32]


def _remove(path: Path) -> None:
    with tree.opened(path) as folder:
        tree.empty(folder)
    path.rmdir()


def open_workspaces(folder: Path, limit: int) -> Workspaces:
    """The workspaces below that folder, its key made where there is none. Raises OSError."""
    folder.chmod(0o700)
    path = folder / KEY
    if not path.exists():
        path.write_bytes(secrets.token_bytes(32))
    path.chmod(0o600)
    return Workspaces(folder, path.read_bytes(), limit)
