"""What can be run: each a `Job`, made from what was asked for. Nothing is started here."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files

from sparkctl.agents.core.failure import Refused
from sparkctl.agents.sandbox.languages import LANGUAGES, find, name_of
from sparkctl.agents.sandbox.workspace import PROGRAM, SCRATCH

SEARCH_SECONDS = 5.0
"""A pattern may take exponential time; then its job is stopped like any other."""
MODULE = re.compile(r"^\s*(import|export)\s", re.MULTILINE)
TESTABLE = ("python", "javascript", "bash")


@dataclass(frozen=True)
class Job:
    """A command in a workspace. `files` are written before it, by names within the workspace, and gone after it."""

    argv: tuple[str, ...]
    files: Mapping[str, str] = field(default_factory=dict)
    stdin: str = ""
    seconds: float | None = None
    in_scratch: bool = False


def execute(language: str, code: str, stdin: str = "") -> Job:
    """A program that was written by somebody else. Raises Refused for a language that is not here."""
    found = find(language)
    name = f"{PROGRAM}.{found.suffix}"
    return Job(tuple(found.argv(name)), {name: code}, stdin)


def ensure_testable(language: str) -> None:
    """Raises Refused for a language, by its own name, whose tests cannot be run here."""
    if language not in TESTABLE:
        raise Refused(f"tests can be run in {', '.join(TESTABLE)}")


def test(language: str, code: str, tests: str) -> Job:
    """Tests for `code`, which they load as `solution`.

    Raises Refused for a language whose tests cannot be run here.
    """
    found = find(language)
    ensure_testable(name_of(language))
    module = "m" if found.suffix == "js" and MODULE.search(tests) else ""
    suffix = module + found.suffix
    written = {f"{SCRATCH}/solution.{suffix}": code, f"{SCRATCH}/test_solution.{suffix}": tests}
    if found is LANGUAGES["python"]:
        return Job(("python3", "unit_tests.py"), written | _program("unit_tests"), in_scratch=True)
    return Job((*found.command, f"test_solution.{suffix}"), written, in_scratch=True)


def search(pattern: str, names: str) -> Job:
    """A regular expression over the workspace's files whose names match."""
    return Job(_own("search"), _program("search"), json.dumps({"pattern": pattern, "names": names}), SEARCH_SECONDS)


def analyze(language: str, code: str) -> Job:
    """Python by its syntax tree; another language by its toolchain's own check, where it has one. Raises Refused."""
    found = find(language)
    if found is LANGUAGES["python"]:
        return Job(_own("analysis"), _program("analysis"), code, SEARCH_SECONDS)
    if not found.check:
        raise Refused(f"{language} can be run here, and not analyzed")
    name = f"{PROGRAM}.{found.suffix}"
    return Job((*found.check, name), {name: code}, seconds=SEARCH_SECONDS)


def attempt(name: str, given: Mapping[str, object]) -> Job:
    """A part of the self-test."""
    return Job((*_own("attempts"), name), _program("attempts"), json.dumps(given))


def _own(name: str) -> tuple[str, ...]:
    return ("python3", "-I", f"{SCRATCH}/{name}.py")


def _program(name: str) -> dict[str, str]:
    source = files("sparkctl.agents.sandbox.inside").joinpath(f"{name}.py").read_text("utf-8")
    return {f"{SCRATCH}/{name}.py": source}
