"""Finding by meaning: all vectors of a user in one matrix, and one product with the question's."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
KEPT_BYTES = 512 * 2**20
"""Matrices that stay in memory, in sum; the one in use stays whatever its size. 100 000 vectors of 384: 154 MB."""


@dataclass(frozen=True)
class Matrix:
    """Vectors of unit length as rows, each of the chunk with the id beside it; `version` is that of the file."""

    version: int
    ids: NDArray[np.int64]
    rows: Floats

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
    """Those of the users that searched last, `most_bytes` of them in sum, or one."""

    most_bytes: int = KEPT_BYTES
    _kept: OrderedDict[tuple[str, int], Matrix] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, user: str, length: int, version: int, load: Callable[[], Matrix]) -> Matrix:
        """The matrix of that user's vectors of that length, loaded where the file is newer."""
        with self._lock:
            found = self._kept.get((user, length))
        if found is None or found.version != version:
            found = load()
        with self._lock:
            self._kept[user, length] = found
            self._kept.move_to_end((user, length))
            while len(self._kept) > 1 and sum(one.rows.nbytes for one in self._kept.values()) > self.most_bytes:
                self._kept.popitem(last=False)
        return found

    def __len__(self) -> int:
        return len(self._kept)
