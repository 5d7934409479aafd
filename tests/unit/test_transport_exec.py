"""Commands over a real sshd: what they get, what they give back, and that none outlives its connection."""

import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fabric
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sshd import Sshd, eventually, gone, processes

from sparkctl.errors import CommandFailed, ConnectionLost
from sparkctl.transport.session import Result
from sparkctl.transport.ssh import SshSession

SHARED = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
WORDS = st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), max_size=5)


def sleeper() -> str:
    """A number of seconds that no other process sleeps for."""
    return f"{secrets.randbelow(10**6) + 1000}.{secrets.randbelow(10**6)}"


def wait_for(marker: str) -> None:
    assert eventually(lambda: processes(marker)), "the remote command never started"


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


def test_hundreds_of_commands_that_end_at_once(session: SshSession) -> None:
    for number in range(400):
        assert session.run(["printf", str(number)], timeout=10).stdout == str(number)


def test_output_that_is_no_utf8_is_replaced(session: SshSession) -> None:
    assert session.run(["printf", "a\\377b"]).stdout == "a\ufffdb"


def test_a_script_has_its_input_and_its_status(session: SshSession) -> None:
    result = session.script("set -e\nread -r x\necho \"got '$x'\"\nexit 7\n", stdin=b"one\n", check=False)
    assert (result.stdout, result.rc) == ("got 'one'\n", 7)


def test_a_long_script_stands_on_no_command_line(session: SshSession) -> None:
    text = "# " + "canary" * 50_000 + "\ntr '\\0' ' ' < /proc/$$/cmdline; tr '\\0' ' ' < /proc/self/cmdline"
    assert "canary" not in session.script(text).stdout


def test_lines_are_told_as_they_come(session: SshSession) -> None:
    seen: list[tuple[str, float]] = []
    session.script(
        "echo one; sleep 0.5; printf 'two\\r\\nthree'", on_line=lambda s: seen.append((s, time.monotonic()))
    )
    assert [line for line, _ in seen] == ["one", "two", "three"]
    assert seen[1][1] - seen[0][1] > 0.3


def test_what_a_bashrc_prints_is_no_output(own_sshd: Sshd) -> None:
    (own_sshd.home / ".bashrc").write_text("echo welcome\n")
    session = own_sshd.open()
    assert session.run(["echo", "x"]).stdout == "x\n"
    assert session.docker.ping()
    session.close()


def test_a_daemon_that_keeps_the_streams_open_does_not_block(session: SshSession) -> None:
    seconds = sleeper()
    started = time.monotonic()
    assert session.script(f"setsid sleep {seconds} & sleep 0.3; echo ok").stdout == "ok\n"
    assert time.monotonic() - started < 5
    (pid,) = processes(f"sleep {seconds}")
    os.kill(pid, signal.SIGKILL)


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


def test_out_of_time_ends_the_remote_process(session: SshSession) -> None:
    seconds = sleeper()
    with pytest.raises(CommandFailed, match=r"did not end within 0\.5 s"):
        session.script(f"echo before; sleep {seconds} & sleep {seconds}", timeout=0.5)
    assert gone(f"sleep {seconds}")


def test_a_normal_end_leaves_nothing_behind(sshd: Sshd, session: SshSession) -> None:
    seconds = sleeper()
    session.script(f"sleep {seconds} >/dev/null 2>&1 &")
    assert gone(f"sleep {seconds}")
    assert eventually(lambda: not sshd.commands())


def test_closing_the_session_frees_a_blocked_run_and_ends_the_process(sshd: Sshd) -> None:
    seconds, caught = sleeper(), []
    session = sshd.open()

    def work() -> None:
        try:
            session.run(["sleep", seconds], timeout=None)
        except ConnectionLost as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    wait_for(f"sleep {seconds}")
    session.close()
    thread.join(2)
    assert caught and not thread.is_alive()
    assert gone(f"sleep {seconds}")


def test_a_process_that_ignores_term_is_killed(sshd: Sshd) -> None:
    seconds = sleeper()
    session = sshd.open()
    with pytest.raises(CommandFailed):
        session.run(["sh", "-c", f"trap '' TERM; sleep {seconds}; sleep {seconds}"], timeout=0.5)
    session.close()
    assert gone(f"sleep {seconds}", 12)


