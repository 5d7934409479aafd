"""What is told while an image is on its way."""

from typing import Any

import pytest
from cli_fakes import cluster_of

from sparkctl.core.action import Context, Progress
from sparkctl.steps.image_actions import UNPACKS, Carry, Pull, pull_fix
from sparkctl.transport.memory import MemoryHost

DD = """\
1048576 bytes (1.0 MB, 1.0 MiB) copied, 1 s, 1.0 MB/s
4194304 bytes (4.2 MB, 4.0 MiB) copied, 4 s, 1.0 MB/s
5+0 records in
5+0 records out
5242880 bytes (5.2 MB, 5.0 MiB) copied, 5 s, 1.0 MB/s
"""


class Registry:
    """An engine that pulls one layer."""

    def __init__(self) -> None:
        self.api = self.images = self
        self.id = "sha256:1"

    def pull(self, *_: Any, **__: Any) -> list[dict[str, Any]]:
        some, whole = ({"current": done, "total": 8} for done in (4, 8))
        return [
            {"id": "a", "status": "Downloading", "progressDetail": some},
            {"id": "a", "status": "Download complete"},
            {"id": "a", "status": "Extracting", "progressDetail": whole},
        ]

    def get(self, _: str) -> "Registry":
        return self


def context() -> tuple[Context, list[Progress]]:
    told: list[Progress] = []
    cluster = cluster_of()
    hosts = {node.name: MemoryHost(node) for node in cluster.nodes}
    hosts["spark-1"].reply_script("docker save", DD)
    hosts["spark-1"].engine = Registry()  # type: ignore[assignment]
    return Context(hosts["spark-1"], hosts, told.append), told


def test_a_carried_image_that_is_there_is_unpacked() -> None:
    at, told = context()
    carry = Carry(cluster_of(), cluster_of().workers[0], "ref:1", "sha256:1", size=8 << 20)
    carry.perform(at)
    assert told == [
        Progress(carry.summary, 1 << 20, 8 << 20, "B"),
        Progress(carry.summary, 4 << 20, 8 << 20, "B"),
        Progress(UNPACKS, 5 << 20, 5 << 20, "B"),
    ]


def test_a_pulled_image_that_is_there_is_unpacked() -> None:
    at, told = context()
    Pull(cluster_of(), "ref:1", None).perform(at)
    assert told == [
        Progress("pull ref:1", 4, 8, "B"),
        Progress(UNPACKS, 8, 8, "B"),
        Progress(UNPACKS, 8, 8, "B"),
    ]


@pytest.mark.parametrize(
    ("words", "fix"),
    [
        ('Get "http://registry.lab:5000/v2/": context deadline exceeded', "cannot reach"),
        ("dial tcp: lookup registry.lab: no such host", "cannot reach"),
        ("manifest for registry.lab:5000/a:1 not found: manifest unknown", "no such tag"),
        ("write /var/lib/docker/tmp/GetImageBlob1: no space left on device", "free space"),
    ],
)
def test_the_engines_words_lead_to_a_fix(words: str, fix: str) -> None:
    assert fix in pull_fix(words)
