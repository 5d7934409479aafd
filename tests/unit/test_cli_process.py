"""What needs a process of its own: a terminal, signals, pipes that close."""

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

CHILD = Path(__file__).with_name("cli_child.py")
COLUMNS, ROWS = 80, 24


def environ(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "LC_ALL", "LC_CTYPE")}
    return {**kept, "LANG": "C.UTF-8", "TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "LINES": str(ROWS), **more}


class Terminal:
    """The command line in a pseudo-terminal; `text` is everything that it wrote."""

    def __init__(self, folder: Path, scenario: str, *argv: str, **env: str) -> None:
        self.master, slave = pty.openpty()
        self.before = termios.tcgetattr(self.master)
        self.text = ""
        command = [sys.executable, str(CHILD), str(folder), scenario, *argv]
        self.process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environ(**env),
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # so that it sends signals for keys
        )
        os.close(slave)

    def read(self, seconds: float) -> bool:
        """Read what comes within that time; False at the end."""
        if not select.select([self.master], [], [], seconds)[0]:
            return True
        try:
            chunk = os.read(self.master, 65536)
        except OSError:
            return False
        self.text += chunk.decode(errors="replace")
        return bool(chunk)

    def wait_for(self, words: str, seconds: float = 120) -> None:
        end = time.monotonic() + seconds
        while words not in self.text:
            assert time.monotonic() < end, f"no {words!r} in: {self.text}"
            assert self.read(0.2), f"ended without {words!r}: {self.text}"

    def end(self, seconds: float = 120) -> int:
        limit = time.monotonic() + seconds
        while self.read(0.2) and time.monotonic() < limit:
            if self.process.poll() is not None and not select.select([self.master], [], [], 0.2)[0]:
                break
        return self.process.wait(seconds)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        with contextlib.suppress(OSError):
            os.close(self.master)


@pytest.fixture
def terminals(tmp_path: Path) -> Iterator[list[Terminal]]:
    opened: list[Terminal] = []
    yield opened
    for terminal in opened:
        terminal.close()


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-?]*[ -/]*[@-~]", "", text).replace("\r", "")


def test_a_terminal_sees_rows_with_time_and_bytes(terminals: list[Terminal], tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, "brisk", "up")
    terminals.append(terminal)
    assert terminal.end() == 0
    shown = plain(terminal.text)
    assert re.search(r"[⠁-⣿] spark-1 vllm +[\d.]+ m?s ━+─* +[\d.]+ GiB of 8.0 GiB", shown)
    assert re.search(r"✓ +[\d.]+ m?s  vllm@spark-1\n", shown)
    assert shown.rstrip().endswith("next: sparkctl test")
    assert terminal.text.count("\x1b[?25l") == terminal.text.count("\x1b[?25h"), "the cursor is back"
    assert "\x1b[1;32mdone" in terminal.text or "\x1b[1;32m" in terminal.text


@pytest.mark.parametrize(("argv", "env"), [(["--no-color"], {}), ([], {"NO_COLOR": "1"})])
def test_no_colour_where_none_is_wanted(
    argv: list[str], env: dict[str, str], terminals: list[Terminal], tmp_path: Path
) -> None:
    terminal = Terminal(tmp_path, "fast", "up", *argv, **env)
    terminals.append(terminal)
    assert terminal.end() == 0
    colours = [code for code in re.findall(r"\x1b\[([\d;]*)m", terminal.text) if re.search(r"(^|;)[34]\d", code)]
    assert colours == []


def test_a_dumb_terminal_gets_lines(terminals: list[Terminal], tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, "fast", "up", TERM="dumb", LC_ALL="C")
    terminals.append(terminal)
    assert terminal.end() == 0
    assert "\x1b" not in terminal.text
    assert terminal.text.isascii()
    assert "vllm@spark-1 changed after" in terminal.text


def test_a_question_on_a_terminal(terminals: list[Terminal], tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, "deployed", "stop")
    terminals.append(terminal)
    terminal.wait_for("Remove this from cluster demo? [y/N]")
    os.write(terminal.master, b"n\n")
    assert terminal.end() == 1
    assert "not confirmed; nothing was changed" in terminal.text
    again = Terminal(tmp_path, "deployed", "stop")
    terminals.append(again)
    again.wait_for("[y/N]")
    os.write(again.master, b"y\n")
    assert again.end() == 0
    assert "vllm@spark-1" in again.text


def test_ctrl_c_at_a_question_is_told_on_a_line_of_its_own(terminals: list[Terminal], tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, "deployed", "stop")
    terminals.append(terminal)
    terminal.wait_for("[y/N]: ")
    until = time.monotonic() + 60
    while terminal.process.poll() is None:  # a signal just before Python waits for a key is not seen
        os.kill(terminal.process.pid, signal.SIGINT)
        assert time.monotonic() < until
        time.sleep(0.5)
    assert terminal.end() == 130
    assert "[y/N]: \nerror: interrupted\n" in plain(terminal.text)


def test_the_first_ctrl_c_stops_cleanly(terminals: list[Terminal], tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, "slow", "up")
    terminals.append(terminal)
    terminal.wait_for("GiB")
    os.kill(terminal.process.pid, signal.SIGINT)
    assert terminal.end() == 130
    shown = plain(terminal.text)
    assert "stopping the running steps; Ctrl-C again leaves at once" in shown
    assert "vllm@spark-1  stopped" in shown
    assert "error: interrupted" in shown
    assert "Traceback" not in shown