def test_sigkill_of_the_laptop_process_ends_the_remote_one(sshd: Sshd) -> None:
    seconds = sleeper()
    code = f"""
import sys
from pathlib import Path
from sparkctl.topology import Node, Role
from sparkctl.transport.ssh import SshSession
node = Node("spark-1", Role.HEAD, "127.0.0.1", {sshd.user!r}, {sshd.port}, identity_file={str(sshd.user_key)!r})
SshSession(node, known_hosts=Path({str(sshd.known_hosts)!r})).run(["sleep", sys.stdin.read()], timeout=None)
"""
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, text=True)
    assert child.stdin
    child.stdin.write(seconds)
    child.stdin.close()
    assert eventually(lambda: processes(f"sleep {seconds}"), 10)
    child.kill()
    child.wait()
    assert gone(f"sleep {seconds}")


def test_a_connection_that_is_cut_is_lost_and_leaves_no_process(own_sshd: Sshd) -> None:
    seconds, caught = sleeper(), []
    session = own_sshd.open()

    def work() -> None:
        try:
            session.run(["sleep", seconds], timeout=None)
        except ConnectionLost as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    wait_for(f"sleep {seconds}")
    own_sshd.drop_connections()
    thread.join(5)
    assert caught and caught[0].where == "spark-1" and caught[0].exit_code == 4
    assert gone(f"sleep {seconds}")
    with pytest.raises(ConnectionLost):
        session.run(["true"])
    session.reconnect()
    assert session.run(["echo", "back"]).stdout == "back\n"
    session.close()


def test_two_threads_that_open_a_connection_anew_leave_one(own_sshd: Sshd) -> None:
    """A step that joined a group, and another lane that takes the lock again at that moment."""
    session = own_sshd.open()
    slow = session._connect
    connecting, reviver = threading.Event(), threading.Thread(target=session.revive)

    def connect() -> fabric.Connection:
        connecting.set()
        time.sleep(0.3)
        return slow()

    session._connect = connect  # type: ignore[method-assign]
    anew = threading.Thread(target=session.reconnect)
    anew.start()
    assert connecting.wait(5)
    reviver.start()
    for thread in (anew, reviver):
        thread.join(10)
    assert session.run(["echo", "back"]).stdout == "back\n"
    session.close()
    assert session.connections == 2, "one at first, one anew"


def test_an_error_in_the_listener_ends_the_remote_process(session: SshSession) -> None:
    seconds = sleeper()

    def stop(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        session.script(f"echo go; sleep {seconds}", on_line=stop)
    assert gone(f"sleep {seconds}")


def test_too_many_sessions_on_one_connection_is_said(tmp_path: Path) -> None:
    server = Sshd(tmp_path / "narrow", extra="MaxSessions 1")
    session = server.open()
    try:
        hold = session.hold("echo ready; sleep 60")
        with pytest.raises(CommandFailed) as caught:
            session.run(["true"])
        assert "MaxSessions" in caught.value.fix
        hold.release()
        assert session.run(["true"]).rc == 0
    finally:
        session.close()
        server.stop()


def test_more_commands_than_the_server_has_places_wait_for_each_other(own_sshd: Sshd) -> None:
    session = own_sshd.open()
    lock = session.hold("echo ready; sleep 60")
    with ThreadPoolExecutor(24) as pool:
        results = list(pool.map(lambda n: session.run(["sh", "-c", f"sleep 0.5; echo {n}"]).stdout, range(24)))
    assert results == [f"{n}\n" for n in range(24)]
    assert lock.alive()
    lock.release()
    session.close()


def test_long_commands_leave_room_for_short_ones(own_sshd: Sshd) -> None:
    session, go = own_sshd.open(), own_sshd.folder / "go"
    lock = session.hold("echo ready; sleep 60")
    docker = [session.open_channel() for _ in range(3)]
    with ThreadPoolExecutor(12) as pool:
        waits = f"until [ -e {go} ]; do sleep 0.05; done; echo done"
        streams = [pool.submit(session.script, waits, timeout=None) for _ in range(12)]
        assert eventually(lambda: len(own_sshd.commands()) > 5)
        began = time.monotonic()
        assert [session.run(["echo", "short"], timeout=10).stdout for _ in range(5)] == ["short\n"] * 5
        assert time.monotonic() - began < 5
        go.touch()
        assert [stream.result().stdout for stream in streams] == ["done\n"] * 12
    for channel in docker:
        channel.close()
    lock.release()
    session.close()


def test_round_trips_are_counted(session: SshSession) -> None:
    before = session.round_trips
    session.probe("echo 1")
    session.run(["true"])
    assert session.round_trips - before == 2


def test_no_noise_and_no_thread_is_left(sshd: Sshd, capfd: pytest.CaptureFixture[str]) -> None:
    before = set(threading.enumerate())
    session = sshd.open()
    session.run(["cat"], stdin=b"x" * 200_000)
    session.close()
    session.close()
    assert eventually(lambda: set(threading.enumerate()) <= before)
    assert capfd.readouterr() == ("", "")
