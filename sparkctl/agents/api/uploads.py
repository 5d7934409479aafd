"""`/uploads`: images of the user, for messages to name."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict

from sparkctl.agents.api.access import Caller, Home
from sparkctl.agents.api.multipart import file_body, one_file, pieces
from sparkctl.agents.core.failure import Unavailable
from sparkctl.agents.core.principal import Scope
from sparkctl.agents.core.tables import HEX_ID
from sparkctl.agents.images import uploads

router = APIRouter(prefix="/uploads", tags=["uploads"])
UploadId = Annotated[str, Path(pattern=HEX_ID, description="An id that /uploads gave.")]
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "private, no-store",
    "Content-Disposition": "inline",
}
"""The media type is the checked one, and a browser that takes the bytes for a page runs nothing of it."""


class UploadBody(BaseModel):
    """An upload: its media type is what the bytes are, its size is in bytes, width and height are in pixels."""

    model_config = ConfigDict(from_attributes=True)
    id: str
    media: str
    size: int
    width: int
    height: int
    created: float


@router.post("", status_code=201, openapi_extra=file_body("PNG, JPEG, WebP or GIF."))
async def upload(request: Request, caller: Caller, platform: Home) -> UploadBody:
    """Keep an image: one part named `file`. What it is, its bytes say; of a moving one, models see the first frame."""
    caller.require(Scope.CHAT)
    async with one_file(request) as file:
        kept = await uploads.store(platform, caller, pieces(file), file.content_type or "")
    return UploadBody.model_validate(kept)


@router.get("")
async def list_uploads(caller: Caller, platform: Home) -> list[UploadBody]:
    """Your images, the newest first."""
    caller.require(Scope.CHAT)
    return [UploadBody.model_validate(one) for one in await uploads.uploads_of(platform, caller)]


@router.get("/{upload_id}", response_class=FileResponse)
async def download(upload_id: UploadId, caller: Caller, platform: Home) -> FileResponse:
    """The bytes of an image of yours."""
    caller.require(Scope.CHAT)
    found = await uploads.find(platform, caller, upload_id)
    path = uploads.path_of(platform, found)
    if not path.is_file():
        raise Unavailable(f"the file of upload {found.id} is not on this node")
    return FileResponse(path, media_type=found.media, headers=HEADERS)


@router.delete("/{upload_id}", status_code=204)
async def delete_upload(upload_id: UploadId, caller: Caller, platform: Home) -> None:
    """Delete an image of yours."""
    caller.require(Scope.CHAT)
    await uploads.remove(platform, caller, upload_id)
    platform.journal.note(caller.user, "upload.delete", upload_id)
