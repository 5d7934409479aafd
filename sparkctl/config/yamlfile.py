"""Reads a YAML file as plain data, keeping the line and the text of every value for messages."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode

from sparkctl.config.laptop import read_text
from sparkctl.errors import Problem

LARGEST = 1 << 18
"""Bytes; a profile beyond this is not one."""
_YAML = "a YAML mapping of plain values"
Keys = tuple[str | int, ...]
"""The way to a value: keys of mappings and indices of lists."""


@dataclass(frozen=True)
class Written:
    """Where a value stands and how it was written there; `text` is empty for a mapping or a list."""

    line: int
    text: str


@dataclass(frozen=True)
class Document:
    """The data of a file, where each value stands, and what is wrong with the YAML itself."""

    label: str
    data: Any = None
    places: Mapping[Keys, Written] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    def where(self, path: Keys) -> str:
        """`file:line` of a value, or of the nearest mapping around it where the value is missing."""
        while path and path not in self.places:
            path = path[:-1]
        return f"{self.label}:{self.places[path].line}" if path in self.places else self.label


class _PlainLoader(yaml.SafeLoader):
    """YAML without anchors, aliases and tags: they make bombs and cycles, and a profile needs none."""

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "anchor", None) or getattr(event, "tag", None):
            raise yaml.composer.ComposerError(None, None, "anchor, alias or tag", event.start_mark)
        return super().compose_node(parent, index)


def read(path: Path, label: str) -> Document:
    """The file at `path`, called `label` in messages."""
    text = read_text(path, label, LARGEST)
    return Document(label, problems=(text,)) if isinstance(text, Problem) else parse(text, label)


def parse(text: str, label: str) -> Document:
    """The document of a text; never raises."""
    try:
        loader = _PlainLoader(text)
        node = loader.get_single_node()
        problems = tuple(_faults(node, label))
        if problems or not isinstance(node, MappingNode):
            found = () if problems else (Problem(f"{label}:1", "file", "not a mapping", _YAML),)
            return Document(label, problems=(*problems, *found))
        data = loader.construct_document(node)
        return Document(label, data, dict(_places(node, ())))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{label}:{mark.line + 1}" if mark else label
        return Document(label, problems=(Problem(where, "YAML", error.problem or "not readable", _YAML),))
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        fault = "a character that YAML forbids" if isinstance(error, yaml.YAMLError) else "a value that YAML forbids"
        return Document(label, problems=(Problem(label, "YAML", fault, _YAML),))
    except RecursionError:
        return Document(label, problems=(Problem(label, "YAML", "nested too deep", _YAML),))


def _faults(node: Node | None, label: str) -> Iterator[Problem]:
    """Keys that are no text or stand twice in one mapping."""
    if isinstance(node, MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            where = f"{label}:{key.start_mark.line + 1}"
            if not isinstance(key, ScalarNode) or not key.tag.endswith(":str"):
                yield Problem(where, "key", "not a name", "a name; quote it if it looks like a number")
                continue
            if key.value in seen:
                yield Problem(where, key.value, f"set already in line {seen[key.value]}", "each key once")
            seen.setdefault(key.value, key.start_mark.line + 1)
            yield from _faults(value, label)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _faults(item, label)


def _places(node: Node, path: Keys) -> Iterator[tuple[Keys, Written]]:
    yield path, Written(node.start_mark.line + 1, node.value if isinstance(node, ScalarNode) else "")
    if isinstance(node, MappingNode):
        for key, value in node.value:
            yield from _places(value, (*path, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _places(item, (*path, index))
