"""Pictures to test with, drawn here."""

import struct
import zlib
from collections.abc import Sequence
from io import BytesIO

from PIL import Image

COLOURS = ("red", "green", "blue")


def picture(kind: str = "PNG", size: tuple[int, int] = (4, 3), colour: str = "red") -> bytes:
    """A still picture of one colour."""
    out = BytesIO()
    Image.new("RGB", size, colour).save(out, kind)
    return out.getvalue()


def moving(kind: str, colours: Sequence[str] = COLOURS) -> bytes:
    """A picture whose frames have these colours."""
    out = BytesIO()
    first, *others = [Image.new("RGB", (4, 3), colour) for colour in colours]
    first.save(out, kind, save_all=True, append_images=others)
    return out.getvalue()


def png_that_says(width: int, height: int) -> bytes:
    """A PNG of a hundred bytes whose header names that size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    chunks = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
