"""The work that goes on behind `POST /documents`: read, cut, embed, index. The table of jobs is the queue.

Whichever process takes a job renews its claim; a claim that is not renewed belongs to a process that died, and the
job is taken again.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from sqlalchemy import delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from sparkctl.agents.core import tables
from sparkctl.agents.core.failure import EngineFailed, Failure, Refused
from sparkctl.agents.core.tables import Document, Job, Raw, new_id
from sparkctl.agents.rag.chunks import Chunk, cut
from sparkctl.agents.rag.embed import Vectors
from sparkctl.agents.rag.library import Library
from sparkctl.agents.rag.reading import read_apart

LOG = logging.getLogger("sparkctl.agents")
AT_ONCE = 2
LEASE_SECONDS = 30.0
LOOK_SECONDS = 2.0
"""How often the table is looked at: what another process has queued waits so long."""
AWAY_SECONDS = 10.0
"""How long nothing is tried while the database or the index is away."""
MOST_ATTEMPTS = 3
DELETED = "the document was deleted, or a newer one of its name is there"


@dataclass
class Ingest:
    """The workers of this process."""

    library: Library
    _tag: str = ""
    _held: set[str] = field(default_factory=set)

    async def work(self) -> None:
        """Take jobs until cancelled."""
        while True:
            try:
                job = await self._claim()
                if job is None:
                    await self._rest()
                else:
                    await self._do(job)
            except Failure as error:  # the database or the index is away: the job stays in the table
                LOG.warning("ingest waits: %s", error.message)
                await asyncio.sleep(AWAY_SECONDS)

    async def release(self) -> None:
        """Give back what this process was at, for it or another to begin anew."""
        again = update(Job).where(Job.id.in_(self._held), Job.state == "running")
        async with self.library.database.begin() as session:
            await session.execute(again.values(state="queued", until=0.0, attempts=Job.attempts - 1))

    async def _rest(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self.library.arrived.wait(), LOOK_SECONDS)
        self.library.arrived.clear()

    async def _claim(self) -> Job | None:
        now = time.time()
        open_jobs = or_(Job.state == "queued", Job.state == "running") & (Job.until < now)
        other = aliased(Job)
        served = Job.user.in_(select(other.user).where(other.state == "running", other.until >= now))
        in_turn = select(Job.id).where(open_jobs).order_by(served, Job.created)  # first whose user has none at work
        first = in_turn.limit(1).with_for_update(skip_locked=True)
        claim = update(Job).where(Job.id == first.scalar_subquery(), open_jobs)
        async with self.library.database.begin() as session:
            taken = claim.values(state="running", until=now + LEASE_SECONDS, attempts=Job.attempts + 1)
            job = (await session.scalars(taken.returning(Job))).first()
            if job is not None:
                self._held.add(job.id)  # before the commit: who is cancelled in its midst has the job
            return job

    async def _do(self, job: Job) -> None:
        async with self._renewed(job):
            work = asyncio.create_task(self._ingest(job))
            try:
                await asyncio.wait({work})
            finally:
                work.cancel()
            if error := work.exception():
                await self._failed(job, error)
        self._held.discard(job.id)

    async def _failed(self, job: Job, error: BaseException) -> None:
        if isinstance(error, Failure) and not isinstance(error, Refused):
            await self._put_back(job)
            raise error
        if not isinstance(error, Refused):
            LOG.error("the ingest %s ended in a bug of ours", job.id, exc_info=error)
        reason = error.message if isinstance(error, Refused) else "a bug in the platform; the log has it"
        await self._fail(job, reason)

    async def _put_back(self, job: Job) -> None:
        """Index or database are away, which is not the document's fault: it is tried again later."""
        with suppress(Failure):
            async with self.library.database.begin() as session:
                again = update(Job).where(Job.id == job.id, Job.state == "running")
                later = time.time() + AWAY_SECONDS
                await session.execute(again.values(state="queued", until=later, attempts=Job.attempts - 1))
        self._held.discard(job.id)

    @asynccontextmanager
    async def _renewed(self, job: Job) -> AsyncIterator[None]:
        beat = asyncio.create_task(self._renew(job))
        try:
            yield
        finally:
            beat.cancel()

    async def _renew(self, job: Job) -> None:
        while True:
            await asyncio.sleep(LEASE_SECONDS / 3)
            with suppress(Failure):
                async with self.library.database.begin() as session:
                    until = time.time() + LEASE_SECONDS
                    await session.execute(update(Job).where(Job.id == job.id).values(until=until))

    async def _ingest(self, job: Job) -> None:
        async with self.library.database.begin() as session:
            document = await session.get(Document, job.document_id)
            raw = await session.get(Raw, job.document_id)
        if document is None:
            raise Refused(DELETED)
        if job.attempts > MOST_ATTEMPTS:
            raise Refused(f"the process that read it ended {MOST_ATTEMPTS} times")
        chunks = await self._cut(document, raw.content) if raw else await self._kept(document)
        vectors = await self._embed(chunks)
        rows = vectors.rows if vectors else None
        await asyncio.to_thread(self.library.index.add, job.user, document.id, chunks, rows)
        gone = await self._finish(job, document, chunks, vectors)
        for doc_id in gone:
            await asyncio.to_thread(self.library.index.remove, job.user, doc_id)
        if vectors:
            await self._requeue(vectors.tag)

    async def _cut(self, document: Document, content: bytes) -> list[Chunk]:
        async with self.library.database.begin() as session:
            await session.execute(update(Document).where(Document.id == document.id).values(state="ingesting"))
        settings = self.library.settings
        passages = await read_apart(content, document.media)
        return cut(document.name, passages, settings.chunk_words, settings.overlap_words)

    async def _kept(self, document: Document) -> list[Chunk]:
        rows = await self.library.chunks(document.user, document.id)
        return [Chunk(row.number, row.source, row.heading, row.content) for row in rows]

    async def _embed(self, chunks: Sequence[Chunk]) -> Vectors | None:
        """None without a model, and where it does not answer: the document is found by its words until it does."""
        if self.library.embedder is None:
            return None
        try:
            return await self.library.embedder.texts([f"{one.heading}\n{one.text}".strip() for one in chunks])
        except EngineFailed as error:
            LOG.warning("a document is indexed by words alone: %s", error.message)
            self._tag = ""
            return None

    async def _finish(self, job: Job, document: Document, chunks: list[Chunk], vectors: Vectors | None) -> list[str]:
        """Make the document ready in place of older ones of its name; the ids that the index must forget."""
        same_name = select(Document).where(Document.user == job.user, Document.name == document.name)
        ready = update(Document).where(Document.id == document.id)
        async with self.library.database.begin() as session:
            await _end(session, job, "done", "")  # SQLite locks by writing; PostgreSQL the rows, in order, hereafter
            others = (await session.scalars(same_name.order_by(Document.id).with_for_update())).all()
            if not any(one.id == document.id for one in others):
                await _end(session, job, "failed", DELETED)
                return [document.id]
            when = (document.created, document.id)
            if any(one.state == "ready" and (one.created, one.id) > when for one in others):
                await session.execute(delete(Document).where(Document.id == document.id))
                await _end(session, job, "failed", DELETED)
                return [document.id]
            await session.execute(
                ready.values(state="ready", chunks=len(chunks), embedding=_tag_of(vectors), error="")
            )
            await _keep(session, document.id, chunks)
            old = [one.id for one in others if (one.created, one.id) < when]
            await session.execute(delete(Document).where(Document.id.in_(old)))
            return old

    async def _fail(self, job: Job, reason: str) -> None:
        async with self.library.database.begin() as session:
            failed = update(Document).where(Document.id == job.document_id, Document.state != "ready")
            await session.execute(failed.values(state="failed", error=reason))
            await session.execute(delete(Raw).where(Raw.document_id == job.document_id))
            await _end(session, job, "failed", reason)

    async def _requeue(self, tag: str) -> None:
        """Once for each model that answers: embed again what an older one, or none, has embedded."""
        if tag == self._tag:
            return
        before, self._tag = self._tag, tag  # at once: two at a time would queue each document twice
        try:
            await self._queue_stale(tag)
        except Failure:
            self._tag = before
            raise

    async def _queue_stale(self, tag: str) -> None:
        async with self.library.database.begin() as session:
            waiting = select(Job.document_id).where(Job.state.in_(("queued", "running")))
            stale = select(Document.id, Document.user).where(Document.state == "ready", Document.embedding != tag)
            rows = (await session.execute(stale.where(Document.id.not_in(waiting)))).all()
            session.add_all(Job(id=new_id(), user=user, document_id=doc_id) for doc_id, user in rows)
        if rows:
            self.library.arrived.set()

    async def look_for_stale(self) -> None:
        """At the start: ask the model for one vector, and embed again what another one has embedded."""
        if self.library.embedder is None:
            return
        with suppress(EngineFailed):
            await self._requeue((await self.library.embedder.question("start")).tag)


def _tag_of(vectors: Vectors | None) -> str:
    return vectors.tag if vectors else ""


async def _end(session: AsyncSession, job: Job, state: str, error: str) -> None:
    await session.execute(update(Job).where(Job.id == job.id).values(state=state, error=error))


async def _keep(session: AsyncSession, doc_id: str, chunks: Sequence[Chunk]) -> None:
    await session.execute(delete(tables.Chunk).where(tables.Chunk.document_id == doc_id))
    session.add_all(
        tables.Chunk(
            document_id=doc_id, number=one.number, source=one.source[:600], heading=one.heading[:300], content=one.text
        )
        for one in chunks
    )
    await session.execute(delete(Raw).where(Raw.document_id == doc_id))


@asynccontextmanager
async def working(library: Library) -> AsyncIterator[None]:
    """Jobs are done for the length of the block; what is not finished at its end is given back."""
    ingest = Ingest(library)
    tasks = [asyncio.create_task(one) for one in (ingest.look_for_stale(), *(ingest.work() for _ in range(AT_ONCE)))]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with suppress(Failure):
            await ingest.release()
