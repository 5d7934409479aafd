"""The usage that an engine tells at the end of an answer, found without parsing the answer."""

import json
from collections.abc import Mapping
from json import JSONDecodeError
from typing import Any

from sparkctl.agents.core.events import Usage

TAIL = 8_192
"""Bytes kept of an answer's end: an engine's usage takes some hundred."""
MARK = b'"usage"'
"""Inside a string of JSON the quotes would be escaped, so that no text of a model is taken for it."""
DECODER = json.JSONDecoder()


class Tail:
    """The last bytes of an answer that passes by, and how many events it had, if it is a stream."""

    def __init__(self, *, stream: bool) -> None:
        self._stream = stream
        self._kept = b""
        self._events = 0

    def add(self, piece: bytes) -> None:
        """The next bytes."""
        if self._stream:
            self._events += piece.count(b"data:")
        self._kept = (self._kept + piece)[-TAIL:]

    def usage(self) -> Usage:
        """What the engine told. Where it told nothing, each event of a stream counts as a token that was written."""
        told = _last_usage(self._kept)
        return told if told is not None else Usage(0, self._events)


def _last_usage(text: bytes) -> Usage | None:
    at = text.rfind(MARK)
    while at >= 0:
        begin = text.find(b"{", at)
        if begin >= 0 and text[at + len(MARK) : begin].strip() == b":":
            return _read(text[begin:])
        at = text.rfind(MARK, 0, at)
    return None


def _read(text: bytes) -> Usage | None:
    try:
        found, _ = DECODER.raw_decode(text.decode(errors="replace"))
    except JSONDecodeError:
        return None
    return Usage(_count(found, "prompt_tokens", "input_tokens"), _count(found, "completion_tokens", "output_tokens"))


def _count(found: Mapping[str, Any], *names: str) -> int:
    """The first of these members that is a number of tokens; engines' numbers are not trusted to be such."""
    return next((max(0, n) for name in names if isinstance(n := found.get(name), int)), 0)
