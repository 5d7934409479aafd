"""Turns what pydantic finds into problems that name file, line, value, what is accepted and the nearest name."""

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from sparkctl.config.origin import HIDDEN, Raw, is_secret, quoted
from sparkctl.config.profile import Profile, part_of
from sparkctl.config.settings import Settings
from sparkctl.config.yamlfile import Document
from sparkctl.errors import Problem

_KINDS = {
    "model_type": "a mapping of keys",
    "dict_type": "a mapping of names to values",
    "tuple_type": "a list",
    "string_type": "text; quote it if it looks like a number",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "finite_number": "a finite number",
}
"""pydantic's types of errors in the words of YAML."""
_NAME = "a name of at most 31 small letters, digits and dashes, a letter first"
"""What a model of several may be called (profile.ModelName)."""


def accepts(field: str) -> str:
    """What a field of Settings accepts, as its definition says."""
    extra = Settings.model_fields[field].json_schema_extra
    return str(extra["accepts"]) if isinstance(extra, dict) else ""


def settings_problems(error: ValidationError, values: Mapping[str, Raw]) -> Iterator[Problem]:
    """One problem for each variable that is wrong; `values` by the name of the variable."""
    for field in dict.fromkeys(str(fault["loc"][0]) for fault in error.errors(include_url=False)):
        name = field.upper()
        raw = values[name]
        found = HIDDEN if is_secret(name) else quoted(raw.text)
        yield Problem(raw.where, name, found, accepts(field))


def profile_problems(error: ValidationError, document: Document) -> Iterator[Problem]:
    """One problem for each key or value of a profile that is wrong."""
    faults: dict[tuple[str | int, ...], list[ErrorDetails]] = {}
    for fault in error.errors(include_url=False, include_input=False):
        if fault["loc"][-1:] == ("[key]",):
            *way, key = fault["loc"][:-1]
            yield Problem(document.where((*way, key)), ".".join(map(str, way)), quoted(str(key)), _NAME)
            continue
        faults.setdefault(_written(fault["loc"], document), []).append(fault)
    for path, branches in faults.items():
        if branches[0]["type"] == "too_short" and any(path == other[: len(path)] != other for other in faults):
            continue  # pydantic does not count what is wrong itself
        name = ".".join(map(str, path)) or "profile"
        yield Problem(document.where(path), name, *_said(branches, path, document))


def _said(branches: list[ErrorDetails], path: tuple[str | int, ...], document: Document) -> tuple[str, ...]:
    """What was found, what is accepted and, for an unknown key, the nearest one; a union has several branches."""
    kind = branches[0]["type"]
    if kind == "extra_forbidden":
        known = _keys(path[:-1])
        nearest = difflib.get_close_matches(str(path[-1]), known, n=1)
        return ("unknown key", f"one of: {', '.join(known)}", *nearest)
    if kind == "missing":
        return ("missing", _meaning(path))
    place = document.places.get(path)
    choices = [word for fault in branches if fault["type"] == "literal_error" for word in _words(fault)]
    hidden = not choices and any(isinstance(part, str) and is_secret(part) for part in path)
    found = HIDDEN if hidden else quoted(place.text) if place and place.text else "not such a value"
    nearest = difflib.get_close_matches(place.text if place else "", choices, n=1)
    return (found, " or ".join(dict.fromkeys(_accepted(fault, path) for fault in branches)), *nearest)


def _words(fault: ErrorDetails) -> list[str]:
    """The words that a choice accepts, which pydantic lists in quotes."""
    return re.findall("'([^']+)'", str(fault["ctx"]["expected"]))


def _accepted(fault: ErrorDetails, path: tuple[str | int, ...]) -> str:
    context: dict[str, Any] = fault.get("ctx", {})
    if "expected" in context:
        return str(context["expected"])
    if fault["type"] == "value_error":
        return str(context["error"])
    if fault["type"] in ("too_short", "too_long"):
        return f"at least {context['min_length']}" if "min_length" in context else f"at most {context['max_length']}"
    if fault["type"] == "string_pattern_mismatch":
        return _meaning(path)
    return _KINDS.get(fault["type"]) or fault["msg"].removeprefix("Input should be ")


def _written(loc: tuple[str | int, ...], document: Document) -> tuple[str | int, ...]:
    """A location without the parts that pydantic adds for the branches of a union."""
    path: tuple[str | int, ...] = ()
    for index, part in enumerate(loc):
        if (*path, part) in document.places or (index == len(loc) - 1 and not path) or _model(path):
            path = (*path, part)
    return path


def _model(path: tuple[str | int, ...]) -> type[BaseModel] | None:
    """The model that describes the mapping at a path."""
    model: type[BaseModel] = Profile
    named = False
    for part in path:
        if named:
            named = False
            continue
        field = model.model_fields.get(part) if isinstance(part, str) else None
        found = part_of(field.annotation) if field else None
        if found is None:
            return None
        model, named = found
    return None if named else model


def _keys(path: tuple[str | int, ...]) -> list[str]:
    model = _model(path)
    return sorted(model.model_fields) if model else []


def _meaning(path: tuple[str | int, ...]) -> str:
    """What a key is for, as its definition says; the first line of its model where it is a mapping."""
    keys = tuple(part for part in path if isinstance(part, str))
    model = _model(keys[:-1])
    field = model.model_fields.get(keys[-1]) if model and keys else None
    inner = _model(keys)
    text = (field.description if field else "") or (inner.__doc__ if inner else "") or "another value"
    return text.splitlines()[0].rstrip(".")
