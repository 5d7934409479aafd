"""The index without a server: one file of SQLite for each user, so that no search can meet another's chunks.

Words by FTS5, vectors by numpy. The files may be used by several processes at once; a version in each file tells
when the matrix in memory is old.
"""

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from sqlite3 import Connection
from uuid import uuid4

import numpy as np

from sparkctl.agents.core.failure import Unavailable
from sparkctl.agents.rag import words
from sparkctl.agents.rag.chunks import Chunk, title_of
from sparkctl.agents.rag.index import DEPTH, Hit, Vector, fuse
from sparkctl.agents.rag.vectors import Matrices, Matrix, unit

SCHEMA = """
PRAGMA journal_mode = WAL;
CREATE TABLE version (number INTEGER NOT NULL);
INSERT INTO version VALUES (0);
CREATE TABLE chunks (
    id INTEGER PRIMARY KEY, doc TEXT NOT NULL, number INTEGER NOT NULL, title TEXT NOT NULL, text TEXT NOT NULL,
    UNIQUE (doc, number));
CREATE TABLE vectors (id INTEGER PRIMARY KEY, length INTEGER NOT NULL, vector BLOB NOT NULL);
"""
BUSY_SECONDS = 30.0
MMAP_BYTES = 2**30


@dataclass(frozen=True)
class EmbeddedIndex:
    """Files in `folder`, which is made. Raises Unavailable where one cannot be opened or written."""

    folder: Path
    _matrices: Matrices = field(default_factory=Matrices)

    def add(self, user: str, doc_id: str, chunks: Sequence[Chunk], vectors: Sequence[Vector] | None) -> None:
        """As the protocol says."""
        with self._writing(user) as connection:
            _forget(connection, doc_id)
            for number, chunk in enumerate(chunks):
                row = (doc_id, chunk.number, title_of(chunk), chunk.text)
                new = connection.execute("INSERT INTO chunks(doc, number, title, text) VALUES (?, ?, ?, ?)", row)
                connection.execute("INSERT INTO words(rowid, title, text) VALUES (?, ?, ?)", (new.lastrowid, *row[2:]))
                if vectors is not None:
                    vector = unit(np.asarray(vectors[number], np.float32))
                    connection.execute(
                        "INSERT INTO vectors VALUES (?, ?, ?)", (new.lastrowid, vector.size, vector.tobytes())
                    )

    def remove(self, user: str, doc_id: str) -> None:
        """As the protocol says."""
        with self._writing(user) as connection:
            _forget(connection, doc_id)

    def search(self, user: str, query: str, vector: Vector | None, limit: int) -> list[Hit]:
        """As the protocol says; vectors of another length than the question's are passed over."""
        depth = max(limit, DEPTH)
        with self._open(user) as connection:
            rankings = [words.find_words(connection, query, depth)]
            if vector is not None:
                rankings.append(self._matrix(user, len(vector), connection).nearest(_array(vector), depth))
            return fuse(*(_places(connection, ids) for ids in rankings), limit=limit)

    def close(self) -> None:
        """Nothing is held open."""

    def _matrix(self, user: str, length: int, connection: Connection) -> Matrix:
        with connection:
            connection.execute("BEGIN")  # version, count and vectors are of one moment
            version = connection.execute("SELECT number FROM version").fetchone()[0]
            return self._matrices.get(
                user,
                length,
                version,
                lambda: _count(connection, length),
                lambda count: _load(connection, version, length, count),
            )

    @contextmanager
    def _writing(self, user: str) -> Iterator[Connection]:
        with self._open(user) as connection:
            connection.execute("BEGIN IMMEDIATE")
            with connection:
                yield connection
                connection.execute("UPDATE version SET number = number + 1")

    @contextmanager
    def _open(self, user: str) -> Iterator[Connection]:
        path = self.folder / f"{hashlib.sha256(user.encode()).hexdigest()[:32]}.sqlite"
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            if not path.exists():
                _make(path)
            with closing(sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)) as connection:
                connection.execute(f"PRAGMA mmap_size = {MMAP_BYTES}")
                connection.execute("PRAGMA synchronous = NORMAL")
                yield connection
        except (sqlite3.Error, OSError) as error:
            raise Unavailable(f"the index of documents cannot be used: {error}") from error


def _make(path: Path) -> None:
    """The file with its tables: whoever comes meanwhile finds a whole one or none, and of two the first stays."""
    new = path.with_name(f"{uuid4().hex}.new")
    try:
        with closing(sqlite3.connect(new)) as connection:
            connection.executescript(SCHEMA + words.SCHEMA)
        with suppress(FileExistsError):
            path.hardlink_to(new)
    finally:
        new.unlink(missing_ok=True)


def _forget(connection: Connection, doc_id: str) -> None:
    old = connection.execute("SELECT id, title, text FROM chunks WHERE doc = ?", (doc_id,)).fetchall()
    connection.executemany("INSERT INTO words(words, rowid, title, text) VALUES ('delete', ?, ?, ?)", old)
    connection.executemany("DELETE FROM vectors WHERE id = ?", [(row[0],) for row in old])
    connection.execute("DELETE FROM chunks WHERE doc = ?", (doc_id,))


def _count(connection: Connection, length: int) -> int:
    return int(connection.execute("SELECT count(*) FROM vectors WHERE length = ?", (length,)).fetchone()[0])


def _load(connection: Connection, version: int, length: int, count: int) -> Matrix:
    made = Matrix(version, np.empty(count, np.int64), np.empty((count, length), np.float32))
    found = connection.execute("SELECT id, vector FROM vectors WHERE length = ? ORDER BY id", (length,))
    for number, (chunk, vector) in enumerate(found):  # row by row: all of them at once would be in memory twice
        made.ids[number], made.rows[number] = chunk, np.frombuffer(vector, np.float32)
    return made


def _places(connection: Connection, ids: list[int]) -> list[tuple[str, int]]:
    ask = "SELECT doc, number FROM chunks WHERE id = ?"
    found = (connection.execute(ask, (one,)).fetchone() for one in ids)
    return [(row[0], row[1]) for row in found if row]


def _array(vector: Vector) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.asarray(vector, np.float32)
