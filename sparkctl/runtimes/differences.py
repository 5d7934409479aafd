"""What differs between two lists of words, option by option: a word in the middle moves none of those behind it."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

MOST = 6
"""Differences of one field that are named; more are counted."""

_OPTION = re.compile(r"--?[A-Za-z]")


@dataclass(frozen=True)
class Part:
    """What belongs together: an option and its values, a variable and its value, a mount, or one word without a name.

    `name` pairs what was with what is wished; `head` is shown once for both, `text` for each.
    """

    name: str
    text: str
    head: str = ""

    def __str__(self) -> str:
        return f"{self.head} {self.text}".strip()


def differences(before: object, after: object) -> str:
    """`+ --added`, `- --removed`, `--option 1 -> 2`; for what is no list, `a -> b`."""
    if not isinstance(after, list) or not isinstance(before, list | None):
        return f"{_or_nothing(before)} -> {_or_nothing(after)}"
    said = list(_compare(_parts(before or []), _parts(after)))
    return ", ".join((*said[:MOST], *([f"and {len(said) - MOST} more"] if len(said) > MOST else [])))


def _or_nothing(value: object) -> str:
    return "nothing" if value in (None, "") else str(value)


def _parts(values: Sequence[object]) -> list[Part]:
    """Words are put together to options; pairs and mounts are parts already."""
    parts: list[Part] = []
    for value in values:
        if isinstance(value, dict):
            text = f"{value.get('source')}:{value.get('target')}{':ro' * bool(value.get('read_only'))}"
            parts.append(Part(str(value.get("target")), text))
        elif isinstance(value, list):
            parts.append(Part(str(value[0]), "=".join(map(str, value))))
        else:
            _take(parts, str(value))
    return parts


def _take(parts: list[Part], word: str) -> None:
    """Add one word: as an option, as a value of the option before it, or alone."""
    if _OPTION.match(word):
        name, equals, _ = word.partition("=")
        parts.append(Part(name, word) if equals else Part(name, "", head=word))
    elif parts and parts[-1].head:
        last = parts.pop()
        parts.append(Part(last.name, f"{last.text} {word}".strip(), last.head))
    else:
        parts.append(Part("", word))


def _compare(before: Sequence[Part], after: Sequence[Part]) -> Iterator[str]:
    """What is gone or came, as one change where a name, or the place of a word without one, tells that they belong."""
    gone: list[tuple[int, Part]] = []
    came: list[tuple[int, Part]] = []
    for number, (kind, a, b, c, d) in enumerate(SequenceMatcher(None, before, after, autojunk=False).get_opcodes()):
        if kind != "equal":
            gone += [(number, part) for part in before[a:b]]
            came += [(number, part) for part in after[c:d]]
    for place, old in gone:
        match = next((entry for entry in came if _belong(old, entry[1], here=place == entry[0])), None)
        if match:
            came.remove(match)
        yield _change(old, match[1]) if match else f"- {old}"
    yield from (f"+ {part}" for _, part in came)


def _belong(old: Part, new: Part, *, here: bool) -> bool:
    return old.name == new.name and (here or bool(old.name))


def _change(old: Part, new: Part) -> str:
    if old == new:
        return f"{old} stands elsewhere"
    head = f"{old.head} " if old.head else ""
    if "\n" in old.text + new.text:
        return f"{head}changed"
    return f"{head}{_or_nothing(old.text)} -> {_or_nothing(new.text)}"
