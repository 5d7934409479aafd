"""Many commands on one connection to a real sshd, which has so many places for them."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sshd import Sshd, eventually

from sparkctl.errors import CommandFailed
from sparkctl.transport.ssh import SshSession


def test_hundreds_of_commands_that_end_at_once(session: SshSession) -> None:
    for number in range(400):
        assert session.run(["printf", str(number)]).stdout == str(number)


def test_too_many_sessions_on_one_connection_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Sshd(tmp_path / "narrow", extra="MaxSessions 1")
    session = server.open()
    try:
        hold = session.hold("echo ready; sleep 600")
        with pytest.raises(CommandFailed) as caught:
            session.run(["true"])
        assert "MaxSessions" in caught.value.fix
        monkeypatch.setattr("sparkctl.transport.door.BUSY_PAUSES", (0.1,) * 300)
        hold.release()
        assert session.run(["true"]).rc == 0
    finally:
        session.close()
        server.stop()


def test_more_commands_than_the_server_has_places_wait_for_each_other(own_sshd: Sshd) -> None:
    session = own_sshd.open()
    lock = session.hold("echo ready; sleep 600")
    with ThreadPoolExecutor(24) as pool:
        results = list(pool.map(lambda n: session.run(["sh", "-c", f"sleep 0.5; echo {n}"]).stdout, range(24)))
    assert results == [f"{n}\n" for n in range(24)]
    assert lock.alive()
    lock.release()
    session.close()


def test_long_commands_leave_room_for_short_ones(own_sshd: Sshd) -> None:
    session, go = own_sshd.open(), own_sshd.folder / "go"
    lock = session.hold("echo ready; sleep 600")
    docker = [session.open_channel() for _ in range(3)]
    with ThreadPoolExecutor(12) as pool:
        waits = f"until [ -e {go} ]; do sleep 0.05; done; echo done"
        streams = [pool.submit(session.script, waits, timeout=None) for _ in range(12)]
        assert eventually(lambda: len(own_sshd.commands()) > 5)
        began = time.monotonic()
        assert [session.run(["echo", "short"]).stdout for _ in range(5)] == ["short\n"] * 5
        assert time.monotonic() - began < 60
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
