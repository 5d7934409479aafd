"""The gateway as the web UI asks it: one function for each call, with the key of the user who asks."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from httpx2 import AsyncClient, HTTPError, Response, Timeout

from sparkctl.agents.ui.shapes import (
    AuditEntry,
    Conversation,
    Document,
    Event,
    Found,
    Listed,
    LogLine,
    Member,
    Model,
    Passage,
    event_of,
)
from sparkctl.errors import SparkctlError

SECONDS = 30.0
"""Longest silence of the gateway in a call, and the time to reach it."""
UPLOAD_SECONDS = 120.0
AUDIT_ENTRIES, LOG_LINES = 100, 200
"""Of one page."""
QUIET_SECONDS = 330.0
"""Longest silence of a stream: a model that loads, a tool that runs."""


class GatewayAway(SparkctlError):
    """The gateway does not answer."""


class GatewayRefused(SparkctlError):
    """The gateway answered with an error: its status, its code, its sentence, and its request's id."""

    def __init__(self, status: int, code: str, message: str, request_id: str = "") -> None:
        super().__init__(message, where=f"request {request_id}" if request_id else "")
        self.status, self.code = status, code


@dataclass(frozen=True)
class Upload:
    """A file that came from a browser."""

    name: str
    media: str
    content: bytes


@dataclass(frozen=True)
class Gateway:
    """One user's view of the gateway. Every call raises GatewayAway or GatewayRefused."""

    client: AsyncClient
    key: str

    async def agents(self) -> list[Member]:
        """The team."""
        return [Member.model_validate(one) for one in (await self._get("/agents")).json()]

    async def models(self) -> list[Model]:
        """What clients may ask for: agents as sparkctl/NAME, and raw models."""
        return [Model.model_validate(one) for one in (await self._get("/v1/models")).json()["data"]]

    async def sessions(self) -> list[Listed]:
        """The user's conversations."""
        return [Listed.model_validate(one) for one in (await self._get("/sessions")).json()]

    async def session(self, session_id: str) -> Conversation:
        """One conversation with all that was said."""
        return Conversation.model_validate((await self._get(f"/sessions/{quote(session_id, safe='')}")).json())

    async def rename(self, session_id: str, title: str) -> None:
        """Give a conversation another title."""
        await self._send("PATCH", f"/sessions/{quote(session_id, safe='')}", json={"title": title})

    async def forget(self, session_id: str) -> None:
        """Delete a conversation."""
        await self._send("DELETE", f"/sessions/{quote(session_id, safe='')}")

    async def chat(
        self, message: str, session_id: str, agent: str = "", images: Sequence[str] = ()
    ) -> AsyncIterator[Event]:
        """An answer as it comes. Closing the iterator ends the work."""
        body = {"message": message, "session_id": session_id, "agent_type": agent, "images": list(images)}
        async with self._stream("/chat/stream", body) as events:
            async for event in events:
                yield event

    async def approve(self, run_id: str, call_id: str, allow: bool) -> AsyncIterator[Event]:
        """Allow or deny a call that waits; the rest of the answer as it comes."""
        path, body = f"/runs/{quote(run_id, safe='')}/approve/stream", {"call_id": call_id, "allow": allow}
        async with self._stream(path, body) as events:
            async for event in events:
                yield event

    async def cancel(self, run_id: str) -> None:
        """End a run."""
        await self._send("POST", f"/runs/{quote(run_id, safe='')}/cancel")

    async def upload(self, image: Upload) -> str:
        """Keep an image; its id."""
        files = {"file": (image.name, image.content, image.media)}
        return str((await self._send("POST", "/uploads", files=files, timeout=UPLOAD_SECONDS)).json()["id"])

    async def image(self, upload_id: str) -> tuple[str, bytes]:
        """An image of the user's: its media type and its bytes."""
        response = await self._get(f"/uploads/{quote(upload_id, safe='')}")
        return response.headers.get("Content-Type", ""), response.content

    async def documents(self) -> list[Document]:
        """The user's documents."""
        return [Document.model_validate(one) for one in (await self._get("/documents")).json()]

    async def passage(self, document_id: str, chunk: int) -> Passage:
        """A document with one of its chunks. Refused with 404 where it has no such chunk."""
        path, params = f"/documents/{quote(document_id, safe='')}", {"chunk": chunk}
        return Passage.model_validate((await self._get(path, params=params)).json())

    async def ingest(self, document: Upload) -> None:
        """Send a document; it is cut and indexed after this."""
        files = {"file": (document.name, document.content, document.media)}
        await self._send("POST", "/documents", files=files, timeout=UPLOAD_SECONDS)

    async def delete_document(self, document_id: str) -> None:
        """Delete a document with its chunks."""
        await self._send("DELETE", f"/documents/{quote(document_id, safe='')}")

    async def search(self, query: str) -> Found:
        """The chunks nearest to a query, best first."""
        return Found.model_validate((await self._send("POST", "/search", json={"query": query})).json())

    async def audit(self, before: int = 0) -> list[AuditEntry]:
        """Who did what, newest first, before that number; an administrator's alone."""
        params = {"before": before, "limit": AUDIT_ENTRIES}
        return [AuditEntry.model_validate(one) for one in (await self._get("/audit", params=params)).json()]

    async def logs(self, level: str) -> list[LogLine]:
        """What the gateway wrote of late, newest first, of that level or above; an administrator's alone."""
        params = {"level": level, "limit": LOG_LINES}
        return [LogLine.model_validate(one) for one in (await self._get("/logs", params=params)).json()]

    async def _get(self, path: str, **more: Any) -> Response:
        return await self._send("GET", path, **more)

    async def _send(self, method: str, path: str, **more: Any) -> Response:
        try:
            response = await self.client.request(method, path, headers=self._headers, **{"timeout": SECONDS, **more})
        except HTTPError as error:
            raise away(error) from error
        if response.is_error:
            raise refused(response)
        return response

    @asynccontextmanager
    async def _stream(self, path: str, body: dict[str, Any]) -> AsyncIterator[AsyncIterator[Event]]:
        more: dict[str, Any] = {"headers": self._headers, "timeout": Timeout(SECONDS, read=QUIET_SECONDS)}
        try:
            async with self.client.sse(path, method="POST", json=body, **more) as source:
                if source.response.is_error:
                    await source.response.aread()
                    raise refused(source.response)
                yield (event_of(one.event, one.json()) async for one in source)
        except HTTPError as error:
            raise away(error) from error

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}


def away(error: HTTPError) -> GatewayAway:
    """The gateway's silence, for people."""
    return GatewayAway(
        f"the gateway does not answer ({type(error).__name__})",
        fix="wait, then try again; `sparkctl status` says whether it runs, `sparkctl logs` what it said",
    )


def refused(response: Response) -> GatewayRefused:
    """An error of the gateway, from its JSON."""
    try:
        error = response.json()["error"]
        code, message, request_id = (str(error[name]) for name in ("code", "message", "request_id"))
    except (ValueError, KeyError, TypeError):
        return GatewayRefused(response.status_code, "unknown", f"the gateway answered HTTP {response.status_code}")
    return GatewayRefused(response.status_code, code, message, request_id)
