"""From bytes to text: byte order marks, UTF-8, what a page says of itself, Windows-1252."""

import codecs
import re

from sparkctl.agents.core.failure import Refused

MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
"""UTF-32 before UTF-16: its mark begins with the other's."""
CHARSET = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?([A-Za-z0-9_-]{1,40})", re.I)
HEAD = 4096
"""How far into a page its charset is looked for; HTML asks for the first 1024 bytes."""
CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
MOST_CONTROL = 0.01
"""Above this part of control characters it is no text."""


def decode(content: bytes, *, page: bool = False) -> str:
    """The text, with `\\n` at the ends of lines and without control characters. Raises Refused for what is no text."""
    if not content.strip():
        raise Refused("the document is empty")
    text = _decoded(content, page=page)
    found = len(CONTROL.findall(text))
    if "\0" in text or found > MOST_CONTROL * len(text):
        raise Refused("the document is no text: it has binary content")
    return clean(text)


def clean(text: str) -> str:
    """Text that every database and index takes: no NUL or other control characters, no half characters."""
    whole = text.encode("utf-8", "replace").decode("utf-8")
    return CONTROL.sub("", whole.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n"))


def _decoded(content: bytes, *, page: bool) -> str:
    said = CHARSET.search(content[:HEAD]) if page else None
    for mark, encoding in MARKS:
        if content.startswith(mark):
            return _exactly(content[len(mark) :], encoding)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return _exactly(content, _known(said[1].decode()) if said else "cp1252")


def _known(encoding: str) -> str:
    try:
        return codecs.lookup(encoding).name
    except LookupError:
        return "cp1252"


def _exactly(content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding)
    except (UnicodeError, LookupError) as error:  # LookupError: a codec from bytes to bytes, which is no encoding
        raise Refused("the document is no text: neither UTF-8, UTF-16 nor Windows-1252 can be read in it") from error
