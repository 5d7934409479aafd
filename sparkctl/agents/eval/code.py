"""How well programs are written: tasks with tests that the writer does not see, run where they can do no harm."""

import json
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from secrets import token_hex
from statistics import fmean
from typing import TypeAlias

from sparkctl.agents.eval.proportions import proportion
from sparkctl.agents.eval.retrieval_scores import Measure

FENCE = re.compile(r"```[ \t]*([\w+-]*)[^\n]*\n(.*?)(?:```|\Z)", re.DOTALL)
ASK = "{}\n\nAnswer with one Python 3 program in a ```python block, standard library only. Its tests are not shown."
HELPER = """
def raises(kind, call, *given):
    try:
        call(*given)
    except kind:
        return True
    return False
"""
"""What hidden tests may use."""

Execute: TypeAlias = Callable[[str], Awaitable[tuple[int, str]]]
"""From a Python program to its exit code and its output."""


@dataclass(frozen=True)
class Task:
    """A program to write: `entry` is what the tests use, and `reference` shows that they can be passed."""

    id: str
    entry: str
    prompt: str
    reference: str
    tests: tuple[str, ...]

    @property
    def question(self) -> str:
        """What the writer is asked."""
        return ASK.format(self.prompt)


@dataclass(frozen=True)
class CodeScore:
    """pass@1: the part of the tasks whose first program passes all of its tests, over all seeds. `failed` are ids."""

    writer: str
    tasks: int
    passed: Measure
    by_seed: tuple[float, ...]
    failed: tuple[str, ...]


def read_tasks() -> list[Task]:
    """All of them, in the order of the file."""
    text = files("sparkctl.agents.eval").joinpath("data/code.jsonl").read_text("utf-8")
    return [Task(**one | {"tests": tuple(one["tests"])}) for one in map(json.loads, text.splitlines())]


def program_in(answer: str, entry: str) -> str:
    """The program of an answer: the last block that holds the entry point, else the last, else the whole answer."""
    blocks = [body for language, body in FENCE.findall(answer) if language.lower() in ("", "py", "python", "python3")]
    holding = [body for body in blocks if re.search(rf"\b{re.escape(entry)}\b", body)]
    return str((holding or blocks or [answer])[-1])


async def passes(task: Task, program: str, execute: Execute) -> bool:
    """Whether a program passes all tests of its task.

    It has to end with a word that is drawn anew each time: leaving early with status 0 is no pass.
    """
    word = token_hex(16)
    code, output = await execute("\n".join((program, HELPER, *task.tests, f"print({word!r})", "")))
    return code == 0 and output.rstrip().endswith(word)


def score_code(writer: str, tasks: Sequence[Task], passed: Sequence[Sequence[bool]]) -> CodeScore:
    """The score of `passed`: for each seed whether each task's program passed."""
    means = [fmean(one[n] for one in passed) for n in range(len(tasks))]
    failed = tuple(task.id for task, mean in zip(tasks, means, strict=True) if mean < 1)
    return CodeScore(writer, len(tasks), proportion(means), tuple(fmean(one) for one in passed), failed)
