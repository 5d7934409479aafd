"""docs/json.md as a schema: what a document may hold, and of what type."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PAGE = (Path(__file__).parents[2] / "docs" / "json.md").read_text()
TABLES = dict(re.findall(r"^## sparkctl/(\S+)/1\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S))
TYPES = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "object": dict}


def check_document(document: dict[str, Any]) -> None:
    """Raises AssertionError where the document has a member that the page lacks, or one of another type."""
    name = re.fullmatch(r"sparkctl/(\S+)/1", document["schema"])
    assert name, document["schema"]
    known = _members(name[1]) | {"schema": "string"}
    for place, value in _places(document, known, ""):
        assert place in known, f"{document['schema']}: {place} is not in docs/json.md"
        assert isinstance(value, TYPES[known[place]]), f"{document['schema']}: {place} is {value!r}"


def _members(name: str) -> dict[str, str]:
    """Every documented path with its type, those of the errors that a document may hold included."""
    found = dict(re.findall(r"^\| `(\S+)` \| (\w+) \|", TABLES[name], re.M))
    if base := re.search(r"All members of `sparkctl/(\S+)/1`", TABLES[name]):
        found = {**_members(base[1]), **found}
    if name != "error" and "error" in found:
        errors = _members("error")
        found |= {path.replace("error", at, 1): kind for path, kind in errors.items() for at in ("error", "also[]")}
    return found


def _places(value: Any, known: dict[str, str], path: str) -> Iterator[tuple[str, Any]]:
    """Every place below `path` with its value; keys that are free share one."""
    if isinstance(value, dict):
        for key, inner in value.items():
            place = f"{path}.*" if f"{path}.*" in known else f"{path}.{key}".lstrip(".")
            if not isinstance(inner, list) and f"{place}.*" not in known:
                yield place, inner
            yield from _places(inner, known, place)
    elif isinstance(value, list):
        for inner in value:
            yield f"{path}[]", inner
            yield from _places(inner, known, f"{path}[]")
