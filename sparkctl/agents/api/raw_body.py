"""The body of a raw request: read as far as the name of its model, and otherwise left as it is."""

import json
import re
from dataclasses import dataclass
from typing import Any

from sparkctl.agents.core.failure import Refused

DECODER = json.JSONDecoder()
BLANK = re.compile(r"[ \t\n\r]*")
MOST_PARTS = 1_000_000
"""Of a body's lists and objects, told by their signs: each takes up to 30 times its bytes once it is read."""
MEDIA = frozenset({"image_url", "audio_url", "video_url", "file_url"})
"""Members by which engines are told to fetch: vLLM follows any address and its redirects, SGLang opens files too."""
FETCHED = "images and other media are sent as data: URLs; engines fetch nothing for clients, so {} is refused"
SHAPE = 'the body must be a JSON object with "model", the name of a model of GET /v1/models'


@dataclass(frozen=True)
class RawBody:
    """The text of a body; `model` stands, with its quotes, in `text[begin:end]`."""

    text: str
    model: str
    begin: int
    end: int

    def renamed(self, name: str) -> bytes:
        """The bytes as they came, with that name of the model."""
        if name == self.model:
            return self.text.encode()
        return f"{self.text[: self.begin]}{json.dumps(name)}{self.text[self.end :]}".encode()


def read_raw(body: bytes) -> RawBody:
    """Find `model` among the members of the outermost object; what stands behind it is not read. Raises Refused."""
    try:
        text = body.decode()
        if sum(map(text.count, ",[{")) > MOST_PARTS:
            raise Refused(f"the body has more than {MOST_PARTS} parts")
        return _scan(text)
    except (ValueError, RecursionError) as error:
        raise Refused(SHAPE) from error


def refuse_addresses(text: str) -> None:
    """Refuse a body that has an engine fetch something: it stands where the cluster's own services can be reached.

    Only a body that may name such a member is read. Raises Refused.
    """
    if "_url" not in text and "\\u" not in text:
        return
    try:
        json.loads(text, object_pairs_hook=_checked)
    except (ValueError, RecursionError) as error:
        raise Refused(SHAPE) from error


def _checked(members: list[tuple[str, Any]]) -> tuple[tuple[str, Any], ...]:
    for name, value in members:
        if name in MEDIA:
            inner = [one for key, one in value if key == "url"] if isinstance(value, tuple) else [value]
            if any(isinstance(one, str) and not one.startswith("data:") for one in inner):
                raise Refused(FETCHED.format(name))
    return tuple(members)


def _scan(text: str) -> RawBody:
    at = _after(text, 0, "{")
    while True:
        name, at = DECODER.raw_decode(text, at)
        begin = _after(text, at, ":")
        value, end = DECODER.raw_decode(text, begin)
        if name == "model":
            if not isinstance(value, str):
                raise Refused(SHAPE)
            return RawBody(text, value, begin, end)
        at = _after(text, end, ",")


def _after(text: str, at: int, sign: str) -> int:
    """Behind that sign, which must be the next, and behind white space. Raises ValueError."""
    at = _blank(text, at)
    if not text.startswith(sign, at):
        raise ValueError
    return _blank(text, at + 1)


def _blank(text: str, at: int) -> int:
    found = BLANK.match(text, at)
    return found.end() if found else at
