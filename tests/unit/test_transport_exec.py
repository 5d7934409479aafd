"""Commands over a real sshd: what they get, what they give back, and what is said when they fail."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sshd import Sshd, eventually, processes, sleeper

from sparkctl.errors import CommandFailed
from sparkctl.transport.exec import Capture, NoAnswer, OutOfTime, begin, execute
from sparkctl.transport.session import Result
from sparkctl.transport.ssh import SshSession
from sparkctl.transport.wrapper import wrap_argv

SHARED = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
WORDS = st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), max_size=5)


def test_a_command_gives_both_streams_and_its_status(session: SshSession) -> None:
    assert session.run(["sh", "-c", "echo out; echo err >&2; exit 4"], check=False) == Result("out\n", "err\n", 4)


@SHARED
@given(WORDS)
def test_arguments_arrive_as_they_were_given(session: SshSession, words: list[str]) -> None:
    assert session.run(["printf", "%s\\0", "x", *words]).stdout.split("\0")[:-1] == ["x", *words]


@SHARED
@given(st.binary(max_size=200))
def test_standard_input_arrives_as_it_was_given(session: SshSession, data: bytes) -> None:
    out = session.run(["od", "-An", "-v", "-tx1"], stdin=data).stdout
    assert bytes.fromhex("".join(out.split())) == data


def test_large_input_and_output_at_once(session: SshSession) -> None:
    data = os.urandom(3_000_000).hex().encode()
    assert session.run(["cat"], stdin=data).stdout.encode() == data


def test_ten_megabytes_on_both_streams_do_not_block(session: SshSession) -> None:
    both = session.script("head -c 10000000 /dev/zero | tr '\\0' a; head -c 10000000 /dev/zero | tr '\\0' b >&2")
    assert (len(both.stdout), len(both.stderr)) == (10_000_000, 10_000_000)


def test_input_that_nobody_reads_is_no_error(session: SshSession) -> None:
    assert session.run(["true"], stdin=b"x" * 1_000_000).rc == 0


def test_a_command_may_close_its_input_and_go_on(session: SshSession) -> None:
    assert session.script("exec <&-; sleep 0.3; echo done", stdin=b"x" * 200_000).stdout == "done\n"


def test_output_that_is_no_utf8_is_replaced(session: SshSession) -> None:
    assert session.run(["printf", "a\\377b"]).stdout == "a\ufffdb"


def test_a_script_has_its_input_and_its_status(session: SshSession) -> None:
    result = session.script("set -e\nread -r x\necho \"got '$x'\"\nexit 7\n", stdin=b"one\n", check=False)
    assert (result.stdout, result.rc) == ("got 'one'\n", 7)


def test_a_long_script_stands_on_no_command_line(session: SshSession) -> None:
    text = "# " + "canary" * 50_000 + "\ntr '\\0' ' ' < /proc/$$/cmdline; tr '\\0' ' ' < /proc/self/cmdline"
    assert "canary" not in session.script(text).stdout


def test_lines_are_told_as_they_come(session: SshSession, tmp_path: Path) -> None:
    seen, go = list[str](), tmp_path / "go"

    def hear(line: str) -> None:
        seen.append(line)
        go.touch()

    session.script(f"echo one; until [ -e {go} ]; do sleep 0.05; done; printf 'two\\r\\nthree'", on_line=hear)
    assert seen == ["one", "two", "three"]


def test_what_a_bashrc_prints_is_no_output(own_sshd: Sshd) -> None:
    (own_sshd.home / ".bashrc").write_text("echo welcome\n")
    session = own_sshd.open()
    assert session.run(["echo", "x"]).stdout == "x\n"
    assert session.docker.ping()
    session.close()


def test_a_daemon_that_keeps_the_streams_open_does_not_block(session: SshSession, tmp_path: Path) -> None:
    seconds, ready = sleeper(), tmp_path / "ready"
    started = time.monotonic()
    daemon = f"setsid sh -c 'touch {ready}; exec sleep {seconds}' &"
    assert session.script(f"{daemon} until [ -e {ready} ]; do sleep 0.05; done; echo ok").stdout == "ok\n"
    assert time.monotonic() - started < 50
    assert eventually(lambda: len(processes(f"sleep {seconds}")) == 1)
    (pid,) = processes(f"sleep {seconds}")
    os.kill(pid, signal.SIGKILL)


def test_a_server_that_freezes_before_it_takes_a_command_is_out_of_time(own_sshd: Sshd) -> None:
    session = own_sshd.open()
    channel = session.open_channel()
    own_sshd.freeze()
    with pytest.raises(OutOfTime):
        begin(channel, wrap_argv(["true"]), time.monotonic() + 0.5)
    session.close()


def test_a_server_that_never_takes_a_command_does_not_answer(own_sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sparkctl.transport.exec.BEGIN_SECONDS", 0.5)
    session = own_sshd.open()
    channel = session.open_channel()
    own_sshd.freeze()
    with pytest.raises(NoAnswer):
        begin(channel, wrap_argv(["true"]), time.monotonic() + 600)
    session.close()


def test_a_connection_that_breaks_gives_no_status(own_sshd: Sshd) -> None:
    """Paramiko ends one channel after the other, and only then says that the connection has ended."""
    session, seconds = own_sshd.open(), sleeper()
    first, second = session.open_channel(), session.open_channel()
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(execute, first, wrap_argv(["sleep", seconds]), Capture(), None)
        assert eventually(lambda: processes(f"sleep {seconds}"))
        with second.lock:
            own_sshd.drop_connections()
            assert first.status_event.wait(60)
            time.sleep(0.3)
        with pytest.raises(NoAnswer):
            ended.result(60)
    session.close()


def test_a_wrapper_that_is_killed_ends_without_a_status(session: SshSession) -> None:
    assert session.script("kill -9 $$", check=False).rc == -1


def test_a_failure_names_command_node_and_last_words(session: SshSession) -> None:
    with pytest.raises(CommandFailed) as caught:
        session.run(["ls", "/no such"])
    error = caught.value
    assert (error.where, error.exit_code) == ("spark-1", 1)
    assert error.what == "ls '/no such': ended with status 2"
    assert error.output == "ls: cannot access '/no such': No such file or directory"


@pytest.mark.parametrize(
    ("words", "fix"),
    [
        ("permission denied while trying to connect to the Docker daemon socket", "usermod -aG docker"),
        ("write /x: no space left on device", "df -h"),
        ("Cannot connect to the Docker daemon at unix:///var/run/docker.sock.", "systemctl start docker"),
        ("dial unix /var/run/docker.sock: connect: no such file or directory", "systemctl start docker"),
        ("sudo: a password is required", "NOPASSWD"),
        ("sudo: 1 incorrect password attempt", "is not the password of"),
    ],
)
def test_a_known_failure_comes_with_its_fix(session: SshSession, words: str, fix: str) -> None:
    with pytest.raises(CommandFailed) as caught:
        session.run(["sh", "-c", 'echo "$1" >&2; exit 1', "sh", words])
    assert fix in caught.value.fix


def test_a_missing_command_is_named(session: SshSession) -> None:
    with pytest.raises(CommandFailed) as caught:
        session.run(["no-such-command"])
    assert "status 127" in caught.value.what
    assert "no-such-command" in caught.value.output
    assert "install" in caught.value.fix


def test_the_shell_tells_no_tales(session: SshSession) -> None:
    assert session.run(["sh", "-c", "kill -9 $$"], check=False) == Result("", "", 137)


@pytest.mark.parametrize("argv", [[], ["a\0b"]])
def test_what_cannot_be_a_command_is_refused(session: SshSession, argv: list[str]) -> None:
    with pytest.raises(ValueError, match=r"NUL|empty"):
        session.run(argv)
