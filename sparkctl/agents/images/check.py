"""What a picture is, by its own first bytes: nothing is decoded before its size in pixels is known to be harmless."""

import struct
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

from PIL import Image

from sparkctl.agents.core.failure import Refused, TooLarge

MOST_PIXELS = 40_000_000
"""Of one picture, as its header has it: 160 MB once decoded."""
NOT_A_PICTURE = "the file is no PNG, JPEG, WebP or GIF by its first bytes (SVG and other kinds are not taken)"
BROKEN = (OSError, ValueError, SyntaxError, struct.error, Image.DecompressionBombError)
"""What Pillow raises for files that are not what their header says."""
FORMATS = {"image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WEBP", "image/gif": "GIF"}
"""The media types that are taken, with Pillow's name of each."""


@dataclass(frozen=True)
class Picture:
    """A checked picture: its media type, and its size in pixels."""

    media: str
    width: int
    height: int


def check(file: BinaryIO) -> Picture:
    """Read the header. Raises Refused for what is no picture, TooLarge above `MOST_PIXELS`.

    Our own reading of the header comes first, because Pillow's of WebP makes room for the whole canvas; Pillow's has
    to agree with it, because it is what decodes later, here and in the engines.
    """
    file.seek(0)
    try:
        picture = _by_header(file.read(32), file)
    except struct.error as error:
        raise Refused("the picture ends within its header") from error
    if not (picture.width and picture.height):
        raise Refused("the picture has no pixels")
    _bear(picture.width, picture.height)
    with _opened(file, picture.media) as image:
        if image.size != (picture.width, picture.height):
            raise Refused("the picture names two different sizes")
    return picture


def first_frame(data: bytes, media: str) -> bytes | None:
    """The first frame as PNG where the picture moves, else None. Raises Refused, TooLarge."""
    with _opened(BytesIO(data), media) as image:
        try:
            if not getattr(image, "is_animated", False):
                return None
            out = BytesIO()
            image.convert("RGBA").save(out, "PNG")
        except BROKEN as error:
            raise Refused("the picture cannot be decoded") from error
    return out.getvalue()


def facts(data: bytes, media: str) -> dict[str, object]:
    """What the file says of itself beside its size: colour mode, frames, resolution, EXIF. Raises Refused."""
    from PIL.ExifTags import TAGS

    with _opened(BytesIO(data), media) as image:
        try:
            exif = {TAGS.get(tag, str(tag)): str(value)[:200] for tag, value in image.getexif().items()}
            found = {"mode": image.mode, "frames": getattr(image, "n_frames", 1), "dpi": image.info.get("dpi")}
        except BROKEN as error:
            raise Refused("the picture's metadata cannot be read") from error
    return {name: str(value) for name, value in found.items() if value} | ({"exif": exif} if exif else {})


def _bear(width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise TooLarge(f"the picture has {width} x {height} pixels; at most {MOST_PIXELS // 10**6} million are taken")


def _opened(file: BinaryIO, media: str) -> Image.Image:
    """Pillow's view of the file, not decoded. Raises Refused, TooLarge."""
    file.seek(0)
    try:
        image = Image.open(file, formats=[FORMATS[media]])
    except BROKEN as error:
        raise Refused(f"the file begins as {media}, and then is not") from error
    _bear(*image.size)
    return image


def _by_header(head: bytes, file: BinaryIO) -> Picture:
    """Sizes as the formats define them: PNG 11.2.2, GIF89a 18, RFC 9649 2.3 to 2.7, ITU-T T.81 B.2.2."""
    if head.startswith(b"\x89PNG\r\n\x1a\n") and head[12:16] == b"IHDR":
        return Picture("image/png", *struct.unpack_from(">II", head, 16))
    if head.startswith((b"GIF87a", b"GIF89a")):
        return Picture("image/gif", *struct.unpack_from("<HH", head, 6))
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return Picture("image/webp", *_webp(head))
    if head.startswith(b"\xff\xd8\xff"):
        return Picture("image/jpeg", *_jpeg(file))
    raise Refused(NOT_A_PICTURE)


def _webp(head: bytes) -> tuple[int, int]:
    kind = head[12:16]
    if kind == b"VP8X" and len(head) >= 30:
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if kind == b"VP8L" and head[20:21] == b"\x2f":
        (bits,) = struct.unpack_from("<I", head, 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 " and head[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", head, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise Refused(NOT_A_PICTURE)


def _jpeg(file: BinaryIO) -> tuple[int, int]:
    """From segment to segment up to the frame header."""
    file.seek(2)
    while True:
        marker, kind = struct.unpack(">BB", file.read(2))
        while kind == 0xFF:  # fill bytes
            (kind,) = struct.unpack(">B", file.read(1))
        if marker != 0xFF or kind in (0xD9, 0xDA):
            raise Refused("the JPEG has no frame header")
        (length,) = struct.unpack(">H", file.read(2))
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            _, height, width = struct.unpack(">BHH", file.read(5))
            return width, height
        if length < 2:
            raise Refused("the JPEG has a segment without a length")
        file.seek(length - 2, 1)
