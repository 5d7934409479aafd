"""The scorers of `agents eval`: what they say of routers and programs that are known to be right, or wrong."""

import asyncio
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import pytest

from sparkctl.agents.eval.code import Task, passes, program_in, read_tasks, score_code
from sparkctl.agents.eval.proportions import proportion
from sparkctl.agents.eval.routing import DIRECT, LABELS, Prompt, read_prompts, score_routing
from sparkctl.agents.eval.routing_floor import Centroids, by_centroids, floors

PROMPTS = read_prompts()
TASKS = read_tasks()


async def execute(program: str) -> tuple[int, str]:
    """Runs what this repository holds; what models write goes to the sandbox."""
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-I", "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    return done.returncode, done.stdout + done.stderr


def test_there_are_two_hundred_prompts_of_every_kind() -> None:
    assert len(PROMPTS) >= 200
    assert len({one.prompt for one in PROMPTS}) == len({one.id for one in PROMPTS}) == len(PROMPTS)
    assert {label for one in PROMPTS for label in one.accept} == set(LABELS)
    groups = Counter(one.group for one in PROMPTS)
    assert set(groups) == {"clear", "ambiguous", "multi", "scope", "adversarial"}
    assert min(groups.values()) >= 10
    assert all(len(one.accept) > 1 for one in PROMPTS if one.group in ("ambiguous", "multi"))
    assert all(len(one.accept) == 1 for one in PROMPTS if one.group in ("clear", "scope", "adversarial"))


@pytest.mark.parametrize(
    ("right", "of", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_an_interval_is_wilsons(right: int, of: int, low: float, high: float) -> None:
    """The four cases of Newcombe, Statistics in Medicine 17 (1998), table I, method 3."""
    found = proportion([1.0] * right + [0.0] * (of - right))
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


def test_repeats_make_no_interval_narrower() -> None:
    right = [one.accept[0] for one in PROMPTS]
    assert score_routing("x", PROMPTS, [right] * 5).accuracy == score_routing("x", PROMPTS, [right]).accuracy


def test_a_router_that_is_always_right_scores_one() -> None:
    score = score_routing("x", PROMPTS, [[one.accept[-1] for one in PROMPTS]] * 2)
    assert (score.accuracy.mean, score.by_seed, score.malformed.mean) == (1.0, (1.0, 1.0), 0.0)
    assert {one.mean for one in (*score.groups.values(), *score.recall.values())} == {1.0}
    assert all(
        count == 0 for row, chosen in score.confusion.items() for column, count in chosen.items() if row != column
    )
    assert sum(count for chosen in score.confusion.values() for count in chosen.values()) == 2 * len(PROMPTS)


def test_a_router_that_is_always_wrong_scores_zero() -> None:
    wrong = [next(label for label in LABELS if label not in one.accept) for one in PROMPTS]
    score = score_routing("x", PROMPTS, [wrong])
    assert score.accuracy.mean == 0.0
    assert all(score.confusion[label][label] == 0 for label in LABELS)


def test_a_router_that_names_nobody_is_malformed_and_wrong() -> None:
    score = score_routing("x", PROMPTS, [[None] * len(PROMPTS)])
    assert (score.accuracy.mean, score.malformed.mean) == (0.0, 1.0)
    assert sum(row["malformed"] for row in score.confusion.values()) == len(PROMPTS)


def test_a_matrix_tells_who_was_taken_for_whom() -> None:
    one, two = Prompt("1", "clear", ("rag",), "x"), Prompt("2", "ambiguous", ("rag", "coding"), "y")
    score = score_routing("x", [one, two], [["image", "coding"]])
    assert score.confusion["rag"]["image"] == 1
    assert score.confusion["coding"]["coding"] == 1, "the label that was chosen, where it is one of the right"
    assert set(score.recall) == {"rag"}


def test_the_floors_are_above_a_guess_and_the_same_each_time() -> None:
    scores = floors(PROMPTS)
    assert scores == floors(PROMPTS)
    most_common = Counter(one.accept[0] for one in PROMPTS).most_common(1)[0][1] / len(PROMPTS)
    for score in scores:
        assert most_common < score.accuracy.mean < 1


def test_the_centroids_never_judge_what_they_learned_from() -> None:
    """A prompt whose words no other has is known to the half that it is in, and to no other."""
    own = [replace(one, prompt=f"w{n}") for n, one in enumerate(PROMPTS)]
    assert set(by_centroids(own)) == {DIRECT}
    assert Centroids(own).nearest("w0") == own[0].accept[0] != DIRECT


def test_there_are_twenty_tasks() -> None:
    assert len(TASKS) >= 20
    assert len({one.id for one in TASKS}) == len({one.entry for one in TASKS}) == len(TASKS)
    assert all(len(one.tests) >= 2 for one in TASKS)
    assert not [one.id for one in TASKS if any(test in one.prompt for test in one.tests)]


def test_every_reference_passes_its_hidden_tests_and_nothing_does_not() -> None:
    async def both() -> tuple[list[bool], list[bool]]:
        right = asyncio.gather(*(passes(task, task.reference, execute) for task in TASKS))
        return await right, await asyncio.gather(*(passes(task, "", execute) for task in TASKS))

    right, wrong = asyncio.run(both())
    assert score_code("x", TASKS, [right]).passed.mean == 1.0
    score = score_code("x", TASKS, [wrong])
    assert (score.passed.mean, score.by_seed) == (0.0, (0.0,))
    assert score.failed == tuple(one.id for one in TASKS)


@pytest.mark.parametrize(
    "program",
    [
        "import sys; sys.exit(0)",
        "import os; os._exit(0)",
        "print('passed'); raise SystemExit",
        "def raises(*_): return True",
        "def {entry}(*_): return None",
        "while",
    ],
)
def test_leaving_early_is_no_pass(program: str) -> None:
    task = TASKS[0]
    assert not asyncio.run(passes(task, program.replace("{entry}", task.entry), execute))


TASK = Task("c", "f", "Write f.", "", ())


@pytest.mark.parametrize(
    ("answer", "program"),
    [
        ("def f(): pass", "def f(): pass"),
        ("Here:\n```python\ndef f(): pass\n```\nDone.", "def f(): pass\n"),
        ("```\ndef f(): pass\n```", "def f(): pass\n"),
        ("```python\ndef f(): pass\n```\nUse:\n```python\nprint(1)\n```", "def f(): pass\n"),
        ("```bash\nrun f\n```\n```py\ndef f(): pass\n```", "def f(): pass\n"),
        ("```python\ndef f():\n    pass", "def f():\n    pass"),
        ("```python\nprint(1)\n```", "print(1)\n"),
        ("", ""),
    ],
)
def test_the_program_of_an_answer_is_found(answer: str, program: str) -> None:
    assert program_in(answer, TASK.entry) == program
