"""The relay as the head runs it, before a stand-in for a registry: bytes come in once, and nobody else gets them."""

import contextlib
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from registry_standin import MANIFEST, PASSWORD, REPOSITORY, USER, Registry, serving
from sshd import Sshd, eventually, processes

from sparkctl.data import node_program
from sparkctl.steps.ssh_trust_actions import RESTRICTIONS
from sparkctl.transport.wrapper import wrap_argv

BLOB = os.urandom(3 << 20)
PATH = "lab-sparkctl/00000000"


@dataclass(frozen=True)
class Relay:
    """One that runs; `ports` by node as it said."""

    process: subprocess.Popen[str]
    ports: dict[str, int]

    def get(self, what: str, path: str = PATH, port: int = 0, **headers: str) -> tuple[int, bytes, dict[str, str]]:
        """Status, body and headers of an answer."""
        url = f"http://127.0.0.1:{port or self.ports['spark-1']}/v2/{path}/{REPOSITORY}/{what}"
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=60) as answer:
                return answer.status, answer.read(), dict(answer.headers)
        except urllib.error.HTTPError as error:
            return error.code, b"", {}

    def ended(self) -> tuple[int, str]:
        """Its status and last words."""
        _, words = self.process.communicate(timeout=60)
        return self.process.returncode, words.strip()


def job_of(registry: Registry, **changes: Any) -> dict[str, Any]:
    fixed = {"base": registry.url, "repository": REPOSITORY, "reference": "1", "path": PATH, "node": "spark-1"}
    return {**fixed, "user": "", "password": "", "ways": {}, **changes}


@contextmanager
def relay_of(registry: Registry, **changes: Any) -> Iterator[Relay]:
    argv = [sys.executable, "-c", node_program("relay")]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdin and process.stdout
    process.stdin.write(json.dumps(job_of(registry, **changes)))
    process.stdin.close()
    process.stdin = None
    said = (json.loads(line) for line in process.stdout)
    ports: dict[str, int] = next((words["ports"] for words in said if "ports" in words), {})
    try:
        yield Relay(process, ports)
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def registry() -> Iterator[Registry]:
    with serving(Registry()) as found:
        found.tag("1", b"{}", BLOB)
        yield found


def test_manifests_come_with_their_type_and_digest_and_a_tag_means_the_same_for_all(registry: Registry) -> None:
    digest = registry.tag("1", b"{}", BLOB)
    with relay_of(registry) as relay:
        status, body, headers = relay.get("manifests/1", Accept=MANIFEST)
        assert (status, body) == (200, registry.manifests["1"])
        assert (headers["Content-Type"], headers["Docker-Content-Digest"]) == (MANIFEST, digest)
        registry.tag("1", b'{"other": 1}')
        assert relay.get("manifests/1")[1] == relay.get(f"manifests/{digest}")[1] == body
    assert sum("/manifests/" in path for path in registry.asked) == 1


