"""`/documents`, `/jobs`, `/search`: what the RAG agent knows, each user's own."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from sparkctl.agents.api.access import Caller, Home
from sparkctl.agents.api.multipart import file_body, one_file
from sparkctl.agents.core import quota
from sparkctl.agents.core.events import Usage
from sparkctl.agents.core.failure import TooLarge
from sparkctl.agents.core.principal import Scope
from sparkctl.agents.core.tables import HEX_ID

router = APIRouter(tags=["documents"])
Known = Annotated[str, Path(pattern=HEX_ID, description="An id that POST /documents gave.")]
MOST_CHUNKS = 200
"""Chunks of one answer."""


class Accepted(BaseModel):
    """The document is kept and will be read; GET /jobs/{job_id} says how far that is."""

    job_id: str
    document_id: str


class JobBody(BaseModel):
    """An ingest: queued, running, done or failed, and then `error` says why."""

    model_config = ConfigDict(from_attributes=True)
    id: str
    document_id: str
    state: str
    error: str
    created: float


class DocumentBody(BaseModel):
    """A document: queued, ingesting, ready or failed. `size` is in bytes; `media` is what it was read as."""

    model_config = ConfigDict(from_attributes=True)
    id: str
    name: str
    media: str
    size: int
    sha256: str
    state: str
    chunks: int
    error: str
    embedding: str = Field(description="Model that its chunks were embedded with; empty: found by words alone.")
    created: float


class ChunkBody(BaseModel):
    """A piece of a document; `source` is what a citation of it says."""

    chunk: int
    source: str
    text: str


class DocumentWithText(DocumentBody):
    """A document with some of its text."""

    text: list[ChunkBody]


class SearchRequest(BaseModel):
    """A question, in words: no language of queries."""

    query: str = Field(min_length=1, max_length=10_000)
    limit: int | None = Field(default=None, ge=1, le=50, description="Chunks; null: as many as configured.")


class FoundBody(BaseModel):
    """A chunk that was found; a higher score is better, within one answer only."""

    model_config = ConfigDict(from_attributes=True)
    doc_id: str
    chunk: int
    source: str
    text: str
    score: float


class SearchBody(BaseModel):
    """The best first. `mode` is hybrid (words and vectors) or words; `note` says why it is less than configured."""

    results: list[FoundBody]
    mode: str
    note: str


@router.post("/documents", status_code=202, openapi_extra=file_body("Text, Markdown, HTML, PDF or source code."))
async def ingest(request: Request, caller: Caller, platform: Home) -> Accepted:
    """Read a document: one part named `file`. It replaces an older one of its name once it is read."""
    caller.require(Scope.DOCUMENTS)
    async with one_file(request) as file:
        if (file.size or 0) > (most := platform.document.agents.limits.upload_mib) * 2**20:
            raise TooLarge(f"a document has at most {most} MiB")
        content, declared = await file.read(), file.content_type or ""
        job = await platform.library.add(caller.user, file.filename or "", declared, content)
    platform.journal.note(caller.user, "document.add", job.document_id)
    return Accepted(job_id=job.id, document_id=job.document_id)


@router.get("/jobs/{job_id}")
async def job(job_id: Known, caller: Caller, platform: Home) -> JobBody:
    """How far an ingest is."""
    caller.require(Scope.DOCUMENTS)
    return JobBody.model_validate(await platform.library.job(caller.user, job_id))


@router.get("/documents")
async def documents(caller: Caller, platform: Home) -> list[DocumentBody]:
    """Your documents, by name."""
    caller.require(Scope.DOCUMENTS)
    return [DocumentBody.model_validate(one) for one in await platform.library.documents(caller.user)]


@router.get("/documents/{document_id}")
async def document(
    document_id: Known,
    caller: Caller,
    platform: Home,
    chunk: Annotated[int | None, Query(ge=0, le=10**6, description="This one alone: what a citation names.")] = None,
    first: Annotated[int, Query(ge=0, le=10**6, description="Chunks from this one on, 200 at most.")] = 0,
) -> DocumentWithText:
    """A document with its text, in chunks that overlap a little."""
    caller.require(Scope.DOCUMENTS)
    library = platform.library
    found = await library.document(caller.user, document_id)
    begin, count = (first, MOST_CHUNKS) if chunk is None else (chunk, 1)
    rows = await library.chunks(caller.user, document_id, begin, count)
    text = [ChunkBody(chunk=row.number, source=row.source, text=row.content) for row in rows]
    return DocumentWithText(**DocumentBody.model_validate(found).model_dump(), text=text)


@router.delete("/documents/{document_id}", status_code=204, response_class=Response)
async def remove(document_id: Known, caller: Caller, platform: Home) -> None:
    """Delete a document with its text, its vectors, and an ingest that is at work on it."""
    caller.require(Scope.DOCUMENTS)
    await platform.library.remove(caller.user, document_id)
    platform.journal.note(caller.user, "document.delete", document_id)


@router.post("/search")
async def search(body: SearchRequest, caller: Caller, platform: Home) -> SearchBody:
    """The chunks of your documents that fit a question best."""
    caller.require(Scope.DOCUMENTS)
    await quota.check(platform, caller)
    limit = body.limit or platform.document.agents.rag.results
    found = await platform.library.search(caller.user, body.query, limit)
    if found.tokens:
        await quota.spend(platform, caller, Usage(found.tokens))
    results = [FoundBody.model_validate(one) for one in found.hits]
    return SearchBody(results=results, mode=found.mode, note=found.note)
