"""Speaking to what is evaluated: HTTP with a key, patient where it asks for patience, plain where it fails."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2

from sparkctl.errors import LoginError, SparkctlError, UnreachableError

READ_SECONDS, CONNECT_SECONDS = 300.0, 10.0
PATIENCE_SECONDS = 120.0
"""The longest pause that is kept when the endpoint says that it is asked too much."""
TRIES = 5


@dataclass(frozen=True)
class Line:
    """An open client; `base` is the endpoint without /v1 at its end."""

    client: httpx2.AsyncClient
    base: str

    async def get(self, path: str) -> Any | None:
        """The JSON of an answer; None where there is no such path. Raises SparkctlError."""
        async with self.answered("GET", path) as answer:
            return None if answer.status_code in (404, 405) else self._json(answer, await answer.aread())

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The JSON object that is answered. Raises SparkctlError."""
        async with self.answered("POST", path, body) as answer:
            found = self._json(answer, await answer.aread())
        if not isinstance(found, dict):
            raise self.odd("its answer is no JSON object")
        return found

    @asynccontextmanager
    async def answered(
        self, method: str, path: str, body: dict[str, Any] | None = None
    ) -> AsyncIterator[httpx2.Response]:
        """An answer that is still to be read. Waits and asks again where there were too many requests.

        Raises UnreachableError where the endpoint does not answer or breaks off, LoginError where it refuses the key.
        """
        try:
            for left in range(TRIES - 1, -1, -1):
                async with self.client.stream(method, f"{self.base}{path}", json=body) as answer:
                    if answer.status_code in (401, 403):
                        raise LoginError(
                            f"{self.base} refuses the key", fix="name the file of its key with --key-file"
                        )
                    if answer.is_server_error:
                        raise self.away(f"HTTP {answer.status_code}")
                    pause = _pause(answer)
                    if pause is None or not left:
                        yield answer
                        return
                await asyncio.sleep(pause)
        except httpx2.InvalidURL as error:
            raise SparkctlError(f"{self.base} is no URL", fix="such as http://127.0.0.1:8000") from error
        except httpx2.HTTPError as error:
            raise self.away(type(error).__name__) from error

    def away(self, why: str) -> UnreachableError:
        """The error of an endpoint that does not answer, or no longer."""
        return UnreachableError(f"{self.base} does not answer: {why}", fix="see that it serves, then start anew")

    def odd(self, why: str) -> SparkctlError:
        """The error of an answer that cannot be used."""
        return SparkctlError(
            f"{self.base} answers what was not expected: {why}", fix="is it a gateway, or OpenAI's API?"
        )

    def _json(self, answer: httpx2.Response, body: bytes) -> Any:
        if answer.is_error:
            raise self.odd(f"HTTP {answer.status_code} {body[:200].decode(errors='replace')}")
        try:
            return json.loads(body)
        except ValueError as error:
            raise self.odd(f"no JSON at {answer.url.path}") from error


@asynccontextmanager
async def opened(endpoint: str, key: str) -> AsyncIterator[Line]:
    """A client for that endpoint, with that key; nothing is asked yet."""
    base = endpoint.rstrip("/").removesuffix("/v1")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    timeout = httpx2.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
    async with httpx2.AsyncClient(headers=headers, timeout=timeout, trust_env=False) as client:
        yield Line(client, base)


def _pause(answer: httpx2.Response) -> float | None:
    """How long to wait before asking again; None where the answer is one, or the pause too long."""
    if answer.status_code != httpx2.codes.TOO_MANY_REQUESTS:
        return None
    told = answer.headers.get("retry-after", "1")
    seconds = float(told) if told.isdigit() else 1.0
    return seconds if seconds <= PATIENCE_SECONDS else None
