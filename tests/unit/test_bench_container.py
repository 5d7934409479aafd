"""Containers of a bench on this machine's engine, over a real sshd: told line by line, removed whatever happens."""

import secrets
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sshd import Sshd
from tiny_image import busybox_image

from sparkctl.bench.container import Job, run_all, started
from sparkctl.bench.ground import Run
from sparkctl.core.service import LABEL_CLUSTER, Service
from sparkctl.errors import CommandFailed, UnreachableError
from sparkctl.topology import Cluster, Node, Role
from sparkctl.transport.ssh import SshSession

pytestmark = pytest.mark.skipif(not Path("/var/run/docker.sock").exists(), reason="no Docker engine here")

CLUSTER = Cluster(f"test-{secrets.token_hex(4)}", Node("spark-1", Role.HEAD, "127.0.0.1", "spark"))
NAME = f"sparkctl-{CLUSTER.name}-bench"


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    with busybox_image(f"sparkctl-{CLUSTER.name}") as name:
        yield name


@pytest.fixture
def run(sshd: Sshd) -> Iterator[Run]:
    session = sshd.open()
    yield Run({"spark-1": session}, print)
    assert not _ours(session)
    session.close()


def _ours(session: SshSession) -> list[str]:
    filters: dict[str, Any] = {"label": f"{LABEL_CLUSTER}={CLUSTER.name}"}
    return [str(found.name) for found in session.docker.containers.list(all=True, filters=filters)]


def job(image: str, script: str) -> Job:
    return Job(Service("bench", "spark-1", image, (), ("/bin/sh", "-c", script), network="none"), image)


def test_lines_are_told_as_they_come_and_all_returned(run: Run, image: str) -> None:
    told: list[str] = []
    output = run_all(
        CLUSTER, [job(image, "echo one; sleep 1; echo two; echo no >&2; printf end")], 20, run, told.append
    )
    assert output == "one\ntwo\nend"
    assert told == ["one", "two"]


def test_the_last_words_of_one_that_fails(run: Run, image: str) -> None:
    with pytest.raises(CommandFailed) as error:
        run_all(CLUSTER, [job(image, "echo out; echo ValueError: no such model >&2; exit 3")], 20, run)
    assert error.value.what == "the container of the bench on spark-1 ended with status 3"
    assert "no such model" in error.value.output


def test_it_is_removed_whatever_happens(run: Run, image: str) -> None:
    session = run.sessions["spark-1"]
    assert isinstance(session, SshSession)
    with pytest.raises(KeyboardInterrupt), started(CLUSTER, [job(image, "sleep 300")], run):
        assert _ours(session) == [NAME]
        raise KeyboardInterrupt


def test_one_that_was_left_behind_makes_room(run: Run, image: str) -> None:
    labels = {LABEL_CLUSTER: CLUSTER.name}
    run.sessions["spark-1"].docker.containers.create(image, ["/bin/true"], name=NAME, labels=labels)
    assert run_all(CLUSTER, [job(image, "echo fresh")], 20, run) == "fresh\n"


def test_a_stranger_with_our_name_is_left_alone(run: Run, image: str) -> None:
    stranger = run.sessions["spark-1"].docker.containers.create(image, ["/bin/true"], name=NAME)
    try:
        with pytest.raises(CommandFailed, match="not ours"):
            run_all(CLUSTER, [job(image, "echo never")], 20, run)
        stranger.reload()
    finally:
        stranger.remove(force=True)


def test_a_lost_connection_is_an_error_and_opened_anew_to_remove(sshd: Sshd, run: Run, image: str) -> None:
    cut = sshd.open()
    timer = threading.Timer(2.0, cut.close)
    timer.start()
    with pytest.raises(UnreachableError):
        run_all(CLUSTER, [job(image, "sleep 300")], 20, Run({"spark-1": cut}, print))
    timer.join()
    cut.close()
