"""The lock of a cluster, over real connections."""

import os
import re
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sshd import Sshd, eventually

from sparkctl.core.lock import FOLDER, held
from sparkctl.errors import CommandFailed, ConnectionLost, LockedError
from sparkctl.transport.memory import MemoryHost
from sparkctl.transport.ssh import SshSession


@pytest.fixture
def cluster() -> Iterator[str]:
    name = f"test-{secrets.token_hex(4)}"
    yield name
    lock_file(name).unlink(missing_ok=True)


@pytest.fixture
def rival(sshd: Sshd) -> Iterator[SshSession]:
    session = sshd.open()
    yield session
    session.close()


def lock_file(cluster: str) -> Path:
    return Path(FOLDER) / f"sparkctl-{cluster}.lock"


def is_free(session: SshSession, cluster: str) -> bool:
    try:
        with held(session, cluster, "test"):
            return True
    except LockedError:
        return False


def test_a_second_run_is_kept_out_and_told_who_is_in(session: SshSession, rival: SshSession, cluster: str) -> None:
    with held(session, cluster, "up") as lock:
        assert lock.is_held()
        with pytest.raises(LockedError) as caught, held(rival, cluster, "down"):
            pass
    assert f"{os.environ.get('USER', 'root')}@" in caught.value.what
    since = r", who runs `sparkctl up` \(process \d+\) since 20\d\d-\d\d-\d\d \d\d:\d\d UTC$"
    assert re.search(since, caught.value.what)
    assert caught.value.fix == (
        f"wait until that run ends, or end it by Ctrl-C there, or on {socket.gethostname()}: kill {os.getpid()}"
    )
    assert caught.value.exit_code == 5
    assert not lock.is_held()


def test_it_is_free_at_once_after_the_block(session: SshSession, rival: SshSession, cluster: str) -> None:
    for _ in range(5):
        with held(session, cluster, "up"):
            pass
        with held(rival, cluster, "down"):
            pass


def test_down_leaves_no_file(session: SshSession, rival: SshSession, cluster: str) -> None:
    with held(session, cluster, "down", forget=True):
        assert not is_free(rival, cluster)
    assert not lock_file(cluster).exists()
    assert is_free(rival, cluster)


def test_another_cluster_is_another_lock(session: SshSession, rival: SshSession, cluster: str) -> None:
    with held(session, cluster, "up"):
        assert is_free(rival, f"{cluster}x")
    lock_file(f"{cluster}x").unlink()


def test_an_error_in_the_block_releases_it(session: SshSession, rival: SshSession, cluster: str) -> None:
    with pytest.raises(KeyError), held(session, cluster, "up"):
        raise KeyError
    assert is_free(rival, cluster)


def test_sigkill_of_the_holder_frees_it(sshd: Sshd, rival: SshSession, cluster: str) -> None:
    code = f"""
import time
from pathlib import Path
from sparkctl.core.lock import held
from sparkctl.topology import Node, Role
from sparkctl.transport.ssh import SshSession
node = Node("spark-1", Role.HEAD, "127.0.0.1", {sshd.user!r}, {sshd.port}, identity_file={str(sshd.user_key)!r})
with held(SshSession(node, known_hosts=Path({str(sshd.known_hosts)!r})), {cluster!r}, "up"):
    print("in", flush=True)
    time.sleep(600)
"""
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert child.stdout and child.stdout.readline() == "in\n"
    assert not is_free(rival, cluster)
    child.kill()
    child.wait()
    child.stdout.close()
    assert eventually(lambda: is_free(rival, cluster))


def test_a_cut_connection_is_noticed_and_frees_it(own_sshd: Sshd, rival: SshSession, cluster: str) -> None:
    session = own_sshd.open()
    with held(session, cluster, "up") as lock:
        own_sshd.drop_connections()
        assert eventually(lambda: not lock.is_held())
        assert eventually(lambda: is_free(rival, cluster))
    with pytest.raises(ConnectionLost), held(session, cluster, "up"):
        pass
    session.close()


def test_death_of_the_process_on_the_node_is_noticed(session: SshSession, cluster: str) -> None:
    with held(session, cluster, "up") as lock:
        holders = [
            int(path.parent.parent.name)
            for path in Path("/proc").glob("[0-9]*/fd/9")
            if os.path.realpath(path) == str(lock_file(cluster))
        ]
        for pid in holders:
            os.kill(pid, 9)
        assert eventually(lambda: not lock.is_held())


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to act for another user")
def test_a_lock_made_by_another_user_works(session: SshSession, rival: SshSession, cluster: str) -> None:
    path = lock_file(cluster)
    path.write_text("old")
    path.chmod(0o666)
    os.chown(path, 65534, 65534)
    with held(session, cluster, "up"), pytest.raises(LockedError, match="sparkctl up"), held(rival, cluster, "down"):
        pass


def test_a_link_in_its_place_is_not_followed(session: SshSession, cluster: str, tmp_path: Path) -> None:
    (tmp_path / "target").write_text("mine")
    lock_file(cluster).symlink_to(tmp_path / "target")
    with pytest.raises(CommandFailed) as caught, held(session, cluster, "up"):
        pass
    assert "not a plain file" in caught.value.output
    assert (tmp_path / "target").read_text() == "mine"


def test_nothing_that_acts_on_a_terminal_is_shown() -> None:
    host = MemoryHost(hold_line="busy\t\x1b[2Jeve@evil\tup")
    with pytest.raises(LockedError, match=r"locked by \?\[2Jeve@evil, who runs `sparkctl up`$"), held(host, "c", "up"):
        pass
    assert host.holds[0].released


def test_what_was_written_into_the_file_is_no_command_of_ours() -> None:
    host = MemoryHost(hold_line="busy\teve@evil; reboot\tup\t1;reboot\tyesterday")
    with pytest.raises(LockedError) as caught, held(host, "c", "up"):
        pass
    assert caught.value.what == "cluster c is locked by eve@evil; reboot, who runs `sparkctl up` since yesterday"
    assert caught.value.fix == "wait until that run ends, or end it by Ctrl-C there"


def test_the_keeper_is_no_run_that_anybody_should_end() -> None:
    host = MemoryHost(hold_line="busy\tkeeper@spark-1\tkeeper\t250\t2026-11-21T19:02:11Z")
    with pytest.raises(LockedError) as caught, held(host, "c", "up"):
        pass
    assert "locked by its keeper (keeper@spark-1) since 2026-11-21 19:02 UTC, which finishes" in caught.value.what
    assert "kill" not in caught.value.fix and "journalctl -fu sparkctl-keeper-c" in caught.value.fix


def test_a_holder_that_has_not_said_who_it_is(cluster: str) -> None:
    with pytest.raises(LockedError, match=r"locked by somebody$"), held(MemoryHost(hold_line="busy\t"), "c", "up"):
        pass


def test_the_name_of_a_cluster_cannot_leave_the_folder() -> None:
    host = MemoryHost()
    with held(host, "../../tmp/x; reboot", "up") as lock:
        assert lock.is_held()
    assert "file=/run/lock/sparkctl-..%2F..%2Ftmp%2Fx%3B%20reboot.lock" in host.log[0].script
