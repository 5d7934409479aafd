"""The one error boundary: every way to fail has a message and an exit code, none has a traceback."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sparkctl.__main__ import main
from sparkctl.errors import (
    BlockedError,
    CommandFailed,
    ConfigError,
    HostKeyError,
    Interrupted,
    LockedError,
    Problem,
    SparkctlError,
    UnhealthyError,
    UnreachableError,
)
from sparkctl.report.failure import wants_json

SECRET = "sk-canary-7"


def run(*argv: str, monkeypatch: pytest.MonkeyPatch, error: BaseException | None = None) -> int:
    def fail(_argv: object) -> int:
        assert error
        raise error

    monkeypatch.setattr("sys.argv", ["sparkctl", *argv])
    monkeypatch.setattr("sparkctl.__main__._leave", sys.exit)  # which makes a process deaf to Ctrl-C
    if error:
        monkeypatch.setattr("sparkctl.cli.app.invoke", fail)
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SparkctlError("x"), 1),
        (CommandFailed("x"), 1),
        (BlockedError("x"), 1),
        (UnhealthyError("x"), 2),
        (ConfigError((Problem("file:1", "NAME", "found", "accepted"),)), 3),
        (UnreachableError("x"), 4),
        (HostKeyError("x"), 4),
        (LockedError("x"), 5),
        (Interrupted("x"), 130),
        (KeyboardInterrupt(), 130),
        (ZeroDivisionError("x"), 70),
        (RecursionError("x"), 70),
    ],
)
def test_every_error_has_its_code(
    error: BaseException,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert run("up", monkeypatch=monkeypatch, error=error) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert "Traceback" not in err
    assert run("up", "--json", monkeypatch=monkeypatch, error=error) == code
    out, err = capsys.readouterr()
    assert err == ""
    document = json.loads(out)
    assert (document["schema"], document["error"]["exit_code"]) == ("sparkctl/error/1", code)


def test_a_bug_leaves_a_private_report_without_values_of_flags(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    argv = ("up", "--set", f"HF_TOKEN={SECRET}", f"--set=HF_TOKEN={SECRET}")
    assert run(*argv, monkeypatch=monkeypatch, error=KeyError("nope")) == 70
    (report,) = (tmp_path / "sparkctl/bugs").iterdir()
    assert str(report) in capsys.readouterr().err.replace("\n", "")
    assert report.stat().st_mode & 0o777 == 0o600
    assert report.parent.stat().st_mode & 0o777 == 0o700
    text = report.read_text()
    assert "KeyError: 'nope'" in text
    assert "HF_TOKEN" in text
    assert SECRET not in text


def test_a_bug_with_no_place_for_its_report_is_still_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert run("up", monkeypatch=monkeypatch, error=KeyError("nope")) == 70
    assert "could not be written" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["pln"], "Did you mean 'plan'"),
        (["plan", "--prfile", "x"], "--profile"),
        (["plan", "extra"], "unexpected extra argument"),
        (["up", "--set"], "requires an argument"),
        (["logs", "--tail", "many"], "'many' is not a valid whole number"),
        (["status", "--interval", "0"], "0.2"),
        (["status", "--interval", "soon"], "'soon' is not a valid number"),
        (["status", "--watch", "--interval", "nan"], "nan is not a finite number"),
        (["role", "launch", "dev", "--timeout", "inf"], "inf is not a finite number"),
        (["completion", "tcsh"], "Invalid value for SHELL: 'tcsh' is none of bash, zsh, fish"),
        (["--install-completion", "tcsh"], "Invalid value for SHELL: 'tcsh' is none of bash, zsh, fish"),
        (["--nonsense"], "--nonsense"),
    ],
)
def test_usage_errors_end_with_3(
    argv: list[str], words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*argv, monkeypatch=monkeypatch) == 3
    err = capsys.readouterr().err
    assert words in " ".join(err.split())
    assert "next: try: sparkctl" in err


def test_long_output_is_cut_to_its_end(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    error = CommandFailed("x", output="\n".join(f"line {n}" for n in range(100)))
    run("up", monkeypatch=monkeypatch, error=error)
    lines = [line for line in capsys.readouterr().err.splitlines() if "line " in line]
    assert lines[0].endswith("line 80")
    assert lines[-1].endswith("line 99")


def test_json_is_asked_for_before_the_words_of_another_program() -> None:
    assert wants_json(["ssh", "spark-1", "--json"])
    assert not wants_json(["ssh", "spark-1", "--", "x", "--json"])
    assert not wants_json(["up"])


LEAVES = """\
import atexit, sys, time
import sparkctl.cli.app
from sparkctl.__main__ import main

def leave():
    print("leaving", flush=True)
    time.sleep(1)

def interrupted(argv):
    raise KeyboardInterrupt

atexit.register(leave)
sparkctl.cli.app.invoke = interrupted
sys.argv[1:] = ["up"]
main()
"""


def test_ctrl_c_while_it_leaves_is_one_too_many() -> None:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", LEAVES], text=True, **pipes) as process:  # type: ignore[call-overload]
        assert process.stdout.readline() == "leaving\n"
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
    assert (process.returncode, "interrupted" in said, "Traceback" in said) == (130, True, False)
