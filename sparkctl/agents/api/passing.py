"""An engine's answer, passed to the client byte by byte, and ended with it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from io import BytesIO

from aiohttp import ClientError, ClientResponse, ClientSession
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from sparkctl.agents.api.completion import sse
from sparkctl.agents.api.errors import body_of
from sparkctl.agents.core.events import Usage
from sparkctl.agents.core.failure import EngineFailed
from sparkctl.agents.core.raw_usage import UsageReader

KEPT = ("content-type", "content-length", "retry-after", "x-request-id")
"""Headers of an engine that its client gets; the others speak of the connection to the engine."""
EVENT_STREAM = "text/event-stream"
LARGE = 1 << 20
"""Bytes above which a body is sent in pieces, so that other streams go on."""


@dataclass(frozen=True)
class Call:
    """What an engine is asked."""

    url: str
    headers: dict[str, str]
    body: bytes


class Passing(Response):
    """Asks the engine when the answer is to be sent, so that a client that leaves ends the engine's work, too.

    Raises EngineFailed where the engine does not begin to answer, or refuses the gateway's own key. One that breaks
    off in a stream is told by an event of OpenAI's shape; any other answer breaks off as the engine's did. `spent` is
    told the usage at the end, however that came: not of an answer that the engine did not give.
    """

    def __init__(self, session: ClientSession, call: Call, spent: Callable[[Usage], Awaitable[None]]) -> None:
        super().__init__()
        self._session, self._call, self._spent = session, call, spent
        self._usage: UsageReader | None = UsageReader(call.body, stream=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer, until it ends or the client leaves."""
        pump, gone = asyncio.create_task(self._pump(scope, send)), asyncio.create_task(_gone(receive))
        try:
            await asyncio.wait({pump, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            left = not pump.done()
            gone.cancel()
            pump.cancel()
            await asyncio.wait({pump, gone})
            if self._usage is not None:
                await self._spent(self._usage.usage())
        if not left:
            pump.result()

    async def _pump(self, scope: Scope, send: Send) -> None:
        answer = await self._ask()
        async with answer:
            stream = answer.content_type == EVENT_STREAM
            self._usage = UsageReader(self._call.body, stream=stream) if answer.ok else None
            await send({"type": "http.response.start", "status": answer.status, "headers": _headers(answer)})
            try:
                async for piece in answer.content.iter_any():
                    if self._usage is not None:
                        self._usage.add(piece)
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            except (ClientError, TimeoutError) as error:
                if not stream:
                    return  # without a last piece, on which the server breaks the connection off
                await send({"type": "http.response.body", "body": _broken(scope, error), "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _ask(self) -> ClientResponse:
        call = self._call
        data = call.body if len(call.body) < LARGE else BytesIO(call.body)
        try:
            answer = await self._session.post(call.url, data=data, headers=call.headers, allow_redirects=False)
        except (ClientError, TimeoutError) as error:
            self._usage = None
            raise EngineFailed(f"the model's engine did not answer: {type(error).__name__}") from error
        if answer.status in (401, 403):
            self._usage = None
            answer.close()
            raise EngineFailed("the model's engine refused the gateway's key")
        return answer


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _headers(answer: ClientResponse) -> list[tuple[bytes, bytes]]:
    return [(name.lower(), value) for name, value in answer.raw_headers if name.lower().decode("latin-1") in KEPT]


def _broken(scope: Scope, error: Exception) -> bytes:
    """The last event of a stream whose engine left; the empty line before it ends what the engine had begun."""
    message = f"the model's engine stopped in the middle: {type(error).__name__}"
    told = body_of(Request(scope), EngineFailed.status, EngineFailed.code, message)
    return b"\n\n" + sse(told.model_dump())
