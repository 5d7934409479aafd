"""Finds profiles by name or path and reads them. Listing names needs no YAML and no pydantic."""

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sparkctl import data
from sparkctl.config.laptop import path_of
from sparkctl.errors import ConfigError, Problem

if TYPE_CHECKING:
    from sparkctl.config.profile import Profile
    from sparkctl.config.yamlfile import Document

SUFFIXES = (".yaml", ".yml")


def names(cwd: Path) -> dict[str, Path]:
    """Every profile that a name reaches, sorted; `profiles/` in `cwd` hides shipped ones of the same name."""
    found: dict[str, Path] = {}
    for folder in (data.path("profiles"), cwd / "profiles"):
        if folder.is_dir():
            found |= {path.stem: path for path in sorted(folder.iterdir()) if path.suffix in SUFFIXES}
    return dict(sorted(found.items()))


def find(name: str, cwd: Path) -> Path:
    """The file of a profile: a path (with a slash or a suffix) or a name. Raises ConfigError with the nearest name."""
    if "/" in name or name.endswith(SUFFIXES):
        return path_of(name, cwd)
    known = names(cwd)
    if name in known:
        return known[name]
    nearest = difflib.get_close_matches(name, known, n=1)
    problem = Problem("profile", name[:64], "no profile of that name", f"one of: {', '.join(known)}", *nearest)
    raise ConfigError((problem,), fix="sparkctl profile list")


def summary(path: Path) -> str:
    """The description of a profile, or that it cannot be read."""
    from sparkctl.config import yamlfile

    data = yamlfile.read(path, path.name).data
    text = data.get("description", "") if isinstance(data, dict) else None
    return text if isinstance(text, str) else "(cannot be read: sparkctl profile show says why)"


def read(name: str, cwd: Path) -> "tuple[Profile, Document]":
    """The profile of that name or path. Raises ConfigError with every problem of the file."""
    from pydantic import ValidationError

    from sparkctl.config import yamlfile
    from sparkctl.config.faults import profile_problems
    from sparkctl.config.profile import Profile

    path = find(name, cwd)
    document = yamlfile.read(path, _label(path, cwd))
    if document.problems:
        raise ConfigError(document.problems)
    try:
        profile = Profile.model_validate(document.data)
    except ValidationError as error:
        raise ConfigError(tuple(profile_problems(error, document))) from None
    if wrong := tuple(_misnamed(profile, path, document)):
        raise ConfigError(wrong)
    return profile, document


def _misnamed(profile: "Profile", path: Path, document: "Document") -> Iterator[Problem]:
    if profile.name != path.stem:
        yield Problem(document.where(("name",)), "name", repr(profile.name), f"{path.stem}, as the file is called")


def _label(path: Path, cwd: Path) -> str:
    """What a file is called in messages: relative to where the user is, or to the shipped data."""
    for base in (cwd, data.path(".")):
        if path.is_relative_to(base):
            return str(path.relative_to(base))
    return str(path)
