"""Reads an env file as a shell would source it, with line numbers; refuses what only a shell can do."""

import io
import re
from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sparkctl.config.laptop import read_text
from sparkctl.errors import Problem

if TYPE_CHECKING:
    from dotenv.parser import Binding

LARGEST = 1 << 20
"""Bytes; an env file beyond this is not one."""
LONGEST = 1 << 15
"""Characters of one expanded value."""
DEEPEST = 8
"""Expansions within the default of another."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
SHOWABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,39}")
"""Names that may be repeated in a message; anything else might be a value that lost its name."""
_REFERENCE = re.compile(r"\\\$|\$\{(?P<braced>[A-Za-z_]\w*)(?P<default>:?-)?|\$(?P<plain>[A-Za-z_]\w*)|\$[({]|`")
_ACCEPTED = "NAME=value, one per line; quotes around a value with spaces or #"
_EXPANDED = "$NAME, ${NAME} and ${NAME:-default}; '...' keeps a value as it is"


@dataclass(frozen=True)
class Assignment:
    """One line of an env file: `value` is expanded, `where` is `file:line`."""

    name: str
    value: str
    where: str


@dataclass(frozen=True)
class EnvFile:
    """What a file says; `used` are the names that its values refer to."""

    assignments: tuple[Assignment, ...] = ()
    problems: tuple[Problem, ...] = ()
    used: frozenset[str] = frozenset()


def read(path: Path, label: str, known: Mapping[str, str]) -> EnvFile:
    """The file at `path`, called `label` in messages; `known` holds the variables that its values may refer to."""
    text = read_text(path, label, LARGEST)
    if isinstance(text, Problem):
        return EnvFile(problems=(text,))
    return parse(text, label, known)


def parse(text: str, label: str, known: Mapping[str, str]) -> EnvFile:
    """The assignments of a text in order; later lines may refer to earlier ones. No problem shows a value."""
    from dotenv.parser import parse_stream

    lines = _Lines(label, known)
    for binding in parse_stream(io.StringIO(text, newline="")):
        if binding.key is not None or binding.error:
            lines.add(binding)
    return EnvFile(tuple(lines.found.values()), tuple(lines.problems), frozenset(lines.used))


class _Lines:
    """The assignments of a file so far."""

    def __init__(self, label: str, known: Mapping[str, str]) -> None:
        self.label = label
        self.found: dict[str, Assignment] = {}
        self.problems: list[Problem] = []
        self.used: set[str] = set()
        self._values: dict[str, str] = {}
        self._scope = ChainMap(self._values, dict(known))

    def add(self, binding: "Binding") -> None:
        """Add one line, or say what is wrong with it."""
        where = f"{self.label}:{_line(binding.original.string, binding.original.line)}"
        name, value = binding.key, binding.value
        shown = name if name and SHOWABLE.fullmatch(name) else "line"
        if name is None or value is None or not _NAME.fullmatch(name):
            self.problems.append(Problem(where, shown, "not an assignment", _ACCEPTED))
            return
        if "\n" in value or "\r" in value:
            self.problems.append(Problem(where, shown, "a value of several lines, or an open quote", _ACCEPTED))
            return
        if earlier := self.found.get(name):
            self.problems.append(Problem(where, shown, f"set already at {earlier.where}", "one line per name"))
        if not _is_literal(binding.original.string):
            value = self._expanded(value, where, shown)
        self.found[name] = Assignment(name, value, where)
        self._values[name] = value

    def _expanded(self, value: str, where: str, shown: str) -> str:
        expansion = Expansion(self._scope)
        expanded = expansion(value)
        self.used |= expansion.used
        self.problems += [Problem(where, shown, fault, _EXPANDED) for fault in expansion.faults]
        return expanded


class Expansion:
    """Expands the variables of one value; `faults` says what could not be, `used` which names were asked for."""

    def __init__(self, scope: Mapping[str, str]) -> None:
        self.scope = scope
        self.faults: list[str] = []
        self.used: set[str] = set()
        self._depth = 0

    def __call__(self, text: str) -> str:
        self._depth += 1
        expanded = self._all(text) if self._depth <= DEEPEST else self._fault("expansions nested too deep")
        self._depth -= 1
        return expanded if len(expanded) <= LONGEST else self._fault("a value that is too long")

    def _fault(self, what: str) -> str:
        self.faults.append(what)
        return ""

    def _all(self, text: str) -> str:
        parts, at = [], 0
        while match := _REFERENCE.search(text, at):
            parts.append(text[at : match.start()])
            expanded, at = self._one(text, match)
            parts.append(expanded)
        return "".join((*parts, text[at:]))

    def _one(self, text: str, match: re.Match[str]) -> tuple[str, int]:
        """The text that replaces one reference, and where to go on."""
        if match[0] == r"\$":
            return "$", match.end()
        if plain := match["plain"]:
            return self._value(plain, None), match.end()
        if (name := match["braced"]) is None:
            return self._fault("a command or an expansion that needs a shell"), len(text)
        end = _closing_brace(text, match.end())
        inside = text[match.end() : end]
        if end == len(text) or (inside and not match["default"]):
            return self._fault("an expansion that needs a shell, or without its closing brace"), len(text)
        default = inside if match["default"] else None
        return self._value(name, default, empty_counts=match["default"] != ":-"), end + 1

    def _value(self, name: str, default: str | None, *, empty_counts: bool = True) -> str:
        self.used.add(name)
        value = self.scope.get(name)
        if value or (value is not None and (empty_counts or default is None)):
            return value
        if default is not None:
            return self(default)
        shown = name if SHOWABLE.fullmatch(name) else "a variable"
        return self._fault(f"refers to {shown}, which is not set")


def _closing_brace(text: str, start: int) -> int:
    """Index of the brace that closes an expansion opened before `start`; the text's length where there is none."""
    depth = 1
    for at in range(start, len(text)):
        depth += (text[at] == "{" and text[at - 1] == "$") - (text[at] == "}")
        if not depth:
            return at
    return len(text)


def _is_literal(line: str) -> bool:
    """Whether the value stands in single quotes, where a shell expands nothing."""
    return line.partition("=")[2].lstrip().startswith("'")


def _line(original: str, line: int) -> int:
    """The line of the assignment itself; the parser counts from the blank lines before it."""
    blank = original[: len(original) - len(original.lstrip())]
    return line + len(re.findall(r"\r\n|\n|\r", blank))
