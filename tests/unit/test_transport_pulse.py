"""A node that froze is told from one that is slow, over a real sshd."""

import threading
import time
from functools import partial
from pathlib import Path

import pytest
from sshd import Sshd, eventually

from sparkctl.errors import ConnectionLost
from sparkctl.transport.pulse import Pulse
from sparkctl.transport.ssh import SshSession


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sparkctl.transport.ssh.Pulse", partial(Pulse, seconds=0.4))
    monkeypatch.setattr("sparkctl.transport.door.CHANNEL_SECONDS", 0.8)


def test_a_slow_probe_is_waited_for(session: SshSession, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    go = tmp_path / "go"

    class Felt(Pulse):
        """It asks after a short silence, and waits long for the answer."""

        def feel(self) -> None:
            Pulse(self.transport, 60).feel()
            go.touch()

    monkeypatch.setattr("sparkctl.transport.door.CHANNEL_SECONDS", 60)
    monkeypatch.setattr("sparkctl.transport.ssh.Pulse", partial(Felt, seconds=0.4))
    assert session.probe(f"until [ -e {go} ]; do sleep 0.05; done; echo there").strip() == "there"


def test_a_node_that_freezes_while_it_is_probed_is_out_of_reach(own_sshd: Sshd) -> None:
    session, started = own_sshd.open(), own_sshd.folder / "started"
    freeze = threading.Thread(target=lambda: eventually(started.exists) and own_sshd.freeze())
    freeze.start()
    began = time.monotonic()
    with pytest.raises(ConnectionLost, match="spark-1 does not answer any more"):
        session.probe(f"touch {started}; sleep 300")
    assert time.monotonic() - began < 60
    freeze.join()
    session.close()


def test_a_node_that_freezes_after_a_command_closed_its_streams_is_out_of_reach(own_sshd: Sshd) -> None:
    session, closed = own_sshd.open(), own_sshd.folder / "closed"
    script = f"exec >&- 2>&-; touch {closed}; sleep 300"
    freeze = threading.Thread(target=lambda: eventually(closed.exists) and own_sshd.freeze())
    freeze.start()
    with pytest.raises(ConnectionLost, match="spark-1 does not answer any more"):
        session.probe(script)
    freeze.join()
    session.close()


def test_a_node_that_froze_before_it_is_asked_opens_no_channel(own_sshd: Sshd) -> None:
    session = own_sshd.open()
    own_sshd.freeze()
    began = time.monotonic()
    with pytest.raises(ConnectionLost, match="spark-1 does not answer any more") as caught:
        session.probe("true")
    assert time.monotonic() - began < 60
    assert "frozen" in caught.value.fix
    session.close()
