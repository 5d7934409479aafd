"""What the reader's terminal can show, and the marks that are drawn on it."""

import os
import re
import shutil
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TextIO

CONTROL_CATEGORIES = ("Cc", "Cf", "Cs")
"""Unicode categories that can move a cursor, reverse text or break an encoder: a node's words must not."""

ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
"""Control sequences of ECMA-48: CSI, OSC and the two-byte ones; dropped whole, colours of a log included."""


@dataclass(frozen=True)
class Glyphs:
    """The marks of one alphabet."""

    create: str
    change: str
    remove: str
    later: str
    ok: str
    blocked: str
    bar: str
    dots: str
    dot: str
    spinner: str
    """A name in rich's table of spinners."""


UNICODE = Glyphs("+", "~", "-", "?", "✓", "✗", "│", "…", "·", "dots")
ASCII = Glyphs("+", "~", "-", "?", "ok", "x", "|", "...", "-", "line")


@dataclass(frozen=True)
class Look:
    """How to write on one stream. `width` is in columns; 0 folds nothing, for a reader that is a program."""

    colour: bool = False
    live: bool = False
    width: int = 0
    glyphs: Glyphs = UNICODE


def look_at(stream: TextIO, *, no_color: bool = False, environ: Mapping[str, str] = os.environ) -> Look:
    """What that stream can show: colour, folding and redrawing only on a terminal, marks as its locale allows."""
    glyphs = UNICODE if _speaks_unicode(stream, environ) else ASCII
    if not stream.isatty():
        return Look(glyphs=glyphs)
    dumb = environ.get("TERM", "") in ("", "dumb")
    colour = not (dumb or no_color or environ.get("NO_COLOR"))
    return Look(colour, not dumb, shutil.get_terminal_size().columns, glyphs)


def clean(text: str) -> str:
    """Text without anything that could steer a terminal; line ends stay, tabs become spaces."""
    text = ESCAPES.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    kept = (c if c == "\n" or unicodedata.category(c) not in CONTROL_CATEGORIES else "" for c in text.expandtabs(4))
    return "".join(kept)


def _speaks_unicode(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """The stream's encoding alone does not tell: under LC_ALL=C, Python writes UTF-8 all the same (PEP 540)."""
    locale = environ.get("LC_ALL") or environ.get("LC_CTYPE") or environ.get("LANG") or "UTF-8"
    encoding = (getattr(stream, "encoding", "") or "UTF-8").upper().replace("-", "")
    return encoding == "UTF8" and "UTF8" in locale.upper().replace("-", "")
