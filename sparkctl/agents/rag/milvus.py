"""The index in Milvus: one collection for each length of vectors, one for chunks without any; BM25 is Milvus's own.

Users are told apart by a digest in the partition key, so that an expression never holds what a user wrote.
"""

import hashlib
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from pymilvus import DataType, Function, FunctionType, MilvusClient, MilvusException

from sparkctl.agents.core.failure import Unavailable
from sparkctl.agents.rag.chunks import Chunk, title_of
from sparkctl.agents.rag.index import DEPTH, Hit, Vector, fuse
from sparkctl.agents.rag.words import telling

PREFIX = "sparkctl_chunks_"
ROWS = 500
"""Rows of one insert."""
MOST_BYTES = 65_000
"""Of a text, in UTF-8; Milvus takes 65535."""
ANALYZER = {
    "tokenizer": "standard",
    "filter": [
        "lowercase",
        {"type": "stemmer", "language": "english"},
        {"type": "stop", "stop_words": ["_english_"]},
    ],
}
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class MilvusIndex:
    """Collections of one Milvus. Raises Unavailable where that does not answer."""

    client: MilvusClient
    _making: threading.Lock = field(default_factory=threading.Lock)

    def add(self, user: str, doc_id: str, chunks: Sequence[Chunk], vectors: Sequence[Vector] | None) -> None:
        """As the protocol says."""
        self.remove(user, doc_id)
        length = len(vectors[0]) if vectors else 0
        name, owner = PREFIX + str(length), owner_of(user)
        with self._making:
            _asked(lambda: self._make(name, length))
        rows = [_row(owner, doc_id, chunk, vectors[n] if vectors else None) for n, chunk in enumerate(chunks)]
        for first in range(0, len(rows), ROWS):
            _asked(partial(self.client.insert, name, rows[first : first + ROWS]))

    def remove(self, user: str, doc_id: str) -> None:
        """As the protocol says."""
        which = f'{_owned_by(user)} and doc == "{checked(doc_id)}"'
        for name in self._names():
            _asked(partial(self.client.delete, name, filter=which))

    def search(self, user: str, query: str, vector: Vector | None, limit: int) -> list[Hit]:
        """As the protocol says. Words are looked for in every collection, the vector in that of its length."""
        depth = max(limit, DEPTH)
        words = " ".join(telling(query))
        rankings = [self._find(name, "words", words, user, depth) for name in self._names()] if words else []
        if vector is not None and (name := PREFIX + str(len(vector))) in self._names():
            rankings.append(self._find(name, "vector", list(vector), user, depth))
        return fuse(*rankings, limit=limit)

    def close(self) -> None:
        """Close the connection."""
        self.client.close()

    def _find(self, name: str, column: str, wanted: Any, user: str, depth: int) -> list[tuple[str, int]]:
        found = _asked(
            lambda: self.client.search(
                name,
                data=[wanted],
                anns_field=column,
                limit=depth,
                filter=_owned_by(user),
                output_fields=["doc", "number"],
            )
        )
        return [(one["entity"]["doc"], one["entity"]["number"]) for one in found[0]]

    def _names(self) -> list[str]:
        return sorted(name for name in _asked(self.client.list_collections) if name.startswith(PREFIX))

    def _make(self, name: str, length: int) -> None:
        if self.client.has_collection(name):
            return
        schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=100)
        schema.add_field("owner", DataType.VARCHAR, max_length=32, is_partition_key=True)
        schema.add_field("doc", DataType.VARCHAR, max_length=64)
        schema.add_field("number", DataType.INT64)
        schema.add_field("text", DataType.VARCHAR, max_length=65_535, enable_analyzer=True, analyzer_params=ANALYZER)
        schema.add_field("words", DataType.SPARSE_FLOAT_VECTOR)
        schema.add_function(
            Function("bm25", FunctionType.BM25, input_field_names=["text"], output_field_names=["words"])
        )
        indexes = self.client.prepare_index_params()
        indexes.add_index("words", index_type="SPARSE_INVERTED_INDEX", metric_type="BM25")
        if length:
            schema.add_field("vector", DataType.FLOAT_VECTOR, dim=length)
            indexes.add_index("vector", index_type="AUTOINDEX", metric_type="COSINE")
        try:
            self.client.create_collection(name, schema=schema, index_params=indexes, consistency_level="Strong")
        except MilvusException:
            if not self.client.has_collection(name):  # else another process has just made it
                raise


def open_milvus(uri: str, password: str = "") -> MilvusIndex:
    """The Milvus at that address; a path ending in .db is milvus-lite's file. Raises Unavailable.

    `password` is that of its user root; empty for one without users.
    """
    token = f"root:{password}" if password else ""
    return MilvusIndex(_asked(lambda: MilvusClient(uri, token=token)))


def owner_of(user: str) -> str:
    """A user as the collections know them."""
    return hashlib.sha256(user.encode()).hexdigest()[:32]


def _owned_by(user: str) -> str:
    return f'owner == "{owner_of(user)}"'


def _row(owner: str, doc_id: str, chunk: Chunk, vector: Vector | None) -> dict[str, Any]:
    text = f"{title_of(chunk)}\n{chunk.text}".encode()[:MOST_BYTES].decode("utf-8", "ignore")
    row = {"id": f"{checked(doc_id)}:{chunk.number}", "owner": owner, "doc": doc_id, "number": chunk.number}
    return row | {"text": text} | ({} if vector is None else {"vector": list(vector)})


def checked(doc_id: str) -> str:
    """An id that can stand in an expression. Raises ValueError: ours are hex digits."""
    if not re.fullmatch(r"[0-9A-Za-z_-]{1,64}", doc_id):
        raise ValueError("no id of a document")
    return doc_id


def _asked(ask: Callable[[], Answer]) -> Answer:
    try:
        return ask()
    except MilvusException as error:
        raise Unavailable(f"Milvus does not do it: {error.message or type(error).__name__}") from error
