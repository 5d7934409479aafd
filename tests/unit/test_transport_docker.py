"""The Docker SDK over a real sshd and this machine's engine."""

import gc
import io
import secrets
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import docker
import pytest
from docker.models.containers import Container
from sshd import Sshd, eventually
from tiny_image import busybox_image

from sparkctl.errors import CommandFailed
from sparkctl.transport.ssh import SshSession

pytestmark = pytest.mark.skipif(not Path("/var/run/docker.sock").exists(), reason="no Docker engine here")

NAME = f"sparkctl-test-{secrets.token_hex(4)}"


@pytest.fixture(scope="module")
def busybox() -> Iterator[str]:
    with busybox_image(NAME) as image:
        yield image


@pytest.fixture
def container(session: SshSession, busybox: str) -> Iterator[Container]:
    made = session.docker.containers.run(
        busybox, ["/bin/sh", "-c", "echo one; echo two >&2; sleep 300"], detach=True, network_mode="none"
    )
    yield made
    made.remove(force=True)


def test_version_information_and_lists(session: SshSession, container: Container, busybox: str) -> None:
    local = docker.from_env()
    assert session.docker.version()["Version"] == local.version()["Version"]
    assert session.docker.api.api_version == local.version()["ApiVersion"]
    assert [i.id for i in session.docker.images.list(name=busybox)] == [local.images.get(busybox).id]
    assert container.id in {one["Id"] for one in session.docker.api.containers(all=True)}
    local.close()


def test_many_requests_share_one_channel(session: SshSession) -> None:
    session.docker.ping()
    before = session.round_trips
    for _ in range(20):
        session.docker.api.containers(all=True)
    assert session.round_trips == before


def test_errors_are_those_of_the_sdk(session: SshSession) -> None:
    with pytest.raises(docker.errors.NotFound):
        session.docker.containers.get("no-such-container")
    with pytest.raises(docker.errors.ImageNotFound):
        session.docker.images.get("no-such-image:x")
    with pytest.raises(docker.errors.APIError):
        session.docker.images.pull("127.0.0.1:1/nothing", tag="x")
    assert session.docker.ping()


def test_logs_are_read_and_followed(container: Container) -> None:
    stream = container.logs(stream=True, follow=True, stderr=False)
    assert next(stream) == b"one\n"
    assert eventually(lambda: container.logs(stdout=False) == b"two\n")
    stream.close()


def test_exec_gives_status_and_both_streams(container: Container) -> None:
    rc, output = container.exec_run(["/bin/sh", "-c", "echo out; echo err >&2; exit 3"], demux=True)
    assert (rc, tuple(output)) == (3, (b"out\n", b"err\n"))


def test_exec_of_large_output_and_a_stream(container: Container) -> None:
    assert container.exec_run(["/bin/seq", "200000"]).output.count(b"\n") == 200_000
    pieces = cast(Iterator[bytes], container.exec_run(["/bin/seq", "1000"], stream=True).output)
    assert b"".join(pieces).count(b"\n") == 1000


def test_many_execs_lose_no_first_bytes(container: Container) -> None:
    outputs = {container.exec_run(["/bin/echo", "all of it"]).output for _ in range(30)}
    assert outputs == {b"all of it\n"}


def test_exec_over_a_socket(container: Container) -> None:
    made = container.client.api.exec_create(container.id, ["/bin/cat"], stdin=True)
    sock = container.client.api.exec_start(made["Id"], socket=True)
    sock.sendall(b"ping\n")
    assert sock.recv(100).endswith(b"ping\n")
    sock.close()


def test_archives_go_both_ways(container: Container) -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        info = tarfile.TarInfo("big")
        info.size = 3_000_000
        tar.addfile(info, io.BytesIO(b"x" * info.size))
    assert container.put_archive("/", data.getvalue())
    back = b"".join(container.get_archive("/big")[0])
    with tarfile.open(fileobj=io.BytesIO(back)) as tar:
        assert tar.getmember("big").size == 3_000_000


def test_events_can_be_broken_off_from_another_thread(session: SshSession) -> None:
    events = session.docker.events(decode=True)
    thread = threading.Thread(target=lambda: list(events))
    thread.start()
    events.close()
    thread.join(60)
    assert not thread.is_alive()
    assert session.docker.ping()


def test_streams_that_nobody_finished_harm_nobody(sshd: Sshd, container: Container) -> None:
    session = sshd.open()
    mine = session.docker.containers.get(str(container.id))
    for _ in range(12):
        next(mine.logs(stream=True, follow=True))
        gc.collect()
        assert session.run(["echo", "x"]).stdout == "x\n"
    session.close()


def test_closing_the_session_leaves_no_thread_and_no_process(own_sshd: Sshd) -> None:
    before = set(threading.enumerate())
    session = own_sshd.open()
    events = session.docker.events()
    assert len(own_sshd.commands()) >= 1
    session.close()
    assert eventually(lambda: not own_sshd.commands())
    assert eventually(lambda: set(threading.enumerate()) <= before)
    del events


@pytest.mark.parametrize(
    ("script", "fix"),
    [
        ("echo 'Cannot connect to the Docker daemon at unix:///x. Is it running?' >&2; exit 1", "systemctl start"),
        ("echo 'permission denied while trying to connect to the Docker daemon socket' >&2; exit 1", "-aG docker"),
        ("", "install the missing command"),
    ],
)
def test_an_engine_that_cannot_be_spoken_to_is_named(tmp_path: Path, script: str, fix: str) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/bash").symlink_to("/bin/bash")
    if script:
        (tmp_path / "bin/docker").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "bin/docker").chmod(0o755)
    before = set(threading.enumerate())
    server = Sshd(tmp_path / "server", env={"PATH": str(tmp_path / "bin")})
    session = server.open()
    for _ in range(2):
        with pytest.raises(CommandFailed) as caught:
            _ = session.docker
        assert fix in caught.value.fix
        assert caught.value.where == "spark-1"
    session.close()
    server.stop()
    assert eventually(lambda: set(threading.enumerate()) <= before)
