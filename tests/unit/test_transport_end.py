"""Remote processes over a real sshd: none outlives its command, its session or its connection."""

import subprocess
import sys
import threading
import time

import fabric
import pytest
from sshd import Sshd, eventually, gone, processes, sleeper

from sparkctl.errors import CommandFailed, ConnectionLost
from sparkctl.transport.ssh import SshSession


def wait_for(marker: str) -> None:
    assert eventually(lambda: processes(marker)), "the remote command never started"


def blocked(session: SshSession, seconds: str, caught: list[ConnectionLost]) -> threading.Thread:
    """A thread in which a command runs on and on; `caught` gets the error that ends it."""

    def work() -> None:
        try:
            session.run(["sleep", seconds], timeout=None)
        except ConnectionLost as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    wait_for(f"sleep {seconds}")
    return thread


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
    seconds, caught = sleeper(), list[ConnectionLost]()
    session = sshd.open()
    thread = blocked(session, seconds, caught)
    session.close()
    thread.join(60)
    assert caught and not thread.is_alive()
    assert gone(f"sleep {seconds}")


def test_a_process_that_ignores_term_is_killed(sshd: Sshd) -> None:
    seconds = sleeper()
    session = sshd.open()
    with pytest.raises(CommandFailed):
        session.run(["sh", "-c", f"trap '' TERM; sleep {seconds}; sleep {seconds}"], timeout=0.5)
    session.close()
    assert gone(f"sleep {seconds}")


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
    assert eventually(lambda: processes(f"sleep {seconds}"))
    child.kill()
    child.wait()
    assert gone(f"sleep {seconds}")


def test_a_connection_that_is_cut_is_lost_and_leaves_no_process(own_sshd: Sshd) -> None:
    seconds, caught = sleeper(), list[ConnectionLost]()
    session = own_sshd.open()
    thread = blocked(session, seconds, caught)
    own_sshd.drop_connections()
    thread.join(60)
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
    assert connecting.wait(60)
    reviver.start()
    for thread in (anew, reviver):
        thread.join(60)
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


def test_no_noise_and_no_thread_is_left(sshd: Sshd, capfd: pytest.CaptureFixture[str]) -> None:
    before = set(threading.enumerate())
    session = sshd.open()
    session.run(["cat"], stdin=b"x" * 200_000)
    session.close()
    session.close()
    assert eventually(lambda: set(threading.enumerate()) <= before)
    assert capfd.readouterr() == ("", "")