def test_many_read_a_blob_that_comes_in_once(registry: Registry) -> None:
    digest = registry.blob(BLOB)
    registry.gate.clear()
    with relay_of(registry) as relay, ThreadPoolExecutor(3) as pool:
        url = f"http://127.0.0.1:{relay.ports['spark-1']}/v2/{PATH}/{REPOSITORY}/blobs/{digest}"
        with urllib.request.urlopen(url, timeout=60) as early:
            assert early.read(len(BLOB) // 2) == BLOB[: len(BLOB) // 2]  # half is served before the rest has come
            others = [pool.submit(relay.get, f"blobs/{digest}") for _ in range(2)]
            registry.gate.set()
            assert early.read() == BLOB[len(BLOB) // 2 :]
        assert [other.result()[1] for other in others] == [BLOB, BLOB]
        status, rest, headers = relay.get(f"blobs/{digest}", Range="bytes=1000-")
        assert (status, rest) == (206, BLOB[1000:])
        assert headers["Content-Range"] == f"bytes 1000-{len(BLOB) - 1}/{len(BLOB)}"
    assert registry.gets(digest) == 1


def test_a_login_gets_a_token_and_a_storage_service_sees_neither(registry: Registry) -> None:
    with serving(Registry(storage=True, blobs=registry.blobs)) as storage:
        registry.guarded, registry.stored_at = True, storage.url
        with relay_of(registry, user=USER, password=PASSWORD) as relay:
            assert relay.get(f"blobs/{registry.blob(BLOB)}")[1] == BLOB
            words = Path(f"/proc/{relay.process.pid}/cmdline").read_bytes()
            words += Path(f"/proc/{relay.process.pid}/environ").read_bytes()
        assert storage.leaked == []
    assert PASSWORD.encode() not in words


def test_without_a_login_that_the_registry_knows_there_is_no_relay(registry: Registry) -> None:
    registry.guarded = True
    with relay_of(registry) as relay:
        status, words = relay.ended()
    assert (status, relay.ports) == (1, {})
    assert "HTTP Error 401" in words


def test_a_cut_answer_goes_on_where_it_was_cut(registry: Registry) -> None:
    digest = registry.blob(BLOB)
    registry.cuts += [1 << 20, 1000]
    with relay_of(registry) as relay:
        assert relay.get(f"blobs/{digest}")[1] == BLOB
    assert registry.gets(digest) == 3


def test_what_the_registry_lacks_ends_the_relay_with_its_words(registry: Registry) -> None:
    with relay_of(registry) as relay, ThreadPoolExecutor(1) as pool:
        pool.submit(relay.get, "blobs/sha256:ab")
        status, words = relay.ended()
    assert status == 1
    assert "blobs/sha256:ab" in words and "404" in words


@pytest.mark.parametrize("path", ["lab-sparkctl/00000001", "other", "lab-sparkctl"])
def test_who_does_not_know_the_path_gets_nothing(registry: Registry, path: str) -> None:
    digest = registry.blob(BLOB)
    with relay_of(registry) as relay:
        assert relay.get("manifests/1", path)[0] == 404
        assert relay.get(f"blobs/{digest}", path)[0] == 404
    assert registry.gets(digest) == 0


@pytest.fixture
def way(own_sshd: Sshd) -> list[str]:
    """To a worker that lets the key in as a grant does."""
    file = own_sshd.folder / "authorized"
    file.write_text(f"{RESTRICTIONS} {file.read_text()}")
    options = ("BatchMode=yes", f"UserKnownHostsFile={own_sshd.known_hosts}", "GlobalKnownHostsFile=none")
    flags = [word for option in options for word in ("-o", option)]
    key, port = str(own_sshd.user_key), str(own_sshd.port)
    return ["ssh", "-F", "none", "-i", key, "-p", port, *flags, f"{own_sshd.user}@127.0.0.1"]


def test_a_port_of_another_node_leads_to_it(registry: Registry, way: list[str]) -> None:
    with relay_of(registry, ways={"spark-2": way, "spark-3": [*way[:-1], "nobody-of-this-name@127.0.0.1"]}) as relay:
        assert set(relay.ports) == {"spark-1", "spark-2"}
        assert len(set(relay.ports.values())) == 2
        assert relay.get(f"blobs/{registry.blob(BLOB)}", port=relay.ports["spark-2"])[1] == BLOB


def test_the_key_opens_no_port_there(own_sshd: Sshd, way: list[str]) -> None:
    forward = [*way[:-1], "-o", "ExitOnForwardFailure=yes", "-W", f"127.0.0.1:{own_sshd.port}", way[-1]]
    refused = subprocess.run(forward, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert refused.returncode != 0 and "prohibited" in refused.stderr


def test_all_of_it_ends_with_the_connection(registry: Registry, own_sshd: Sshd, way: list[str]) -> None:
    """As the laptop starts it; the engine has gone away in the middle of a blob."""
    registry.gate.clear()
    job = json.dumps(job_of(registry, ways={"spark-2": way})).encode()
    run = wrap_argv((sys.executable, "-c", node_program("relay"), str(own_sshd.folder)), job)
    with subprocess.Popen(["bash", "-c", run.command], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin and process.stdout
        process.stdin.write(run.payload)
        process.stdin.flush()
        assert any(b"spark-2" in line for line in process.stdout)
        assert len(processes(str(own_sshd.folder))) > 2  # the server, the relay, its ssh
        process.stdin.close()
        assert eventually(lambda: all("sshd" in _words(pid) for pid in processes(str(own_sshd.folder))))


def _words(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text()
    return "sshd"
