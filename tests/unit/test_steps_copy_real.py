"""The copy store with real rsync over real SSH, from one server on loopback to another."""

import hashlib
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from homes import pair, snapshot
from sshd import Sshd

from sparkctl.core.action import Context, Progress
from sparkctl.core.step import Absent, Drifted, Finding, Ok
from sparkctl.errors import CommandFailed, Interrupted, StepFailed
from sparkctl.facts.probe import Facts, frame, unframe
from sparkctl.steps.copy import CopyStep
from sparkctl.steps.copy_actions import spread
from sparkctl.steps.ssh_trust_actions import Pin, Way, key_path
from sparkctl.transport.ssh import SshSession

MODEL = "cache/hub/models--org--tiny"


@dataclass
class Bench:
    """A head with a model, a worker without, and the step between them."""

    head: Sshd
    worker: Sshd
    sessions: dict[str, SshSession]
    step: CopyStep
    reports: list[Progress]
    stop: threading.Event

    @property
    def source(self) -> Path:
        return self.head.home / MODEL

    @property
    def target(self) -> Path:
        return self.worker.home / MODEL

    def facts(self) -> Facts:
        """What both nodes say now."""
        asked = {name: [w.probe for w in self.step.wants if w.node == name] for name in self.sessions}
        return Facts({n: unframe(s.probe(frame(asked[n], "@m")), "@m") for n, s in self.sessions.items()})

    def check(self) -> Finding:
        return self.step.check(self.facts())

    def apply(self) -> None:
        found = self.check()
        assert isinstance(found, Absent | Drifted)
        for action in found.actions:
            action.perform(self.context)

    @property
    def context(self) -> Context:
        return Context(self.sessions["spark-2"], self.sessions, self.reports.append, self.stop)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    head, worker = Sshd(tmp_path / "head"), Sshd(tmp_path / "worker")
    sessions = {"spark-1": head.open(), "spark-2": worker.open()}
    cluster = pair(head, worker)
    for node in cluster.nodes:
        Path(cluster.state_dir(node)).mkdir(parents=True)
    shutil.copy(worker.user_key, key_path(cluster, cluster.head))
    host_key = " ".join((worker.folder / "host_ed25519.pub").read_text().split()[:2])
    source, target = (f"{node.home}/cache" for node in cluster.nodes)
    step = CopyStep(cluster, cluster.workers[0], "org/tiny", source, target, parallel=3)
    found = Bench(head, worker, sessions, step, [], threading.Event())
    Pin(Way(cluster, cluster.head, cluster.workers[0]), (host_key,)).perform(found.context)
    make_model(found.source)
    yield found
    for session in sessions.values():
        session.close()
    head.stop()
    worker.stop()


def make_model(folder: Path) -> None:
    """As the hub's client leaves a model: blobs named by their hash, links to them, a ref."""
    (folder / "blobs").mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("e0f1")
    (folder / "snapshots" / "e0f1" / "sub dir").mkdir(parents=True)
    for number, size in enumerate((3_000_000, 2_000_000, 1_000_000, 70_000, 0)):
        content = bytes([number]) * size
        name = hashlib.sha256(content).hexdigest() if size > 100_000 else hashlib.sha1(content).hexdigest()
        (folder / "blobs" / name).write_bytes(content)
        (folder / "snapshots" / "e0f1" / "sub dir" / f"part {number}").symlink_to(f"../../../blobs/{name}")


def test_copy_verify_and_remove(bench: Bench) -> None:
    before = snapshot(bench.worker.home)
    assert isinstance(bench.check(), Absent)
    bench.apply()
    assert isinstance(bench.check(), Ok)
    assert snapshot(bench.target) == snapshot(bench.source)
    (last,) = [r for r in bench.reports if r.unit == "B"][-1:]
    assert last.done == last.total == 6_070_004
    (action,) = bench.step.undo(bench.facts())
    action.perform(bench.context)
    assert bench.step.undo(bench.facts()) == ()
    assert not bench.target.exists()
    bench.target.parent.rmdir()
    bench.target.parent.parent.rmdir()
    (bench.worker.home / ".sparkctl" / "lab").mkdir(parents=True)
    assert snapshot(bench.worker.home) == before


def test_only_what_is_missing_travels(bench: Bench) -> None:
    bench.apply()
    biggest = max((bench.target / "blobs").iterdir(), key=lambda path: path.stat().st_size)
    others = {p: p.stat().st_ino for p in (bench.target / "blobs").iterdir() if p != biggest}
    biggest.unlink()
    shutil.rmtree(bench.target / "snapshots")
    found = bench.check()
    assert isinstance(found, Drifted)
    assert found.differences == ("6 files of 11 missing or different",)
    bench.apply()
    assert isinstance(bench.check(), Ok)
    assert {p: p.stat().st_ino for p in others} == others


def test_damage_of_equal_size_is_found_and_mended(bench: Bench) -> None:
    bench.apply()
    record = Path(bench.step.cluster.state_dir(bench.step.worker)) / "copies" / "models--org--tiny"
    record.write_text("# managed by sparkctl\nmade\n")
    damaged = [min((bench.target / "blobs").iterdir(), key=lambda p: (len(p.name) != n, p.name)) for n in (64, 40)]
    contents = [path.read_bytes() for path in damaged]
    for path in damaged:
        info = path.stat()
        path.write_bytes(b"X" * info.st_size)
    bench.apply()
    assert [path.read_bytes() for path in damaged] == contents
    assert isinstance(bench.check(), Ok)


def test_damage_on_the_head_is_named_and_never_called_verified(bench: Bench) -> None:
    damaged = max((bench.source / "blobs").iterdir(), key=lambda path: path.stat().st_size)
    damaged.write_bytes(b"X" * damaged.stat().st_size)
    with pytest.raises(StepFailed) as failed:
        bench.apply()
    assert damaged.name in str(failed.value)
    assert str(damaged) in failed.value.fix
    assert isinstance(bench.check(), Drifted)


def test_stop_ends_the_streams_and_the_next_run_goes_on(bench: Bench) -> None:
    bench.stop.set()
    with pytest.raises(Interrupted):
        bench.apply()
    assert isinstance(bench.check(), Absent | Drifted)
    bench.stop.clear()
    bench.apply()
    assert snapshot(bench.target) == snapshot(bench.source)


def test_what_was_there_before_stays(bench: Bench) -> None:
    (bench.target / "blobs").mkdir(parents=True)
    (bench.target / "blobs" / "theirs").write_text("another revision")
    bench.apply()
    assert isinstance(bench.check(), Ok)
    (action,) = bench.step.undo(bench.facts())
    assert action.summary == "keep, but forget, the copy of org/tiny"
    action.perform(bench.context)
    assert (bench.target / "blobs" / "theirs").read_text() == "another revision"
    assert (bench.target / "refs" / "main").exists()


def test_worker_without_our_key_refuses(bench: Bench) -> None:
    (bench.worker.folder / "authorized").write_text("")
    with pytest.raises(CommandFailed, match="rsync -a") as failed:
        bench.apply()
    assert "Permission denied" in failed.value.output


def test_large_files_first_in_shares_of_equal_weight() -> None:
    sizes = [("a", 10), ("b", 70), ("c", 30), ("d", 30), ("e", 9)]
    assert spread(sizes, 2) == [("b", "e"), ("c", "d", "a")]
    assert spread([], 4) == []
    assert spread(sizes[:1], 4) == [("a",)]
