"""How the results of jobs are told: to a model, which repeats them, so each says plainly what happened."""

import json
import re
from contextlib import suppress
from dataclasses import dataclass

from sparkctl.agents.sandbox.job import Result

STOPPED = {
    "time": "It was stopped: its time was up.",
    "output": "It was stopped: it printed far more than is kept.",
    "disk": "It was stopped: its files took more than a workspace, or all of a user, may hold. What it wrote is gone.",
    "memory": "It was stopped: it took more memory than there is.",
}
NODE = re.compile(r"^(?:#|ℹ) (tests|fail|skipped|todo|cancelled) (\d+)$", re.MULTILINE)
"""The last lines of Node's test runner, as TAP or for people."""


@dataclass(frozen=True)
class Tests:
    """What a run of tests came to. `ran` is None where it did not say, and then nothing has passed."""

    ran: int | None
    failed: int
    skipped: int

    @property
    def passed(self) -> bool:
        """Whether at least one test ran, and none failed."""
        return self.ran is not None and self.ran > self.skipped and not self.failed


def outcome(result: Result) -> str:
    """How a job ended, and what it printed."""
    lines = [STOPPED[result.stopped]] if result.stopped else [f"exit code {result.exit_code}"]
    lines[0] += f" ({result.seconds:.2f} s)"
    lines.append(result.output.rstrip("\n") or "(no output)")
    if result.truncated:
        lines.append("(the output goes on, and was cut)")
    return "\n".join(lines)


def counted(language: str, result: Result) -> Tests:
    """What the tests of a job came to, as their runner said last. Bash has one test: its exit code."""
    if result.stopped:
        return Tests(None, 0, 0)
    if language == "bash":
        return Tests(1, int(result.exit_code != 0), 0)
    if language == "javascript":
        found = {name: int(count) for name, count in NODE.findall(result.output)}
        skipped = found.get("skipped", 0) + found.get("todo", 0)
        return _agreeing(result, Tests(found.get("tests"), found.get("fail", 0) + found.get("cancelled", 0), skipped))
    with suppress(ValueError, KeyError, TypeError, IndexError):
        said = json.loads(result.output.splitlines()[-1])
        return _agreeing(result, Tests(int(said["ran"]), int(said["failed"]), int(said["skipped"])))
    return Tests(None, 0, 0)


def _agreeing(result: Result, tests: Tests) -> Tests:
    """A runner that says that all is well, and ends with a fault, is not believed."""
    return tests if (result.exit_code == 0) == tests.passed else Tests(None, tests.failed, tests.skipped)


def verdict(tests: Tests) -> str:
    """The first line of what is told about tests."""
    if tests.passed:
        return f"PASSED: {tests.ran} tests, {tests.skipped} skipped."
    if tests.ran is None:
        return "NOT PASSED: the tests did not run to their end."
    if tests.failed:
        return f"FAILED: {tests.failed} of {tests.ran} tests."
    return "NOT PASSED: no test ran."
