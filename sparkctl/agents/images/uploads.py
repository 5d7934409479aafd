"""Uploads: pictures of users, one file each in the data folder, one row each in the database."""

import asyncio
import base64
import binascii
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from sparkctl.agents.core.failure import Refused, TooLarge, Unavailable, Unknown
from sparkctl.agents.core.platform import Platform
from sparkctl.agents.core.principal import Principal
from sparkctl.agents.core.storing import ensure_room
from sparkctl.agents.core.tables import Upload, new_id
from sparkctl.agents.images.check import FORMATS, NOT_A_PICTURE, Picture, check, first_frame

ANY_MEDIA = ("", "application/octet-stream", "image/jpg", *FORMATS)
"""What a client may call a picture; what it is, its bytes say."""


def most_bytes(platform: Platform) -> int:
    """The largest upload."""
    return platform.document.agents.limits.upload_mib * 2**20


async def store(
    platform: Platform, principal: Principal, data: AsyncIterator[bytes] | bytes, declared: str = ""
) -> Upload:
    """Keep a picture, one of the same bytes once. A stream is read no further than the limit, never held in memory.

    Raises Refused for what is no picture, TooLarge for too many bytes or pixels, and where the user keeps too much.
    """
    if declared.partition(";")[0].strip().lower() not in ANY_MEDIA:
        raise Refused(f"{declared[:100]} is not taken: send PNG, JPEG, WebP or GIF")
    upload = Upload(id=new_id(), user=principal.user)
    folder = platform.data / "uploads"
    folder.mkdir(exist_ok=True, mode=0o700)
    path = folder / f".{upload.id}"
    try:
        upload.size, upload.sha256 = await _write(path, _stream(data), most_bytes(platform))
        picture = await asyncio.to_thread(_check, path)
        upload.media, upload.width, upload.height = picture.media, picture.width, picture.height
        async with platform.database.begin() as session:
            kept = await _held(session, upload)
            if kept is None:
                await ensure_room(session, upload.user, upload.size, platform.document.agents.limits)
                session.add(kept := upload)
            path.replace(folder / kept.id)
    except BaseException:
        path.unlink(missing_ok=True)
        (folder / upload.id).unlink(missing_ok=True)
        raise
    return kept


async def _held(session: AsyncSession, upload: Upload) -> Upload | None:
    """The same image of the same user, if it is there; nobody deletes it while the transaction goes on."""
    same = update(Upload).where(Upload.user == upload.user, Upload.sha256 == upload.sha256).values(size=Upload.size)
    found: Upload | None = (await session.scalars(same.returning(Upload))).first()
    return found


async def find(platform: Platform, principal: Principal, upload_id: str) -> Upload:
    """One of the user's uploads. Raises Unknown."""
    query = select(Upload).where(Upload.user == principal.user, Upload.id == upload_id)
    async with platform.database.begin() as session:
        found = (await session.scalars(query)).first()
    if found is None:
        raise Unknown(f"no upload of yours has the id {upload_id[:64]}")
    return found


async def uploads_of(platform: Platform, principal: Principal) -> list[Upload]:
    """All of the user's uploads, the newest first."""
    query = select(Upload).where(Upload.user == principal.user).order_by(Upload.created.desc(), Upload.id)
    async with platform.database.begin() as session:
        return list((await session.scalars(query)).all())


async def remove(platform: Platform, principal: Principal, upload_id: str) -> None:
    """Delete an upload, row and file. Raises Unknown."""
    found = await find(platform, principal, upload_id)
    async with platform.database.begin() as session:
        await session.execute(delete(Upload).where(Upload.user == principal.user, Upload.id == found.id))
    path_of(platform, found).unlink(missing_ok=True)


def path_of(platform: Platform, upload: Upload) -> Path:
    """The file of an upload: its name is the id that the database gave, never a word of a user's."""
    return platform.data / "uploads" / upload.id


async def read(platform: Platform, upload: Upload) -> bytes:
    """The bytes of an upload. Raises Unavailable where its file is not in this process's data folder."""
    return await asyncio.to_thread(_read, platform, upload)


async def data_url(platform: Platform, principal: Principal, upload_id: str) -> str:
    """An upload as a model gets it: `data:MEDIA;base64,...`, of a moving picture the first frame.

    Raises Unknown, Refused, Unavailable.
    """
    upload = await find(platform, principal, upload_id)
    return await asyncio.get_running_loop().run_in_executor(platform.decoder, _url_of, platform, upload)


async def from_data_url(platform: Platform, principal: Principal, url: str) -> Upload:
    """Keep the picture of a data URL. Any other URL is refused. Raises Refused, TooLarge."""
    head, comma, body = url.partition(",")
    media, _, encoding = head.removeprefix("data:").partition(";")
    if not (head.startswith("data:") and comma and encoding == "base64"):
        raise Refused("an image is sent as data:image/png;base64,... or as the id of an upload; URLs are not followed")
    most = most_bytes(platform)
    if len(body) * 3 // 4 > most + 2:
        raise too_large(most)
    try:
        data = base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused("the image's data URL is not valid base64") from error
    return await store(platform, principal, data, media)


def too_large(most: int) -> TooLarge:
    """The failure of more bytes than are taken."""
    return TooLarge(f"an image may have at most {most / 2**20:g} MiB")


async def _stream(data: AsyncIterator[bytes] | bytes) -> AsyncIterator[bytes]:
    if isinstance(data, bytes):
        yield data
        return
    async for piece in data:
        yield piece


async def _write(path: Path, pieces: AsyncIterator[bytes], most: int) -> tuple[int, str]:
    """Size and SHA-256 of what was written. Raises TooLarge as soon as there is too much, Unavailable."""
    size, digest = 0, hashlib.sha256()
    try:
        with path.open("xb") as file:
            async for piece in pieces:
                size += len(piece)
                if size > most:
                    raise too_large(most)
                digest.update(piece)
                await asyncio.to_thread(file.write, piece)
    except OSError as error:
        raise Unavailable(f"the upload cannot be kept: {error.strerror}") from error
    return size, digest.hexdigest()


def _read(platform: Platform, upload: Upload) -> bytes:
    try:
        return path_of(platform, upload).read_bytes()
    except OSError as error:
        raise Unavailable(f"the file of upload {upload.id} cannot be read: {error.strerror}") from error


def _url_of(platform: Platform, upload: Upload) -> str:
    data = _read(platform, upload)
    still = first_frame(data, upload.media)
    media = "image/png" if still else upload.media
    return f"data:{media};base64,{base64.b64encode(still or data).decode()}"


def _check(path: Path) -> Picture:
    if path.stat().st_size == 0:
        raise Refused(NOT_A_PICTURE)
    with path.open("rb") as file:
        return check(file)
