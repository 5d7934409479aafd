"""The usage that an engine tells in an answer, found without parsing the answer; or else an estimate."""

import json
import re
from collections.abc import Mapping
from json import JSONDecodeError
from typing import Any

from sparkctl.agents.core.events import Usage
from sparkctl.agents.core.history import CHARS_PER_TOKEN

MOST = 8_192
"""Bytes kept of a usage, whose end is not looked for: an engine's takes some hundred."""
MARK = re.compile(rb'"usage"\s{0,8}:\s{0,8}\{')
"""Inside a string of JSON the quotes would be escaped, so that no text of a model is taken for it."""
LONGEST_MARK = 32
"""Bytes."""
PICTURES = re.compile(rb"data:[\w.+;=/\\-]{0,99},[\w+/=\\-]*")
"""Told by their bytes they would take a hundred times the tokens that they take."""
DECODER = json.JSONDecoder()


class UsageReader:
    """Reads an answer as it passes by, for the last usage in it; `asked` is the body of the request."""

    def __init__(self, asked: bytes, *, stream: bool) -> None:
        self._asked, self._stream = asked, stream
        self._told = self._edge = b""
        self._bytes = self._events = 0

    def add(self, piece: bytes) -> None:
        """The next bytes."""
        self._bytes += len(piece)
        if self._stream:
            self._events += piece.count(b"data:")
        text = self._edge + piece
        self._edge = text[-LONGEST_MARK:]
        if found := [*MARK.finditer(text)]:
            self._told = text[found[-1].end() - 1 :][:MOST]
        elif self._told:
            self._told = (self._told + piece)[:MOST]

    def usage(self) -> Usage:
        """What the engine told, or an estimate: of the request by its size, of the answer by its events or its size.

        An engine that was left, or whose client left, tells nothing.
        """
        if told := _read(self._told):
            return told
        asked = len(PICTURES.sub(b"", self._asked)) // CHARS_PER_TOKEN
        return Usage(asked, self._events if self._stream else self._bytes // CHARS_PER_TOKEN)


def _read(text: bytes) -> Usage | None:
    try:
        found, _ = DECODER.raw_decode(text.decode(errors="replace"))
    except JSONDecodeError:
        return None
    counts = _count(found, "prompt_tokens", "input_tokens"), _count(found, "completion_tokens", "output_tokens")
    return None if counts == (None, None) else Usage(counts[0] or 0, counts[1] or 0)


def _count(found: Mapping[str, Any], *names: str) -> int | None:
    """The first of these members that is a number of tokens; engines' numbers are not trusted to be such."""
    return next((max(0, n) for name in names if isinstance(n := found.get(name), int)), None)
