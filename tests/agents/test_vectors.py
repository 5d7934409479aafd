"""How much memory vectors may take: what is more than that is found by words alone, and it is said."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from library_world import GUIDE, library
from standins.scripted import DIMENSIONS, serving

from sparkctl.agents.rag.chunks import Chunk
from sparkctl.agents.rag.embedded import EmbeddedIndex
from sparkctl.agents.rag.ingest import Ingest
from sparkctl.agents.rag.vectors import Matrices, Matrix

MOST = 1_000
"""Bytes."""


def matrix(version: int) -> Matrix:
    return Matrix(version, np.arange(50), np.zeros((50, 3), np.float32))


def test_more_vectors_than_memory_are_not_loaded_and_the_answer_says_so(tmp_path: Path) -> None:
    matrices = Matrices(most_bytes=MOST)

    async def work(url: str) -> None:
        async with library(tmp_path, "", url) as made:
            room = replace(made, index=EmbeddedIndex(tmp_path / "index", matrices))
            await room.add("anna", "guide.md", "", GUIDE)
            ingest = Ingest(room)
            job = await ingest._claim()
            assert job
            await ingest._do(job)
            assert (await room.search("anna", "turquoise", 5)).mode == "hybrid"
            chunks = [Chunk(n, "more.md", "", "lamp") for n in range(40)]
            await asyncio.to_thread(room.index.add, "anna", "more", chunks, [[1.0] * DIMENSIONS] * 40)
            found = await room.search("anna", "turquoise", 5)
            assert (found.mode, len(found.hits)) == ("words", 1)
            assert "too many" in found.note
            assert matrices.bytes == 0
            await asyncio.to_thread(room.index.remove, "anna", "more")
            assert (await room.search("anna", "turquoise", 5)).mode == "hybrid"

    with serving() as model:
        asyncio.run(work(model.url))


def test_room_is_made_before_a_matrix_is_loaded_and_no_two_are_at_once() -> None:
    matrices = Matrices(most_bytes=MOST)
    gate, seen, under_way = threading.Barrier(4), [], [0]

    def load(_count: int) -> Matrix:
        under_way[0] += 1
        seen.append((under_way[0], matrices.bytes))
        made = matrix(1)
        under_way[0] -= 1
        return made

    def get(user: str) -> None:
        gate.wait()
        matrices.get(user, 3, 1, lambda: 50, load)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(get, ["anna", "anna", "bob", "bob"]))
    assert set(seen) == {(1, 0)}  # twice to four times: one user's makes room for the other's, in an order of chance
