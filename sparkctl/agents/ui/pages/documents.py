"""The user's documents: upload, state of their ingest, search, chunks, delete."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from sparkctl.agents.ui.gateway import GatewayRefused, Upload
from sparkctl.agents.ui.house import FormRefused, OwnForm, Signed
from sparkctl.agents.ui.rendering import page
from sparkctl.errors import SparkctlError

router = APIRouter(prefix="/documents")
BUSY = ("queued", "ingesting")


@router.get("")
async def documents(request: Request, visitor: Signed, q: Annotated[str, Query(max_length=2_000)] = "") -> Response:
    """The list, and what a search found."""
    found = await visitor.gateway.search(q) if q.strip() else None
    kept = await visitor.gateway.documents()
    return page(request, "documents.html", documents=kept, q=q, found=found, busy=BUSY)


@router.get("/list")
async def listed(request: Request, visitor: Signed) -> Response:
    """The list alone, while something is at work."""
    return page(request, "documents_list.html", documents=await visitor.gateway.documents(), busy=BUSY)


@router.post("")
async def send(visitor: Signed, form: OwnForm) -> Response:
    """Send documents to the gateway, one after the other; one that is refused keeps no other back."""
    files = await files_of(form.getlist("file"))
    if not files:
        raise FormRefused(422, "no file was chosen", "choose one or more, then send them")
    refused: list[tuple[Upload, GatewayRefused]] = []
    for file in files:
        try:
            await visitor.gateway.ingest(file)
        except GatewayRefused as error:
            refused.append((file, error))
    if refused:
        raise not_taken(refused, len(files))
    return RedirectResponse("/documents", 303)


def not_taken(refused: list[tuple[Upload, GatewayRefused]], sent: int) -> SparkctlError:
    """What is said of files that the gateway refused; the others are kept."""
    error = refused[0][1]
    if sent == 1 or error.status == HTTPStatus.UNAUTHORIZED:
        return error
    words = "; ".join(f"{file.name}: {why.what}" for file, why in refused)
    what = f"{len(refused)} of {sent} files were not taken: {words}"
    return FormRefused(error.status, what, "the others are in the list of documents; send these anew, or leave them")


@router.post("/{document_id}/delete")
async def delete(document_id: str, visitor: Signed, _form: OwnForm) -> Response:
    """Delete one with its chunks."""
    await visitor.gateway.delete_document(document_id)
    return RedirectResponse("/documents", 303)


@router.get("/{document_id}/chunks/{number}")
async def chunk(request: Request, document_id: str, number: int, visitor: Signed) -> Response:
    """What a citation points at."""
    passage = await visitor.gateway.passage(document_id, number)
    if not passage.text:
        raise HTTPException(404)
    return page(request, "chunk.html", document=passage, chunk=passage.text[0])


async def files_of(parts: list[UploadFile | str]) -> list[Upload]:
    """The files among the parts of a form; a field without a file is none."""
    chosen = [part for part in parts if isinstance(part, UploadFile) and part.filename]
    media = "application/octet-stream"
    return [Upload(part.filename or "", part.content_type or media, await part.read()) for part in chosen]
