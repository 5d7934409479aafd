"""Search over 100 000 chunks by the embedded index, and how good it is at finding: `agents_search`.

Vectors are random: the time of a search does not depend on what they say.
"""

import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np

from sparkctl.agents.eval.retrieval import retrieval_report
from sparkctl.agents.eval.retrieval_corpus import read_questions
from sparkctl.agents.rag.chunks import Chunk
from sparkctl.agents.rag.embedded import EmbeddedIndex
from sparkctl.agents.rag.vectors import Floats
from tests.bench.measure import Figure

CHUNKS, OF_A_DOCUMENT, WORDS, LENGTH = 100_000, 1_000, 180, 384
"""384 is the length of all-MiniLM-L6-v2's vectors."""
USER, LIMIT = "bench", 5
TARGET_MS = 50.0
DOCS = Path(__file__).parents[2] / "docs"


def figures() -> Iterator[Figure]:
    """Milliseconds of a search, and ratios to reading every chunk."""
    with tempfile.TemporaryDirectory() as folder:
        index = EmbeddedIndex(Path(folder))
        texts, seconds = fill(index)
        queries = [one.text for one in read_questions()]
        draw = np.random.default_rng(2)
        vectors = draw.standard_normal((len(queries), LENGTH), dtype=np.float32)
        searches: dict[str, Callable[[int], object]] = {
            "words": lambda n: index.search(USER, queries[n], None, LIMIT),
            "vectors": lambda n: index.search(USER, "", vectors[n], LIMIT),
            "both": lambda n: index.search(USER, queries[n], vectors[n], LIMIT),
        }
        began = time.perf_counter()
        searches["vectors"](0)
        first = time.perf_counter() - began
        taken = {name: timed(search, len(queries)) for name, search in searches.items()}
        scan = timed(lambda n: scanned(texts, queries[n]), 3)
        note = f"{CHUNKS} chunks, {len(queries)} questions; built in {seconds:.0f} s, first search {first:.1f} s"
        for name, (wall, spent) in taken.items():
            middle, own = (statistics.median(each) for each in (wall, spent))
            p95, own95 = (1e3 * sorted(each)[int(0.95 * len(each))] for each in (wall, spent))
            spread = f"p50 {1e3 * middle:.1f} ms; of all cores p95 {own95:.1f} ms, p50 {1e3 * own:.1f} ms"
            yield Figure(f"search by {name}, p95", p95, TARGET_MS, unit="ms", note=f"{spread}; {note}")
            slow = statistics.median(scan[1])
            yield Figure("its processor time against a plain scan", own / slow, 0.1, note=f"p50; scan {slow:.2f} s")


def retrieval() -> Iterator[Figure]:
    """How good it is, as a table of its own: `agents_retrieval`."""
    report = retrieval_report(DOCS)
    print(report, flush=True)
    best = {one.ranker.partition(" ")[0]: one for one in report.lines if one.part == "all"}
    ratio = best["hybrid"].ndcg.mean / best["words"].ndcg.mean
    yield Figure("nDCG@10, both against words", ratio, 0.95, at_least=True, note="LSA's vectors, no neural model")


def fill(index: EmbeddedIndex) -> tuple[list[str], float]:
    """Chunks drawn from CPython's topics, with random vectors; their texts, and how long it took."""
    words = " ".join(topics.values()).split()
    place, draw = random.Random(1), np.random.default_rng(1)
    texts: list[str] = []
    began = time.perf_counter()
    for number in range(CHUNKS // OF_A_DOCUMENT):
        starts = [place.randrange(len(words) - WORDS) for _ in range(OF_A_DOCUMENT)]
        made = [" ".join(words[start : start + WORDS]) for start in starts]
        chunks = [Chunk(n, f"d{number}.md#Part:{n}", "Part", text) for n, text in enumerate(made)]
        vectors: Floats = draw.standard_normal((OF_A_DOCUMENT, LENGTH), dtype=np.float32)
        index.add(USER, f"d{number}", chunks, list(vectors))
        texts += made
    return texts, time.perf_counter() - began


def timed(search: Callable[[int], object], count: int) -> tuple[list[float], list[float]]:
    """Seconds of each search: of the clock, and of the processor, which other work on the machine does not stretch."""
    wall, spent = [], []
    for number in range(count):
        began, own = time.perf_counter(), time.process_time()
        search(number)
        wall.append(time.perf_counter() - began)
        spent.append(time.process_time() - own)
    return wall, spent


def scanned(texts: list[str], query: str) -> list[int]:
    """What one would write first: count the words of the question in every chunk."""
    words = query.lower().split()
    scores = [(sum(text.count(word) for word in words), number) for number, text in enumerate(texts)]
    return [number for _, number in sorted(scores, reverse=True)[:LIMIT]]
