"""One file of a multipart request; `envelope.BodyLimit` has limited how much of the body is read at all."""

import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import Request
from starlette.datastructures import UploadFile

from sparkctl.agents.core.failure import Refused, Unavailable

PIECE = 256 * 1024


def file_body(description: str) -> dict[str, Any]:
    """For `openapi_extra` of a route that reads its body by `one_file`."""
    field = {"type": "string", "format": "binary", "description": description}
    schema = {"type": "object", "required": ["file"], "properties": {"file": field}}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


@asynccontextmanager
async def one_file(request: Request) -> AsyncIterator[UploadFile]:
    """The part named `file`, on disk once it is large.

    Raises Refused for anything else, HTTPException; Unavailable where the disk has no room, also for what the block
    writes.
    """
    try:
        async with request.form(max_files=1, max_fields=8) as form:
            file = form.get("file")
            if not isinstance(file, UploadFile):
                raise Refused("send multipart/form-data with one part named file, which has a filename")
            yield file
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise Unavailable("there is no room left on the disk of this node") from error


async def pieces(file: UploadFile) -> AsyncIterator[bytes]:
    """The file, a piece at a time."""
    while piece := await file.read(PIECE):
        yield piece
