from pathlib import Path

import pytest

from sparkctl.config import envfile
from sparkctl.errors import Problem

SCOPE = {"USER": "dan", "EMPTY": "", "HOME": "/home/dan"}
ASSIGNMENT = "NAME=value, one per line; quotes around a value with spaces or #"
EXPANSION = "$NAME, ${NAME} and ${NAME:-default}; '...' keeps a value as it is"


def value_of(line: str) -> str:
    read = envfile.parse(line, "f.env", SCOPE)
    assert not read.problems
    return read.assignments[-1].value


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=b", "b"),
        ("export A=b", "b"),
        ('A="b c"', "b c"),
        ("A='b $USER'", "b $USER"),
        ("A=b # comment", "b"),
        ("A=b#c", "b#c"),
        ("A=", ""),
        ('A=""', ""),
        ("A=$USER", "dan"),
        ("A=${USER}x", "danx"),
        ("A=${SUDO_USER:-$USER}", "dan"),
        ("A=${SUDO_USER:-${USER}}", "dan"),
        ("A=${USER:-root}", "dan"),
        ("A=${EMPTY:-full}", "full"),
        ("A=${EMPTY-full}", ""),
        ("A=${EMPTY}", ""),
        ("A=${NONE:-}", ""),
        (r'A="costs \$5"', "costs $5"),
        ("A=5$", "5$"),
        ("LAN=192.168.1\nA=${LAN}.5", "192.168.1.5"),
        ("A=$HOME/.cache", "/home/dan/.cache"),
    ],
)
def test_values_are_what_a_shell_would_make_of_them(line: str, value: str) -> None:
    assert value_of(line) == value


@pytest.mark.parametrize(
    ("line", "name", "found", "accepted"),
    [
        ("A", "A", "not an assignment", ASSIGNMENT),
        ("hf_s3cr3t", "line", "not an assignment", ASSIGNMENT),
        ("A-B=c", "line", "not an assignment", ASSIGNMENT),
        ('A="b', "line", "not an assignment", ASSIGNMENT),
        ('A="b\nc"', "A", "a value of several lines, or an open quote", ASSIGNMENT),
        ("A=$(hostname)", "A", "a command or an expansion that needs a shell", EXPANSION),
        ("A=`hostname`", "A", "a command or an expansion that needs a shell", EXPANSION),
        ("A=${#USER}", "A", "a command or an expansion that needs a shell", EXPANSION),
        ("A=${USER:?missing}", "A", "an expansion that needs a shell, or without its closing brace", EXPANSION),
        ("A=${USER", "A", "an expansion that needs a shell, or without its closing brace", EXPANSION),
        ("A=$NONE", "A", "refers to NONE, which is not set", EXPANSION),
        ("A=" + "${B:-" * 40 + "}" * 40, "A", "expansions nested too deep", EXPANSION),
    ],
)
def test_what_only_a_shell_can_do_is_a_problem(line: str, name: str, found: str, accepted: str) -> None:
    assert envfile.parse(line, "f.env", SCOPE).problems == (Problem("f.env:1", name, found, accepted),)


def test_a_name_that_is_set_twice_names_both_lines() -> None:
    read = envfile.parse("A=1\n\nA=2\n", "f.env", {})
    assert read.problems == (Problem("f.env:3", "A", "set already at f.env:1", "one line per name"),)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_are_counted_over_comments_and_blank_lines(end: str) -> None:
    read = envfile.parse(end.join(["# comment", "", "", "A=1", "", "# more", "B=2"]), "f.env", {})
    assert [(a.name, a.value, a.where) for a in read.assignments] == [("A", "1", "f.env:4"), ("B", "2", "f.env:7")]


def test_values_that_grow_without_end_are_a_problem() -> None:
    text = "A=xxxxxxxx\n" + "".join(f"A{i + 1}=$A{i or ''}$A{i or ''}\n" for i in range(40))
    read = envfile.parse(text, "f.env", {})
    assert read.problems[0].found == "a value that is too long"
    assert max(len(a.value) for a in read.assignments) <= envfile.LONGEST


def test_a_file_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    broken = tmp_path / "broken.env"
    broken.write_bytes(b"A=1\nB=\xff")
    assert envfile.read(tmp_path, "dir", {}).problems == (
        Problem("dir", "file", "cannot be read: Is a directory", "a readable file"),
    )
    assert envfile.read(tmp_path / "none", "none", {}).problems[0].found == "cannot be read: No such file or directory"
    assert envfile.read(broken, "b", {}).problems == (
        Problem("b", "file", "byte 6 is not UTF-8", "a text file in UTF-8"),
    )


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "huge.env").write_bytes(b"#" * (envfile.LARGEST + 1))
    assert envfile.read(tmp_path / "huge.env", "h", {}).problems[0].found == "larger than 1024 KiB"
