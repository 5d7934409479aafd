"""The door before an engine that asks nobody for a key: it starts the engine, and admits who shows the key.

`api_door.py --listen ADDRESS:PORT --to PORT --key FILE --model NAME -- COMMAND...`: the engine listens on loopback, at
port `--to`, and serves one model, whatever name a request gives it: the door refuses other names. It lives as long as
the engine, ends with its status, and passes SIGTERM on. A request is written anew, one on each connection, so that
what the engine hears is what was judged here; the answer passes through as it comes.
"""

import argparse
import asyncio
import contextlib
import hmac
import json
import re
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

OPEN = frozenset({"/health", "/version", "/metrics", "/prometheus/metrics"})  # what a look may ask without the key
HEAD_BYTES, HEAD_SECONDS, PIECE = 65536, 30.0, 65536
LINGER_SECONDS = 5.0  # for a client that goes on sending what was refused already
BODY_BYTES = 256 << 20  # of a request that names a model, which is read before it is passed on: pictures and all
NAMED = re.compile(r"/v1/(?:chat/)?completions|/v1/responses|/v1/embeddings|/v1/messages")
DROPPED = {"connection", "keep-alive", "proxy-connection", "upgrade", "te", "trailer", "expect", "authorization"}
PHRASES = {
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    411: "Length Required",
    413: "Content Too Large",
    431: "Request Header Fields Too Large",
    502: "Bad Gateway",
    503: "Service Unavailable",
}
WORDS = {
    401: "the API key is missing or wrong",
    411: "a body needs a Content-Length",
    502: "the engine broke off",
    503: "the engine does not answer yet",
}
_LINE = re.compile(r"([A-Z]{1,16}) ((?:/|\*)[!-~]*) HTTP/1\.[01]")
_FIELD = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t -~\x80-\xff]*?)[ \t]*")


class Refused(Exception):
    """A request that goes no further; the status that it is answered with, and why."""

    def __init__(self, status: int, words: str = "") -> None:
        super().__init__(words or WORDS.get(status, PHRASES[status]))
        self.status = status


@dataclass(frozen=True)
class Request:
    """The head of a request; names of fields are in lower case, `length` is that of the body in bytes."""

    method: str
    target: str
    fields: tuple[tuple[str, str], ...]
    length: int

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    def values(self, name: str) -> list[str]:
        """All values of a field."""
        return [value for found, value in self.fields if found == name]

    def text(self) -> bytes:
        """As the engine hears it: no key, no second request on this connection."""
        lines = [f"{self.method} {self.target} HTTP/1.1", *(f"{n}: {v}" for n, v in self.fields if n not in DROPPED)]
        return "\r\n".join([*lines, "connection: close", "", ""]).encode("latin-1")


def parse(head: bytes) -> Request:
    """Read the head of a request strictly: two readers must not see two requests. Raises Refused."""
    line, *rest = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    start, fields = _LINE.fullmatch(line), [_FIELD.fullmatch(field) for field in rest]
    if not start or not all(fields):
        raise Refused(400)
    pairs = tuple((field[1].lower(), field[2]) for field in fields if field)
    request = Request(start[1], start[2], pairs, 0)
    lengths = request.values("content-length")
    if request.values("transfer-encoding"):
        raise Refused(411)
    if len(request.values("host")) != 1 or len(lengths) > 1 or not all(re.fullmatch(r"\d{1,15}", n) for n in lengths):
        raise Refused(400)
    return Request(start[1], start[2], pairs, int(lengths[0]) if lengths else 0)


def admits(request: Request, key: str) -> bool:
    """Whether a request may pass: with the key, as a look, or as a browser's preflight, which can send no key."""
    if request.path in OPEN or request.method == "OPTIONS":
        return True
    shown = "".join(request.values("authorization"))
    return hmac.compare_digest(shown.encode("latin-1"), f"Bearer {key}".encode())


def judge(body: bytes, model: str) -> None:
    """A request must name the served model, or an adapter of it (`NAME:ADAPTER`), or none. Raises Refused, as vLLM."""
    try:
        asked = json.loads(body)
    except ValueError:
        return  # the engine has the right words for that
    except RecursionError as error:
        raise Refused(400, "the body is nested too deep") from error
    name = asked.get("model") if isinstance(asked, dict) else None
    if isinstance(name, str) and name != model and not name.startswith(f"{model}:"):
        raise Refused(404, f"The model `{name}` does not exist.")


