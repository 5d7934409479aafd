"""This machine's own engine pulls through the relay: the image gets its name, and no other name stays."""

import contextlib
import gzip
import hashlib
import io
import json
import secrets
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import docker.errors
import pytest
from registry_standin import REPOSITORY, Registry, serving
from sshd import eventually
from test_relay import relay_of

from sparkctl.data import node_program


@dataclass(frozen=True)
class World:
    """A registry with one small image, tagged 1; `digest` is its manifest's, `id` its own; an engine without it."""

    registry: Registry
    client: docker.DockerClient
    digest: str
    id: str
    name: str
    record: Path

    @property
    def mark(self) -> str:
        return f"{self.name}--sparkctl"

    def job(self, port: int, **changes: Any) -> str:
        fixed = {"port": port, "path": f"{self.mark}/0", "mark": self.mark, "repository": REPOSITORY}
        named = {"reference": "1", "name": self.name, "tag": "1", "record": str(self.record)}
        return json.dumps({**fixed, **named, **changes})

    def names(self) -> list[str]:
        """All that the engine calls it."""
        with contextlib.suppress(docker.errors.ImageNotFound):
            found = self.client.images.get(self.id).attrs
            return [*found["RepoTags"], *found["RepoDigests"]]
        return []


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        entry = tarfile.TarInfo("file")
        content = secrets.token_bytes(1 << 20)  # an image of its own in every test
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    diff = f"sha256:{hashlib.sha256(data.getvalue()).hexdigest()}"
    config = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": [diff]}}
    text, client = json.dumps(config).encode(), docker.from_env()
    with serving(Registry()) as registry:
        digest = registry.tag("1", text, gzip.compress(data.getvalue(), 1))
        image_id = f"sha256:{hashlib.sha256(text).hexdigest()}"
        made = World(registry, client, digest, image_id, f"test-{secrets.token_hex(4)}", tmp_path / "record")
        yield made
        for name in made.names():
            client.images.remove(name, force=True)
        client.close()


def started(job: str) -> "subprocess.Popen[str]":
    argv = [sys.executable, "-c", node_program("pull_here")]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdin
    process.stdin.write(job)
    process.stdin.close()
    process.stdin = None
    return process


@pytest.mark.parametrize("by_digest", [False, True])
def test_the_image_gets_its_name_and_is_on_record(world: World, by_digest: bool) -> None:
    reference = world.digest if by_digest else "1"
    with relay_of(world.registry, path=f"{world.mark}/0", reference=reference) as relay:
        process = started(world.job(relay.ports["spark-1"], reference=reference))
        _, words = process.communicate(timeout=60)
    assert (process.returncode, words) == (0, "")
    assert world.names() == [f"{world.name}:1"]
    assert world.record.read_text() == f"{world.id}\n"


def test_names_of_a_run_that_was_cut_go_too(world: World) -> None:
    with relay_of(world.registry, path=f"{world.mark}/0") as relay:
        started(world.job(relay.ports["spark-1"])).communicate(timeout=60)
        image = world.client.images.get(world.id)
        image.tag(f"127.0.0.1:1/{world.mark}/1/{REPOSITORY}", "1")
        image.tag(f"127.0.0.1:1/2{world.mark}/1/{REPOSITORY}", "1")  # of another cluster
        started(world.job(relay.ports["spark-1"])).communicate(timeout=60)
    assert sorted(world.names()) == [f"127.0.0.1:1/2{world.mark}/1/{REPOSITORY}:1", f"{world.name}:1"]


def test_it_ends_soon_and_with_a_reason_where_the_relay_has_gone(world: World) -> None:
    world.registry.gate.clear()
    with relay_of(world.registry, path=f"{world.mark}/0") as relay:
        process = started(world.job(relay.ports["spark-1"]))
        assert eventually(lambda: any("/blobs/" in path for path in world.registry.asked))
    _, words = process.communicate(timeout=60)
    assert process.returncode == 1 and any(word in words for word in ("refused", "reset", "closed"))
    assert world.names() == [] and not world.record.exists()


def test_it_leaves_nothing_when_it_is_ended(world: World) -> None:
    world.registry.gate.clear()
    with relay_of(world.registry, path=f"{world.mark}/0") as relay:
        process = started(world.job(relay.ports["spark-1"]))
        assert eventually(lambda: any("/blobs/" in path for path in world.registry.asked))
        process.terminate()
        _, words = process.communicate(timeout=60)
    assert process.returncode == 1 and "Traceback" not in words
    assert world.names() == []


def test_what_the_engine_says_of_a_failure_is_told(world: World) -> None:
    blobs = world.registry.blobs
    layer = max(blobs, key=lambda digest: len(blobs[digest]))
    blobs[layer] = blobs[layer][:-1] + b"x"
    with relay_of(world.registry, path=f"{world.mark}/0") as relay:
        process = started(world.job(relay.ports["spark-1"]))
        _, words = process.communicate(timeout=60)
    assert process.returncode == 1 and "verification failed" in words
    assert world.names() == []
