"""Lines of the log: one JSON object each, with the request that they belong to; no key, no message of a user."""

import itertools
import json
import logging
import re
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

REQUEST: ContextVar[str] = ContextVar("request", default="")
SECRET = re.compile(r"sk-spark-[\w-]+|eyJ[\w-]+\.[\w-]+\.[\w-]*|(?i:(?<=bearer )[^\s'\"]+)")
"""What looks like a key or a token: the last defence, as nothing of ours writes one."""
FIELDS = ("method", "route", "status", "milliseconds", "user", "client")
"""What a line may carry beside its sentence, by `extra`."""
KEPT = 2_000
"""Lines that a process remembers."""
FORMATTER = logging.Formatter()


def current_request() -> str:
    """The id of the request that this code works for; empty outside of one."""
    return REQUEST.get()


class JsonLines(logging.Formatter):
    """One object a line: at (UTC), level, logger, message, request_id, and what `extra` brought."""

    def format(self, record: logging.LogRecord) -> str:
        """A line without its end."""
        return json.dumps(_line(record), ensure_ascii=False)


class Remembered(logging.Handler):
    """The newest lines of this process, for `/logs`."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: deque[tuple[int, dict[str, Any]]] = deque(maxlen=KEPT)
        self._numbers = itertools.count(1)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line, with its number."""
        self._lines.append((record.levelno, {"number": next(self._numbers), **_line(record)}))

    def newest(self, level: int, before: int, limit: int) -> list[dict[str, Any]]:
        """The newest first, of that level or above; `before` is a number, 0 for none."""
        wanted = (
            line for rank, line in reversed(list(self._lines)) if rank >= level and not 0 < before <= line["number"]
        )
        return list(itertools.islice(wanted, limit))


@contextmanager
def remembering() -> Iterator[Remembered]:
    """What is logged during the block."""
    handler = Remembered()
    logging.root.addHandler(handler)
    try:
        yield handler
    finally:
        logging.root.removeHandler(handler)


def _line(record: logging.LogRecord) -> dict[str, Any]:
    at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    line = {
        "at": f"{at}.{int(record.msecs):03d}Z",
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": hidden(record.getMessage()),
    }
    if request := current_request():
        line["request_id"] = request
    line |= {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
    if record.exc_info:
        line["exception"] = hidden(FORMATTER.formatException(record.exc_info))
    return line


def hidden(text: str) -> str:
    """The text without what looks like a secret."""
    return SECRET.sub("…", text)


def set_up(level: str = "INFO") -> None:
    """Every line goes to standard error as JSON: ours from `level`, those of libraries from WARNING."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(handlers=[handler], level="WARNING", force=True)
    logging.getLogger("sparkctl").setLevel(level)
