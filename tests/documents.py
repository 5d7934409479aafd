"""docs/json.md as a schema: what a document may hold, and of what type."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PAGE = (Path(__file__).parents[1] / "docs" / "json.md").read_text()
TABLES: dict[str, str] = dict(re.findall(r"^## sparkctl/(\S+)/1\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S))
"""The part of the page about each schema."""
TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "object": dict,
    "anything": object,
}


def own(schema: str) -> dict[str, str]:
    """The paths of a schema's own table with their types."""
    return dict(re.findall(r"^\| `(\S+)` \| (\w+) \|", TABLES[schema], re.M))


def members(schema: str) -> dict[str, str]:
    """Every documented path with its type, those of the errors that a document may hold included."""
    found = own(schema)
    if base := re.search(r"All members of `sparkctl/(\S+)/1`", TABLES[schema]):
        found = {**members(base[1]), **found}
    if schema != "error" and "error" in found:
        errors = members("error")
        found |= {path.replace("error", at, 1): kind for path, kind in errors.items() for at in ("error", "also[]")}
    return found


def check_document(document: dict[str, Any]) -> tuple[str, set[str]]:
    """The document's schema and the paths that it has.

    Raises AssertionError where it has a member that the page lacks, or one of another type.
    """
    name = re.fullmatch(r"sparkctl/(\S+)/1", document["schema"])
    assert name, document["schema"]
    return name[1], check_members(document, members(name[1]) | {"schema": "string"})


def check_members(value: Any, known: dict[str, str]) -> set[str]:
    """The paths of a part of a document. Raises AssertionError as `check_document` does."""
    seen = set()
    for place, inner in _places(value, known, ""):
        assert place in known, f"{place} is not in docs/json.md"
        assert isinstance(inner, TYPES[known[place]]), f"{place} is {inner!r}"
        seen.add(place)
    return seen


def _places(value: Any, known: dict[str, str], path: str) -> Iterator[tuple[str, Any]]:
    """Every place below `path` with its value; keys that are free share one."""
    if isinstance(value, dict):
        for key, inner in value.items():
            place = f"{path}.*" if f"{path}.*" in known else f"{path}.{key}".lstrip(".")
            if not isinstance(inner, list) and f"{place}.*" not in known:
                yield place, inner
            if known.get(place) == "anything":
                continue
            yield from _places(inner, known, place)
    elif isinstance(value, list):
        for inner in value:
            yield f"{path}[]", inner
            yield from _places(inner, known, f"{path}[]")