@dataclass(frozen=True)
class Door:
    """Where the engine listens on loopback, the key, and the name of the served model."""

    port: int
    key: str
    model: str

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a client: one request."""
        try:
            await self._pass(reader, writer)
        except Refused as refused:
            await _refuse(refused, reader, writer)
        except (asyncio.IncompleteReadError, asyncio.TimeoutError, ConnectionError):  # noqa: UP041 - differ in 3.10
            pass  # the client is gone
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), HEAD_SECONDS)
        except asyncio.LimitOverrunError as error:
            raise Refused(431) from error
        request = parse(head)
        if not admits(request, self.key):
            raise Refused(401)
        if "100-continue" in (value.lower() for value in request.values("expect")):
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        known = await self._known(request, reader)
        try:
            source, sink = await asyncio.open_connection("127.0.0.1", self.port, limit=HEAD_BYTES)
        except OSError as error:
            raise Refused(503) from error
        try:
            sink.write(request.text() + known)
            await _body(reader, sink, request.length - len(known))
            await _answer(reader, source, writer)
        finally:
            sink.close()

    async def _known(self, request: Request, reader: asyncio.StreamReader) -> bytes:
        """The body, where it must be read to judge the request; else nothing of it."""
        if request.method != "POST" or not NAMED.fullmatch(request.path):
            return b""
        if request.length > BODY_BYTES:
            raise Refused(413)
        body = await reader.readexactly(request.length)
        judge(body, self.model)
        return body


async def _body(reader: asyncio.StreamReader, sink: asyncio.StreamWriter, left: int) -> None:
    """Exactly the bytes that the head announced, and none of what may follow them."""
    while left:
        piece = await reader.read(min(left, PIECE))
        if not piece:
            raise ConnectionResetError
        left -= len(piece)
        sink.write(piece)
        await sink.drain()


async def _answer(client: asyncio.StreamReader, source: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass the answer on until it ends or the client goes: then the engine hears that nobody listens any more."""
    gone = asyncio.ensure_future(client.read(1))
    passing = asyncio.ensure_future(_pour(source, writer))
    await asyncio.wait((gone, passing), return_when=asyncio.FIRST_COMPLETED)
    if gone.done() and not passing.done() and gone.result():
        await passing  # a second request, which nobody reads
    for task in (gone, passing):
        task.cancel()
    results = await asyncio.gather(gone, passing, return_exceptions=True)
    if isinstance(results[1], Refused):
        raise results[1]


async def _pour(source: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The answer, which says that no other follows on this connection: a client would wait for it in vain."""
    try:
        head = await source.readuntil(b"\r\n\r\n")
    except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise Refused(502) from error
    start, *fields = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    kept = [
        field for field in fields if field.partition(b":")[0].strip().lower() not in (b"connection", b"keep-alive")
    ]
    writer.write(b"\r\n".join([start, *kept, b"connection: close", b"", b""]))
    while piece := await source.read(PIECE):
        writer.write(piece)
        await writer.drain()


async def _refuse(refused: Refused, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer, and hear the client out: closed on bytes that nobody read, the connection would be reset, answer too.

    Whoever goes on for too long is cut off.
    """
    with contextlib.suppress(ConnectionError, asyncio.TimeoutError):
        writer.write(_refusal(refused))
        writer.write_eof()
        await asyncio.wait_for(_ignore(reader), LINGER_SECONDS)


async def _ignore(reader: asyncio.StreamReader) -> None:
    while await reader.read(PIECE):
        pass


def _refusal(refused: Refused) -> bytes:
    status = refused.status
    body = json.dumps({"error": {"message": str(refused), "type": PHRASES[status].replace(" ", ""), "code": status}})
    head = f"HTTP/1.1 {status} {PHRASES[status]}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
    return f"{head}connection: close\r\n\r\n{body}".encode()


async def run(host: str, port: int, door: Door, command: list[str]) -> int:
    """Keep the door while the engine lives; answers with the engine's status, as a shell would say it."""
    server = await asyncio.start_server(door.answer, host, port, limit=HEAD_BYTES)
    engine = await asyncio.create_subprocess_exec(*command)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _tell, engine, number)
    status = await engine.wait()
    server.close()
    return status if status >= 0 else 128 - status


def _tell(engine: asyncio.subprocess.Process, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        engine.send_signal(number)


def main(argv: list[str]) -> int:
    """The status to end with; 78 where the key cannot be read, 98 where the port is taken, 127 without the command."""
    parser = argparse.ArgumentParser(prog="api_door.py")
    parser.add_argument("--listen", required=True)
    parser.add_argument("--to", type=int, required=True)
    parser.add_argument("--key", type=Path, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("command", nargs="+")
    options = parser.parse_args(argv)
    host, _, port = options.listen.rpartition(":")
    try:
        key = options.key.read_text().strip()
        if not key:
            raise OSError("it is empty")
    except OSError as error:
        print(f"sparkctl: the API key cannot be read: {error}", file=sys.stderr)
        return 78
    try:
        return asyncio.run(run(host, int(port), Door(options.to, key, options.model), options.command))
    except FileNotFoundError as error:
        print(f"sparkctl: the image lacks {error.filename}", file=sys.stderr)
        return 127
    except OSError as error:
        print(f"sparkctl: {error.strerror or error}", file=sys.stderr)
        return 98


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
