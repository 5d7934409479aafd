"""The documents of users: kept in the database, found through the index. What is found is read from the database."""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import delete, func, select, tuple_

from sparkctl.agent_spec import Limits, Rag
from sparkctl.agents.core.database import Database
from sparkctl.agents.core.failure import EngineFailed, Refused, TooMuch, Unknown
from sparkctl.agents.core.storing import ensure_room
from sparkctl.agents.core.tables import Chunk, Document, Job, Raw
from sparkctl.agents.rag.decode import clean
from sparkctl.agents.rag.embed import Embedder, Vectors
from sparkctl.agents.rag.formats import format_of, name_of
from sparkctl.agents.rag.index import Hit, Index, TooManyVectors

MOST_WAITING = 500
"""Documents of one user that wait to be read."""
WAIT_SECONDS = 30.0
"""After which some of them will have been read."""
SPARE = 10
"""Hits asked for beyond those wanted: some may be of documents that are gone."""
BY_WORDS = "this was searched by words alone"


@dataclass(frozen=True)
class Found:
    """A chunk of a ready document."""

    doc_id: str
    chunk: int
    source: str
    text: str
    score: float


@dataclass(frozen=True)
class Answer:
    """What a search found, best first. `mode` is hybrid or words; `note` says why it is less than configured.

    `tokens` were read by the model that embeds.
    """

    hits: tuple[Found, ...]
    mode: str
    note: str = ""
    tokens: int = 0


@dataclass(frozen=True)
class Library:
    """Every call names the user, and sees that user's documents alone: another's is Unknown."""

    database: Database
    index: Index
    embedder: Embedder | None
    settings: Rag
    limits: Limits = field(default_factory=Limits)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when there may be work for `ingest.py`."""

    async def add(self, user: str, filename: str, declared: str, content: bytes) -> Job:
        """Queue a document; one of the same name and content that is there or on its way is not read again.

        Raises Refused for a type that cannot be read, TooMuch where too many wait, TooLarge above what one may keep.
        """
        name = name_of(filename)
        kind, digest = format_of(name, declared), hashlib.sha256(content).hexdigest()
        async with self.database.begin() as session:
            newest = select(Document).where(Document.user == user, Document.name == name, Document.state != "failed")
            same = (await session.scalars(newest.order_by(Document.created.desc()).limit(1))).first()
            if same is not None and same.sha256 == digest:
                known = select(Job).where(Job.document_id == same.id).order_by(Job.created.desc()).limit(1)
                if job := (await session.scalars(known)).first():
                    return job
            waiting = select(func.count()).select_from(Job).where(Job.user == user, Job.state == "queued")
            if (await session.scalar(waiting) or 0) >= MOST_WAITING:
                raise TooMuch(f"{MOST_WAITING} documents wait to be read", retry_after=WAIT_SECONDS)
            await ensure_room(session, user, len(content), self.limits)
            document = Document(user=user, name=name, media=kind, size=len(content), sha256=digest)
            session.add(document)
            await session.flush()
            job = Job(user=user, document_id=document.id)
            session.add_all((Raw(document_id=document.id, content=content), job))
        self.arrived.set()
        return job

    async def job(self, user: str, job_id: str) -> Job:
        """How far an ingest is. Raises Unknown."""
        async with self.database.begin() as session:
            job = await session.get(Job, job_id)
        if job is None or job.user != user:
            raise Unknown("there is no such job")
        return job

    async def documents(self, user: str) -> Sequence[Document]:
        """All, by name."""
        async with self.database.begin() as session:
            mine = select(Document).where(Document.user == user).order_by(Document.name, Document.created)
            return (await session.scalars(mine)).all()

    async def document(self, user: str, doc_id: str) -> Document:
        """One of them. Raises Unknown."""
        async with self.database.begin() as session:
            document = await session.get(Document, doc_id)
        if document is None or document.user != user:
            raise Unknown("there is no such document; one that was sent again has a new id")
        return document

    async def chunks(self, user: str, doc_id: str, first: int = 0, count: int | None = None) -> Sequence[Chunk]:
        """Chunks of a document, in order from `first`. Raises Unknown, also where none has such a number."""
        document = await self.document(user, doc_id)
        query = select(Chunk).where(Chunk.document_id == doc_id, Chunk.number >= first).order_by(Chunk.number)
        async with self.database.begin() as session:
            found = (await session.scalars(query.limit(count))).all()
        if not found and first:
            raise Unknown(f"the document {document.name} has {document.chunks} chunks, counted from 0")
        return found

    async def remove(self, user: str, doc_id: str) -> None:
        """Delete a document with all that was made of it, also while it is being read. Raises Unknown."""
        await self.document(user, doc_id)
        async with self.database.begin() as session:
            await session.execute(delete(Document).where(Document.user == user, Document.id == doc_id))
        await asyncio.to_thread(self.index.remove, user, doc_id)

    async def search(self, user: str, query: str, limit: int) -> Answer:
        """The best chunks for a question. Raises Refused for an empty one, Unavailable where the index is away."""
        asked = clean(query).strip()
        if not asked:
            raise Refused("the query is empty")
        made, note = await self._vector(asked)
        vector, tokens = (made.rows[0], made.tokens) if made else (None, 0)
        try:
            hits = await asyncio.to_thread(self.index.search, user, asked, vector, limit + SPARE)
        except TooManyVectors as error:
            vector, note = None, f"{error.message}; {BY_WORDS}"
            hits = await asyncio.to_thread(self.index.search, user, asked, None, limit + SPARE)
        found = await self._resolve(user, hits)
        return Answer(tuple(found[:limit]), "words" if vector is None else "hybrid", note, tokens)

    async def _vector(self, query: str) -> tuple[Vectors | None, str]:
        if self.embedder is None:
            return None, ""
        try:
            return await self.embedder.question(query), ""
        except EngineFailed as error:
            return None, f"{error.message}; {BY_WORDS}"

    async def _resolve(self, user: str, hits: Sequence[Hit]) -> list[Found]:
        places = [(hit.doc_id, hit.chunk) for hit in hits]
        query = (
            select(Chunk)
            .join(Document, Document.id == Chunk.document_id)
            .where(Document.user == user, Document.state == "ready")
            .where(tuple_(Chunk.document_id, Chunk.number).in_(places))
        )
        async with self.database.begin() as session:
            rows = {(row.document_id, row.number): row for row in (await session.scalars(query)).all()}
        return [
            Found(hit.doc_id, hit.chunk, row.source, row.content, hit.score)
            for hit in hits
            if (row := rows.get((hit.doc_id, hit.chunk)))
        ]
