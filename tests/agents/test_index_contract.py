"""The contract of the index, run over both: files of SQLite, and Milvus in the shape of milvus-lite.

milvus-lite is not the server: it knows no stemming, and one process alone opens its file.
"""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sparkctl.agents.core.failure import Unavailable
from sparkctl.agents.rag.chunks import Chunk
from sparkctl.agents.rag.embedded import EmbeddedIndex
from sparkctl.agents.rag.index import Hit, Index, fuse
from sparkctl.agents.rag.milvus import open_milvus
from sparkctl.agents.rag.vectors import Matrices

TEXTS = ("turquoise button of the machine", "plug in the wall", "green lamp beside the door")
VECTORS = ([1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0])


def chunks(*texts: str, name: str = "guide.md") -> list[Chunk]:
    return [Chunk(number, f"{name}#Part:{number}", "Part", text) for number, text in enumerate(texts)]


def places(hits: Sequence[Hit]) -> list[tuple[str, int]]:
    return [(one.doc_id, one.chunk) for one in hits]


@pytest.fixture(params=["embedded", "milvus-lite"])
def index(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Index]:
    made: Index = (
        EmbeddedIndex(tmp_path / "index") if request.param == "embedded" else open_milvus(str(tmp_path / "m.db"))
    )
    yield made
    made.close()


def test_chunks_are_found_by_words(index: Index) -> None:
    index.add("anna", "a", chunks(*TEXTS), None)
    assert places(index.search("anna", "where is the turquoise thing?", None, 5)) == [("a", 0)]
    assert places(index.search("anna", "lamp door", None, 5)) == [("a", 2)]


def test_chunks_are_found_by_the_name_of_their_document(index: Index) -> None:
    index.add("anna", "a", chunks("one", name="handbook.md"), None)
    index.add("anna", "b", chunks("one", name="letter.md"), None)
    assert places(index.search("anna", "handbook", None, 5)) == [("a", 0)]


def test_chunks_are_found_by_vectors_and_by_both(index: Index) -> None:
    index.add("anna", "a", chunks(*TEXTS), VECTORS)
    assert places(index.search("anna", "", [0.0, 0.9, 0.1], 2)) == [("a", 1), ("a", 2)]
    both = index.search("anna", "plug", [0.0, 0.9, 0.1], 3)
    assert places(both)[0] == ("a", 1)
    assert [one.score for one in both] == sorted((one.score for one in both), reverse=True)


def test_no_user_finds_what_is_anothers(index: Index) -> None:
    index.add("anna", "a", chunks(*TEXTS), VECTORS)
    index.add('o\'bob" or "1" == "1', "b", chunks("turquoise tie"), [[1.0, 0.0, 0.0]])
    assert places(index.search('o\'bob" or "1" == "1', "turquoise", [1.0, 0.0, 0.0], 9)) == [("b", 0)]
    assert {one for one, _ in places(index.search("anna", "turquoise", [1.0, 0.0, 0.0], 9))} == {"a"}
    assert index.search("carl", "turquoise", [1.0, 0.0, 0.0], 9) == []
    index.remove("carl", "a")
    assert places(index.search("anna", "turquoise", None, 9)) == [("a", 0)]


def test_a_document_that_is_added_again_is_replaced(index: Index) -> None:
    index.add("anna", "a", chunks(*TEXTS), VECTORS)
    index.add("anna", "a", chunks("yellow knob"), [[1.0, 0.0, 0.0]])
    assert index.search("anna", "turquoise", None, 9) == []
    assert places(index.search("anna", "knob", [0.0, 0.0, 1.0], 9)) == [("a", 0)]


def test_what_is_removed_is_found_no_more_and_may_be_removed_twice(index: Index) -> None:
    index.add("anna", "a", chunks(*TEXTS), VECTORS)
    index.add("anna", "b", chunks("turquoise tie"), [[1.0, 0.0, 0.0]])
    index.remove("anna", "a")
    index.remove("anna", "a")
    assert places(index.search("anna", "turquoise button", [1.0, 0.0, 0.0], 9)) == [("b", 0)]


def test_chunks_with_vectors_without_and_of_another_length_live_side_by_side(index: Index) -> None:
    index.add("anna", "a", chunks("turquoise button"), None)
    index.add("anna", "b", chunks("turquoise lamp"), [[1.0, 0.0, 0.0]])
    index.add("anna", "c", chunks("turquoise door"), [[1.0, 0.0]])
    assert {one for one, _ in places(index.search("anna", "turquoise", [1.0, 0.0, 0.0], 9))} == {"a", "b", "c"}
    assert places(index.search("anna", "", [1.0, 0.0], 9)) == [("c", 0)]


