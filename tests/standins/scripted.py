"""Scripted: a model server that speaks OpenAI's protocol and says what it was told to say. It is no model.

`python -m standins.scripted --port 0` prints its base URL and answers by `routed`; tests give `serving` a script.
"""

import argparse
import asyncio
import hashlib
import json
import math
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

MODEL = "scripted"
DIMENSIONS = 64


@dataclass(frozen=True)
class Reply:
    """One answer: text in pieces, tool calls as (name, arguments), or a fault.

    `status` other than 200 is an HTTP error; `dies_after` breaks the connection after so many pieces of a stream;
    `delay` seconds pass before every piece.
    """

    text: str = ""
    calls: tuple[tuple[str, str], ...] = ()
    status: int = 200
    dies_after: int | None = None
    delay: float = 0.0
    tokens: tuple[int, int] = (10, 5)

    @property
    def pieces(self) -> list[str]:
        """The text as a stream brings it: word by word."""
        words = self.text.split(" ")
        return [word + " " for word in words[:-1]] + words[-1:] if self.text else []


Script = Callable[[dict[str, Any]], Reply]
"""From the body of a request to the answer."""


@dataclass
class Scripted:
    """A running server: where it is, and every body that it was sent."""

    url: str
    bodies: list[dict[str, Any]] = field(default_factory=list)
    open_streams: int = 0


def in_turn(*replies: Reply) -> Script:
    """These answers one after the other; the last one again and again."""
    left = list(replies)
    return lambda _body: left.pop(0) if len(left) > 1 else left[0]


def routed(body: dict[str, Any]) -> Reply:
    """Hand off to the agent whose name stands in the last message, else answer directly; then say it back."""
    said = next((one for one in reversed(body["messages"]) if one["role"] == "user"), {"content": ""})
    text = said["content"] if isinstance(said["content"], str) else json.dumps(said["content"])
    names = [tool["function"]["name"] for tool in body.get("tools", ())]
    handoffs = [name for name in names if name.startswith("transfer_to_")]
    if handoffs:
        wanted = [name for name in handoffs if name.removeprefix("transfer_to_") in text.lower()]
        return Reply(calls=(((wanted or [n for n in names if n == "answer_directly"] or handoffs)[0], "{}"),))
    return Reply(text=f"scripted answer to: {text}")


def embedding(text: str) -> list[float]:
    """A vector of unit length that depends on the words of the text: equal words, near vectors."""
    vector = [0.0] * DIMENSIONS
    for word in text.lower().split():
        digest = hashlib.sha256(word.encode()).digest()
        vector[digest[0] % DIMENSIONS] += 1 if digest[1] % 2 else -1
    length = math.sqrt(sum(x * x for x in vector)) or 1.0
    return [x / length for x in vector]


def create_app(script: Script, state: Scripted) -> FastAPI:
    """The server's application."""
    app = FastAPI()

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "tests", "created": 0}]}

    @app.post("/v1/embeddings")
    async def embeddings(request: Request) -> dict[str, Any]:
        body = await request.json()
        state.bodies.append(body)
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        data = [{"object": "embedding", "index": i, "embedding": embedding(t)} for i, t in enumerate(texts)]
        return {"object": "list", "data": data, "model": MODEL, "usage": {"prompt_tokens": 1, "total_tokens": 1}}

    @app.post("/v1/chat/completions")
    async def completions(request: Request) -> Response:
        body = await request.json()
        state.bodies.append(body)
        reply = script(body)
        if reply.status != 200:
            error = {"message": "scripted fault", "type": "scripted", "code": reply.status}
            return JSONResponse({"error": error}, reply.status)
        if body.get("stream"):
            return StreamingResponse(_stream(reply, body, state), media_type="text/event-stream")
        await asyncio.sleep(reply.delay)
        message = {"role": "assistant", "content": reply.text or None, "tool_calls": _calls(reply) or None}
        choice = {"index": 0, "message": message, "finish_reason": _finish(reply)}
        return JSONResponse(_envelope("chat.completion") | {"choices": [choice], "usage": _usage(reply)})

    return app


async def _stream(reply: Reply, body: dict[str, Any], state: Scripted) -> AsyncIterator[str]:
    state.open_streams += 1
    try:
        deltas: list[dict[str, Any]] = [{"content": piece} for piece in reply.pieces]
        deltas += [{"tool_calls": [call | {"index": i}]} for i, call in enumerate(_calls(reply))]
        for number, delta in enumerate(deltas):
            if reply.dies_after == number:
                raise ConnectionResetError
            if reply.delay:
                await asyncio.sleep(reply.delay)
            yield _chunk({"index": 0, "delta": {"role": "assistant"} | delta, "finish_reason": None})
        yield _chunk({"index": 0, "delta": {}, "finish_reason": _finish(reply)})
        if (body.get("stream_options") or {}).get("include_usage"):
            yield _line(_envelope("chat.completion.chunk") | {"choices": [], "usage": _usage(reply)})
        yield "data: [DONE]\n\n"
    finally:
        state.open_streams -= 1


def _chunk(choice: dict[str, Any]) -> str:
    return _line(_envelope("chat.completion.chunk") | {"choices": [choice]})


def _line(data: dict[str, Any]) -> str:
    return f"data: {json.dumps(data)}\n\n"


def _envelope(kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-scripted", "object": kind, "created": int(time.time()), "model": MODEL}


def _calls(reply: Reply) -> list[dict[str, Any]]:
    return [
        {"id": f"call_{time.monotonic_ns()}_{i}", "type": "function", "function": {"name": name, "arguments": given}}
        for i, (name, given) in enumerate(reply.calls)
    ]


def _finish(reply: Reply) -> str:
    return "tool_calls" if reply.calls else "stop"


def _usage(reply: Reply) -> dict[str, int]:
    read, written = reply.tokens
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


@contextmanager
def running(app: FastAPI) -> Iterator[str]:
    """Serve any application on a free port of loopback, in a thread, for the length of the block; its address."""
    server = uvicorn.Server(uvicorn.Config(app, "127.0.0.1", 0, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        if not thread.is_alive():
            raise RuntimeError("the server did not start")
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(60)
        if thread.is_alive():
            raise RuntimeError("the server did not end")


@contextmanager
def serving(script: Script = routed) -> Iterator[Scripted]:
    """A scripted model server for the length of the block; `url` ends in /v1."""
    state = Scripted("")
    with running(create_app(script, state)) as address:
        state.url = f"{address}/v1"
        yield state


def main() -> None:
    """Serve until ended, by `routed`."""
    options = argparse.ArgumentParser()
    options.add_argument("--port", type=int, default=0)
    options.add_argument("--host", default="127.0.0.1")
    wanted = options.parse_args()
    uvicorn.run(create_app(routed, Scripted("")), host=wanted.host, port=wanted.port, log_level="warning")


if __name__ == "__main__":
    main()
