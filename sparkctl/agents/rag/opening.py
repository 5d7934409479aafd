"""The library of a process: index and embeddings as configured."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sparkctl.agent_spec import AgentsDocument
from sparkctl.agents.core.database import Database
from sparkctl.agents.core.endpoints import Endpoints
from sparkctl.agents.core.failure import Refused
from sparkctl.agents.core.secret_file import read_secret
from sparkctl.agents.rag.embed import Embedder
from sparkctl.agents.rag.embedded import EmbeddedIndex
from sparkctl.agents.rag.index import Index
from sparkctl.agents.rag.library import Library

PASSWORD = "milvus-password"  # noqa: S105 - the name of a file


@asynccontextmanager
async def opened_library(document: AgentsDocument, database: Database, endpoints: Endpoints) -> AsyncIterator[Library]:
    """The documents of all users.

    Raises Unknown where no model has the name of `rag.embeddings`, Refused for Milvus without an address,
    Unavailable where it does not answer.
    """
    rag = document.agents.rag
    embedder = Embedder(endpoints.find(rag.embeddings)) if rag.embeddings else None
    index = await asyncio.to_thread(index_of, document)
    library = Library(database, index, embedder, rag, document.agents.limits)
    try:
        yield library
    finally:
        await asyncio.to_thread(index.close)


def index_of(document: AgentsDocument) -> Index:
    """The index that the document names. Raises Refused, Unavailable."""
    if document.agents.rag.index == "embedded":
        return EmbeddedIndex(Path(document.where.data, "index"))
    if not document.where.milvus:
        raise Refused("rag.index is milvus, and where.milvus has no address of one")
    from sparkctl.agents.rag.milvus import open_milvus

    password = Path(document.where.secrets, PASSWORD)
    return open_milvus(
        document.where.milvus, read_secret(password).decode(errors="replace") if password.exists() else ""
    )
