"""Finding by meaning: all vectors of a user in one matrix, and one product with the question's."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sparkctl.agents.rag.index import TooManyVectors

Floats = NDArray[np.float32]
KEPT_BYTES = 512 * 2**20
"""Matrices that stay in memory, in sum; a user with more has none. 100 000 vectors of 384: 154 MB."""
FLOAT_BYTES = 4


@dataclass(frozen=True)
class Matrix:
    """Vectors of unit length as rows, each of the chunk with the id beside it; `version` is that of the file.

    One that is `left_out` has none: they would be too many.
    """

    version: int
    ids: NDArray[np.int64]
    rows: Floats
    left_out: bool = False

    def nearest(self, vector: Floats, limit: int) -> list[int]:
        """Ids of chunks by cosine, best first."""
        if not len(self.ids):
            return []
        scores = self.rows @ unit(vector)
        few = min(limit, len(scores))
        best = np.argpartition(-scores, few - 1)[:few]
        order = np.lexsort((self.ids[best], -scores[best]))
        return [int(one) for one in self.ids[best][order]]


def unit(vectors: Floats) -> Floats:
    """The same, of length 1; a zero vector stays."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    made: Floats = (vectors / np.where(lengths == 0, 1, lengths)).astype(np.float32)
    return made


@dataclass
class Matrices:
    """Those of the users that searched last, `most_bytes` of them in sum; they are loaded one after the other."""

    most_bytes: int = KEPT_BYTES
    _kept: OrderedDict[tuple[str, int], Matrix] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _loading: threading.Lock = field(default_factory=threading.Lock)

    def get(
        self, user: str, length: int, version: int, count: Callable[[], int], load: Callable[[int], Matrix]
    ) -> Matrix:
        """The matrix of that user's vectors of that length, loaded where the file is newer.

        `load` is given what `count` says. Raises TooManyVectors where they alone are more than may stay.
        """
        key = (user, length)
        found = self._find(key, version)
        if found is None:
            with self._loading:
                found = self._find(key, version) or self._load(key, version, count(), load)
        if found.left_out:
            raise TooManyVectors(f"too many vectors for the memory of {self.most_bytes // 2**20} MiB")
        return found

    def _find(self, key: tuple[str, int], version: int) -> Matrix | None:
        with self._lock:
            found = self._kept.get(key)
            if found is None or found.version != version:
                return None
            self._kept.move_to_end(key)
            return found

    def _load(self, key: tuple[str, int], version: int, count: int, load: Callable[[int], Matrix]) -> Matrix:
        size = count * key[1] * FLOAT_BYTES
        left_out = size > self.most_bytes
        with self._lock:
            self._kept.pop(key, None)
            while not left_out and self.bytes + size > self.most_bytes:
                self._kept.popitem(last=False)
        nothing = Matrix(version, np.empty(0, np.int64), np.empty((0, key[1]), np.float32), left_out=True)
        made = nothing if left_out else load(count)
        with self._lock:
            self._kept[key] = made
        return made

    @property
    def bytes(self) -> int:
        """Of all that are kept."""
        return sum(one.rows.nbytes for one in self._kept.values())

    def __len__(self) -> int:
        return len(self._kept)
