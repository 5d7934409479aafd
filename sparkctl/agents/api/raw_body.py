"""The body of a raw request: read as far as the name of its model, and otherwise left as it is.

It is read whole only where it may hold something that its engine must not get.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

from sparkctl.agents.core.failure import Refused

DECODER = json.JSONDecoder()
BLANK = re.compile(r"[ \t\n\r]*")
MOST_PARTS = 1_000_000
"""Of a body's lists and objects, told by their signs: each takes up to 30 times its bytes once it is read."""
MEDIA = frozenset({"image_url", "audio_url", "video_url", "file_url", "image", "audio", "video"})
"""Members by which engines are told to fetch: vLLM follows any address and its redirects, SGLang opens files too.

Those without `_url` are SGLang's, of what it embeds.
"""
SIGNS = ("_url", '"image"', '"audio"', '"video"', "\\u")
"""A body without all of these has none of them: only `\\u` could hide a letter of a name."""
MODEL = re.compile('"model"', re.IGNORECASE)
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


def refuse_unsafe(text: str) -> None:
    """Refuse a body that has an engine fetch something: it stands where the cluster's own services can be reached.

    And one that names its model twice, in whichever case of letters: Ollama takes the last of them, which is not the
    one that was looked up. Raises Refused.
    """
    if not any(sign in text for sign in SIGNS) and len(MODEL.findall(text)) == 1:
        return
    try:
        members = json.loads(text, object_pairs_hook=_checked)
    except (ValueError, RecursionError) as error:
        raise Refused(SHAPE) from error
    if sum(name.lower() == "model" for name, _ in members) > 1:
        raise Refused("the body names the model twice")


def _checked(members: list[tuple[str, Any]]) -> tuple[tuple[str, Any], ...]:
    for name, value in members:
        if name in MEDIA and not all(one.startswith("data:") for one in _addresses(value)):
            raise Refused(FETCHED.format(name))
    return tuple(members)


def _addresses(value: Any) -> list[str]:
    """What such a member names: itself, its `url`, or each of a list."""
    if isinstance(value, list):
        return [one for inner in value for one in _addresses(inner)]
    inner = [one for key, one in value if key == "url"] if isinstance(value, tuple) else [value]
    return [one for one in inner if isinstance(one, str)]


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
