"""Raw values with the place they were written, and how much of them may be shown."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

HIDDEN = "(hidden)"
_SECRET_NAME = re.compile(
    r"(^|_)(TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?|API_?KEY|ACCESS_KEY|SECRET_KEY|PRIVATE_KEY)(_|$)", re.IGNORECASE
)
_NAMED_SECRET = re.compile(
    r"""(?i)([\w-]*(?:token|secret|passwo?r?d|api[_-]?key|access[_-]key)[\w-]*["']?\s*(?:[=:]\s*|\s)["']?)[^\s"']+"""
)
"""A secret within another value, after its name: `--api-key abc`, `HF_TOKEN=abc`."""
_SHORTEST_SECRET = 4
_LONGEST_SHOWN = 80


@dataclass(frozen=True)
class Raw:
    """A value as it was written; `layer` orders the places, the highest wins."""

    text: str
    where: str
    layer: int


@dataclass(frozen=True)
class Origin:
    """A value as it may be shown, and where it came from: `unified-config.env:12`, `environment`, `default`, ..."""

    value: str
    where: str


def is_secret(name: str) -> bool:
    """Whether a variable of that name holds something that must never be shown."""
    return bool(_SECRET_NAME.search(name))


class Redactor:
    """Hides secrets that were read so far, wherever they turn up in a text."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        found = {secret for secret in secrets if len(secret) >= _SHORTEST_SECRET}
        self._secrets = sorted(found, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return text

    @classmethod
    def of(cls, *sources: Mapping[str, str]) -> "Redactor":
        """A redactor that knows every value with a secret's name in these mappings."""
        return cls(value for source in sources for name, value in source.items() if is_secret(name))


def quoted(text: str) -> str:
    """A found value as one line of a message, cut to a readable length, without what is named like a secret."""
    told = _NAMED_SECRET.sub(rf"\1{HIDDEN}", text)
    return repr(told if len(told) <= _LONGEST_SHOWN else f"{told[:_LONGEST_SHOWN]}...")
