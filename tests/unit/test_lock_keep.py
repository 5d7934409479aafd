"""A lock whose connection breaks is taken again, unless somebody else was faster."""

import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sshd import Sshd

from sparkctl.core.lock import FOLDER, Lock, held
from sparkctl.errors import LockedError
from sparkctl.transport.ssh import SshSession


@pytest.fixture
def cluster() -> Iterator[str]:
    name = f"keep-{uuid.uuid4().hex[:12]}"
    yield name
    Path(f"{FOLDER}/sparkctl-{name}.lock").unlink(missing_ok=True)


def test_a_lock_that_holds_is_left_alone(session: SshSession, cluster: str) -> None:
    with held(session, cluster, "up") as lock:
        trips = session.round_trips
        lock.keep()
        assert session.round_trips == trips and lock.is_held()


def test_a_cut_lock_is_taken_anew(own_sshd: Sshd, session: SshSession, cluster: str) -> None:
    ours = own_sshd.open()
    with held(ours, cluster, "up") as lock:
        own_sshd.drop_connections()
        wait_until_lost(lock)
        lock.keep()
        assert lock.is_held()
        with pytest.raises(LockedError), held(session, cluster, "down"):
            pass
    with held(session, cluster, "down"):
        pass
    ours.close()


def test_whoever_was_faster_has_it(own_sshd: Sshd, session: SshSession, cluster: str) -> None:
    ours = own_sshd.open()
    with held(ours, cluster, "up") as lock:
        own_sshd.drop_connections()
        wait_until_lost(lock)
        with taken(session, cluster), pytest.raises(LockedError, match="`sparkctl down`"):
            lock.keep()
    ours.close()


def test_whoever_was_there_meanwhile_ends_the_run_that_lost_it(
    own_sshd: Sshd, session: SshSession, cluster: str
) -> None:
    """Its plan is of a cluster that is another one now."""
    ours = own_sshd.open()
    with held(ours, cluster, "up") as lock:
        own_sshd.drop_connections()
        wait_until_lost(lock)
        taken(session, cluster).close()
        for _ in range(2):
            with pytest.raises(LockedError, match=r"has changed cluster .* while the connection was lost"):
                lock.keep()
    ours.close()


def test_the_keeper_that_looked_meanwhile_does_not_end_it(own_sshd: Sshd, session: SshSession, cluster: str) -> None:
    ours = own_sshd.open()
    with held(ours, cluster, "up") as lock:
        own_sshd.drop_connections()
        wait_until_lost(lock)
        taken(session, cluster, verb="keeper").close()
        lock.keep()
        assert lock.is_held()
    ours.close()


def wait_until_lost(lock: Lock) -> None:
    deadline = time.monotonic() + 60
    while lock.is_held():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def taken(session: SshSession, cluster: str, seconds: float = 60, verb: str = "down") -> ExitStack:
    """The lock in other hands, as soon as it is free."""
    hands, deadline = ExitStack(), time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            hands.enter_context(held(session, cluster, verb))
            return hands
        except LockedError:
            time.sleep(0.1)
    raise AssertionError("never free")
