"""What is said of a container that was made with something else than is wished now."""

import pytest

from sparkctl.runtimes.differences import differences

GUARD = ["vllm", "serve", "org/m", "--max-model-len", "512", "--eager", "--middleware", "guard.Guard"]


def with_words(*changes: tuple[str, str]) -> list[str]:
    text = " ".join(GUARD)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text.split()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ([("--middleware", "--no-such-flag --middleware")], "+ --no-such-flag"),
        ([("512", "256")], "--max-model-len 512 -> 256"),
        ([("--eager ", "")], "- --eager"),
        ([("org/m", "org/n")], "org/m -> org/n"),
        ([("--eager", "--port 80"), ("512", "256")], "--max-model-len 512 -> 256, - --eager, + --port 80"),
        ([("--max-model-len 512 --eager", "--eager --max-model-len 512")], "--eager stands elsewhere"),
        ([("--max-model-len 512", "--max-num-seqs 512 --max-model-len 512")], "+ --max-num-seqs 512"),
        ([("512", "auto --max-model-len 9")], "--max-model-len 512 -> auto, + --max-model-len 9"),
    ],
)
def test_a_command_is_compared_option_by_option(changes: list[tuple[str, str]], said: str) -> None:
    assert differences(GUARD, with_words(*changes)) == said


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("ref:1", "ref:2", "ref:1 -> ref:2"),
        (None, ["a"], "+ a"),
        ("", "ray-head", "nothing -> ray-head"),
        (["--port=1", "--head"], ["--port=2", "--head"], "--port=1 -> --port=2"),
        ([["A", "1"], ["C", "3"]], [["A", "2"], ["B", "2"], ["C", "3"]], "A=1 -> A=2, + B=2"),
        ([["nofile", 1]], [["nofile", 2]], "nofile=1 -> nofile=2"),
        (
            [{"source": "/a", "target": "/m", "read_only": False}],
            [{"source": "/b", "target": "/m", "read_only": True}, {"source": "v", "target": "/tmp"}],
            "/a:/m -> /b:/m:ro, + v:/tmp",
        ),
        (["-c", "one\ntwo"], ["-c", "one\nthree"], "-c changed"),
        (["-c", "x"], ["-c", "-x"], "-c x -> nothing, + -x"),
    ],
)
def test_other_fields(before: object, after: object, said: str) -> None:
    assert differences(before, after) == said


def test_many_differences_are_counted() -> None:
    assert differences([], [f"--a{n}" for n in range(9)]).endswith("+ --a5, and 3 more")
