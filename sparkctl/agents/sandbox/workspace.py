"""Workspaces: one folder for each session of each user, which nobody else's jobs can reach."""

import hashlib
import hmac
import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from sparkctl.agents.core.failure import Refused, TooLarge, Unavailable
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
RESERVE = 2 << 30
"""Bytes of the node's disk that are for others: below, no job runs and nothing is written."""
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
                full = f"the workspace may hold {self.limit >> 20} MiB"
                raise TooLarge(f"{shown(name)}: {full}; delete files of it, or sessions that you need no more")
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
    def usage(self) -> float:
        """Bytes of disk that it takes; infinite where it is nested deeper than we look."""
        with self._opened() as folder:
            return tree.usage(folder)

    @property
    def full(self) -> bool:
        """Whether it takes more than it may."""
        return self.usage > self.limit

    def ensure_room(self) -> None:
        """Raises Unavailable where the disk it is on is nearly full."""
        if self.room < RESERVE:
            raise Unavailable(f"the disk of the sandbox has less than {RESERVE >> 30} GiB left")

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
    """All workspaces below one folder; `limit` is that of each, `user_limit` that of all of a user, in bytes.

    Their names are keyed hashes, of the user and of both: Landlock hides the content of a file, but a job that knows a
    path may still change its mode, so no job can know one. `held` is what each held when a job or a write ended in it.
    """

    folder: Path
    key: bytes
    limit: int
    user_limit: int
    held: dict[Path, float] = field(default_factory=dict)

    def of(self, user: str, session: str) -> Workspace:
        """The workspace of that session, made where there is none. Raises Refused."""
        self.folder.chmod(0o700)
        path = self._path(user, session)
        path.mkdir(0o700, exist_ok=True)
        os.utime(path)
        return Workspace(path, self.limit)

    def limited(self, workspace: Workspace) -> Workspace:
        """With what the user's other workspaces leave it now, and never less than what is in it."""
        path, owner = workspace.path, workspace.path.name.partition("-")[0]
        self.folder.chmod(0o700)  # a job can close it to us, and what is not seen is not counted
        others = sum(self._held(one) for one in self.folder.glob(f"{owner}-*") if one != path)
        return replace(workspace, limit=int(min(self.limit, max(self._held(path), self.user_limit - others))))

    def measure(self, workspace: Workspace) -> None:
        """Look what it holds, once something was done in it."""
        self.held[workspace.path] = workspace.usage

    def forget(self, user: str, session: str) -> None:
        """Take the workspace of that session away, where there is one. Raises Refused."""
        path = self._path(user, session)
        if path.exists():
            self._remove(path)

    def forget_older(self, seconds: float) -> int:
        """Take away those that nobody asked for in so many seconds; how many."""
        before = time.time() - seconds
        old = [path for path in self.folder.iterdir() if path.name != KEY and path.lstat().st_ctime < before]
        for path in old:
            self._remove(path)
        return len(old)

    def has(self, user: str, session: str) -> bool:
        """Whether that session has a workspace, or may have: a job at work can close the folder. Raises Refused."""
        try:
            return self._path(user, session).exists()
        except PermissionError:
            return True

    def _held(self, path: Path) -> float:
        if path not in self.held:
            self.measure(Workspace(path, self.limit))
        return self.held[path]

    def _remove(self, path: Path) -> None:
        self.held.pop(path, None)
        with tree.opened(path) as folder:
            tree.empty(folder)
        path.rmdir()

    def _path(self, user: str, session: str) -> Path:
        if not user or not session:
            raise Refused("a workspace is of a user and a session")
        return self.folder / f"{self._hash(user)}-{self._hash(user, session)}"

    def _hash(self, *words: str) -> str:
        return hmac.new(self.key, json.dumps(words).encode(), hashlib.sha256).hexdigest()[:32]


def open_workspaces(folder: Path, limit: int, user_limit: int) -> Workspaces:
    """The workspaces below that folder, its key made where there is none. Raises OSError."""
    folder.chmod(0o700)
    path = folder / KEY
    if not path.exists():
        path.write_bytes(secrets.token_bytes(32))
    path.chmod(0o600)
    return Workspaces(folder, path.read_bytes(), limit, user_limit)