QUERIES = (
    '"',
    "*",
    "turquoise*",
    "NEAR(turquoise button)",
    'turquoise" OR "1',
    "title:turquoise",
    "turquoise AND NOT",
    "(((",
    "-turquoise",
    "^turquoise",
    "{turquoise}",
    "\0",
    "🙂 ﷽ Ｆｕｌｌ ünï",
    "日本語",
    "' OR 1=1 --",
    "the of and",
    " ",
    "x" * 10_000,
    "turquoise " * 1_000,
    " ".join(f"word{n}" for n in range(1_600)),
)
"""What users write, and what they may try."""


def test_a_query_is_words_and_no_language(index: Index) -> None:
    index.add("anna", "a", chunks("turquoise button", "the other of them and more"), None)
    found = {query: places(index.search("anna", query, None, 9)) for query in QUERIES}
    assert [query for query in QUERIES if (("a", 0) in found[query]) != ("turquoise" in query)] == []


def test_many_threads_write_and_search_at_once(index: Index) -> None:
    faults: list[BaseException] = []

    def work(number: int) -> None:
        try:
            index.add("anna", f"d{number}", chunks(*TEXTS), VECTORS)
            index.search("anna", "turquoise", [1.0, 0.0, 0.0], 5)
        except Exception as error:  # noqa: BLE001 - whatever a thread raises is the finding
            faults.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert len(index.search("anna", "turquoise", None, 50)) == 6


def test_a_users_file_is_made_once_whoever_comes_first(tmp_path: Path) -> None:
    index = EmbeddedIndex(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        for number in range(40):
            gate = threading.Barrier(4)

            def work(user: str, gate: threading.Barrier = gate) -> None:
                gate.wait()
                index.search(user, "turquoise", None, 5)

            assert all(one is None for one in pool.map(work, [f"user{number}"] * 4))
    assert [path for path in tmp_path.iterdir() if path.suffix == ".new"] == []


def test_words_are_found_by_their_stems_and_without_accents(tmp_path: Path) -> None:
    index = EmbeddedIndex(tmp_path)
    index.add("anna", "a", chunks("running machines in the café"), None)
    assert places(index.search("anna", "run machine", None, 5)) == [("a", 0)]
    assert places(index.search("anna", "CAFE", None, 5)) == [("a", 0)]


def test_another_process_that_writes_is_seen(tmp_path: Path) -> None:
    one, other = EmbeddedIndex(tmp_path), EmbeddedIndex(tmp_path)
    one.add("anna", "a", chunks("turquoise"), [[1.0, 0.0]])
    assert places(other.search("anna", "", [1.0, 0.0], 5)) == [("a", 0)]
    one.add("anna", "b", chunks("turquoise"), [[1.0, 0.1]])
    assert places(other.search("anna", "", [1.0, 0.0], 5)) == [("a", 0), ("b", 0)]


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    index = EmbeddedIndex(tmp_path)
    index.add("anna", "a", chunks("turquoise"), None)
    for path in tmp_path.iterdir():
        path.unlink() if path.suffix != ".sqlite" else path.write_bytes(b"no database " * 999)
    with pytest.raises(Unavailable, match="index"):
        index.search("anna", "turquoise", None, 5)


def test_matrices_of_users_who_searched_long_ago_are_let_go(tmp_path: Path) -> None:
    matrices = Matrices(most_bytes=100)
    index = EmbeddedIndex(tmp_path, matrices)
    for user in ("anna", "bob", "carl"):
        index.add(user, "a", chunks(*TEXTS), VECTORS)
        index.search(user, "", [1.0, 0.0, 0.0], 5)
    assert len(matrices) == 2
    assert places(index.search("anna", "", [1.0, 0.0, 0.0], 1)) == [("a", 0)]


def test_rankings_are_fused_by_reciprocal_rank() -> None:
    hits = fuse([("a", 0), ("b", 0)], [("b", 0), ("c", 0)], limit=9)
    assert places(hits) == [("b", 0), ("a", 0), ("c", 0)]
    assert hits[0].score == pytest.approx(1 / 62 + 1 / 61)
    assert len(fuse([("a", n) for n in range(9)], limit=3)) == 3