def test_keys_do_not_move_the_rows_that_are_drawn(terminals: list[Terminal], tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, "slow", "up")
    terminals.append(terminal)
    terminal.wait_for("GiB")
    os.write(terminal.master, b"typed\r")
    time.sleep(0.3)
    os.write(terminal.master, b"\x03")
    assert terminal.end() == 130
    assert "vllm@spark-1  stopped" in plain(terminal.text)
    assert "typed" not in terminal.text
    assert "^C" not in terminal.text
    assert termios.tcgetattr(terminal.master) == terminal.before, "the terminal is as it was"


@pytest.mark.parametrize(
    ("argv", "code"),
    [(["status"], 130), (["doctor"], 130), (["plan"], 130), (["up"], 130), (["status", "--watch"], 0)],
    ids=["status", "doctor", "plan", "up", "watch"],
)
def test_ctrl_c_leaves_a_look_at_a_node_that_hangs(
    argv: list[str], code: int, terminals: list[Terminal], tmp_path: Path
) -> None:
    terminal = Terminal(tmp_path, "frozen", *argv)
    terminals.append(terminal)
    terminal.wait_for("waiting for spark-2")
    began = time.monotonic()
    os.kill(terminal.process.pid, signal.SIGINT)
    assert terminal.end() == code
    assert time.monotonic() - began < 60
    assert terminal.text.count("\r\x1b[K") >= 2, "the line is gone"
    assert "Traceback" not in terminal.text
    assert not (tmp_path / "state").exists(), "nothing was changed"


def test_the_second_ctrl_c_leaves_at_once(terminals: list[Terminal], tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, "stubborn", "up")
    terminals.append(terminal)
    terminal.wait_for("2 of 3 steps")
    os.kill(terminal.process.pid, signal.SIGINT)
    terminal.wait_for("Ctrl-C again")
    began = time.monotonic()
    os.kill(terminal.process.pid, signal.SIGINT)
    assert terminal.end() == 130
    assert time.monotonic() - began < 60, "a step that takes 600 s was not waited for"
    assert "Traceback" not in terminal.text


def test_a_pipe_gets_lines_without_control_characters(tmp_path: Path) -> None:
    command = [sys.executable, str(CHILD), str(tmp_path), "fast", "up"]
    done = subprocess.run(command, capture_output=True, text=True, env=environ(), timeout=60)
    assert done.returncode == 0, done.stderr
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", done.stdout)
    assert re.search(r"\[\d\d:\d\d\] vllm@spark-1 changed after", done.stdout)


@pytest.mark.parametrize("verb", ["plan", "up", "status", "--help"])
def test_a_reader_that_leaves_is_no_error(verb: str, tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, str(CHILD), str(tmp_path), "fast", verb]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, env=environ(), timeout=60)
    os.close(write)
    assert done.stderr == ""
    assert done.returncode == 141


UNWRITABLE = [
    ["status"],
    ["plan", "--json"],
    ["up"],
    ["logs"],
    ["config", "show"],
    ["completion", "bash"],
    ["nonsense", "--json"],
    ["--help"],
    ["--version"],
]


@pytest.mark.parametrize("argv", UNWRITABLE, ids=" ".join)
def test_a_full_disk_behind_standard_output_is_told_in_a_line(argv: list[str], tmp_path: Path) -> None:
    command = [sys.executable, str(CHILD), str(tmp_path), "spoken", *argv]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, env=environ(), timeout=60)
    assert done.stderr == "error: cannot write to standard output: No space left on device\n"
    assert done.returncode == 1
    assert not (tmp_path / "state/sparkctl/bugs").exists()


@pytest.mark.parametrize("argv", [["status"], ["up"], ["--help"], ["--version"]], ids=" ".join)
def test_a_closed_standard_output_is_told_before_anything_is_done(argv: list[str], tmp_path: Path) -> None:
    command = [sys.executable, str(CHILD), str(tmp_path), "fast", *argv]
    shell = ["sh", "-c", 'exec "$@" >&-', "sh", *command]
    done = subprocess.run(shell, stderr=subprocess.PIPE, text=True, env=environ(), timeout=60)
    assert done.stderr == "error: cannot write to standard output: it is closed\n"
    assert done.returncode == 1
    assert not (tmp_path / "state").exists(), "up has begun nothing"


def test_closed_input_and_standard_error_do_no_harm(tmp_path: Path) -> None:
    command = [sys.executable, str(CHILD), str(tmp_path), "deployed", "stop"]
    shell = ["sh", "-c", 'exec "$@" <&- 2>&-', "sh", *command]
    done = subprocess.run(shell, stdout=subprocess.PIPE, text=True, env=environ(), timeout=60)
    assert done.returncode == 1, "nobody can be asked"
    assert "remove vllm" in done.stdout
    assert not (tmp_path / "state/sparkctl/bugs").exists()


def test_json_keeps_standard_output_to_itself(tmp_path: Path) -> None:
    import json

    command = [sys.executable, str(CHILD), str(tmp_path), "fast", "up", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=environ(), timeout=60)
    assert json.loads(done.stdout)["run"]["outcome"] == "done"
    assert "vllm@spark-1 changed after" in done.stderr


def test_an_encoding_that_lacks_our_marks_is_no_error(tmp_path: Path) -> None:
    command = [sys.executable, str(CHILD), str(tmp_path), "foreign", "plan"]
    env = environ(PYTHONIOENCODING="latin-1", LANG="en_US.ISO-8859-1")
    done = subprocess.run(command, capture_output=True, env=env, timeout=60)
    assert done.returncode == 0, done.stderr
    assert rb"\u65e5\u672c\u8a9e" in done.stdout
