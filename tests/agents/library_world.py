"""Documents in the tests: made, sent to a gateway, and waited for; a library without a gateway."""

import time
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from agent_world import World
from fastapi.testclient import TestClient
from httpx2 import Response
from postgres import PASSWORD
from pypdf import PdfReader, PdfWriter

from sparkctl.agent_spec import AgentsDocument, ModelEndpoint, Rag, Where
from sparkctl.agents.core.database import connect, url_of
from sparkctl.agents.core.endpoints import open_endpoints
from sparkctl.agents.rag.embed import Embedder
from sparkctl.agents.rag.embedded import EmbeddedIndex
from sparkctl.agents.rag.library import Library

GUIDE = b"# Guide\nAll about it.\n\n## Install\nPress the turquoise button.\n\n## Remove\nPull the plug.\n"
PATIENCE = 180.0


def send(client: TestClient, name: str, content: bytes, media: str = "", **more: Any) -> Response:
    """Send a document."""
    response: Response = client.post("/documents", files={"file": (name, content, media)}, **more)
    return response


def ended(client: TestClient, job_id: str, **more: Any) -> dict[str, Any]:
    """The job once it is done or failed."""
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        job: dict[str, Any] = client.get(f"/jobs/{job_id}", **more).json()
        if job["state"] in ("done", "failed"):
            return job
        time.sleep(0.02)
    raise AssertionError(f"the job {job_id} does not end")


def ingested(world: World, name: str, content: bytes, media: str = "", **more: Any) -> str:
    """The id of a document that was read."""
    accepted = send(world.client, name, content, media, **more).json()
    job = ended(world.client, accepted["job_id"], **more)
    assert job["state"] == "done", job
    return str(accepted["document_id"])


def refused(world: World, name: str, content: bytes, media: str = "") -> str:
    """Why a document was accepted and could then not be read."""
    accepted = send(world.client, name, content, media)
    assert accepted.status_code == 202, accepted.text
    job = ended(world.client, accepted.json()["job_id"])
    assert job["state"] == "failed", job
    return str(job["error"])


def names(world: World, query: str, **more: Any) -> list[str]:
    """Where a search finds something, best first."""
    found = world.client.post("/search", json={"query": query}, **more).json()
    return [one["source"] for one in found["results"]]


def pdf_of(*pages: str, stream: bytes | None = None) -> bytes:
    """A PDF with a line of text on each page; `stream` is another first page's compressed content."""
    bodies = [b"<< /Type /Catalog /Pages 2 0 R >>", b"", b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"]
    kids = []
    for number, text in enumerate(pages):
        drawn = zlib.compress(f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET".encode())
        content = stream if stream is not None and number == 0 else drawn
        kids.append(len(bodies) + 1)
        bodies += [
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R"
            b" /Resources << /Font << /F1 3 0 R >> >> >>" % (len(bodies) + 2),
            b"<< /Filter /FlateDecode /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
        ]
    listed = b" ".join(b"%d 0 R" % kid for kid in kids)
    bodies[1] = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (listed, len(kids))
    out, places = bytearray(b"%PDF-1.4\n"), []
    for number, body in enumerate(bodies, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(bodies) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(bodies) + 1, start)
    return bytes(out)


def encrypted(pdf: bytes, password: str) -> bytes:
    """The same with a password."""
    writer, out = PdfWriter(PdfReader(BytesIO(pdf))), BytesIO()
    writer.encrypt(password, algorithm="AES-256")
    writer.write(out)
    return out.getvalue()


@asynccontextmanager
async def library(folder: Path, database: str, url: str = "", model: str = "scripted") -> AsyncIterator[Library]:
    """A library over a real database, without workers; `url` is that of its embeddings model, empty: none."""
    (folder / "database-password").write_text(PASSWORD)
    document = AgentsDocument(
        models={"embed": ModelEndpoint(url=url or "http://127.0.0.1:9/v1", id=model)},
        where=Where(data=str(folder), secrets=str(folder), database=database),
    )
    kept, endpoints = connect(url_of(document.where)), open_endpoints(document)
    try:
        await kept.migrate()
        embedder = Embedder(endpoints.find("embed"), pauses=(0.0, 0.0)) if url else None
        yield Library(kept, EmbeddedIndex(folder / "index"), embedder, Rag())
    finally:
        await endpoints.close()
        await kept.close()
