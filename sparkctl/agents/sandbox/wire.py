"""What goes over the socket: one JSON object each way, its length before it as four bytes, the highest first."""

import asyncio
import json
import struct
from typing import Any

from sparkctl.agents.core.failure import Refused

MOST = 8 * 1024 * 1024
"""Longest object, in bytes."""
HEAD = struct.Struct(">I")


def frame(content: dict[str, Any]) -> bytes:
    """An object as it is sent. Raises Refused where it is too long."""
    body = json.dumps(content).encode()
    if len(body) > MOST:
        raise Refused(f"more than {MOST >> 20} MiB for the sandbox")
    return HEAD.pack(len(body)) + body


async def receive(reader: asyncio.StreamReader) -> dict[str, Any]:
    """The next object. Raises IncompleteReadError at the end, Refused for what is none."""
    (length,) = HEAD.unpack(await reader.readexactly(HEAD.size))
    if length > MOST:
        raise Refused(f"more than {MOST >> 20} MiB for the sandbox")
    try:
        content = json.loads(await reader.readexactly(length))
    except ValueError as error:
        raise Refused("no JSON was sent") from error
    if not isinstance(content, dict):
        raise Refused("a JSON object is expected")
    return content
