"""The stand-in for the model hub, over real HTTP."""

import http.client
import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from loopback import serving

from sparkctl.lab import hub

WEIGHTS = bytes(range(256)) * 100


class Client:
    def __init__(self, port: int) -> None:
        self.port = port

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, dict(answer.getheaders()), body


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("tiny", "gated"):
        repo = tmp_path / "repos/lab" / name
        (repo / "sub").mkdir(parents=True)
        (repo / "config.json").write_text("{}")
        (repo / "sub/notes.txt").write_text("notes")
        (repo / "model.safetensors").write_bytes(WEIGHTS)
    (tmp_path / "gated").write_text("lab/gated\n")
    (tmp_path / "tokens").write_text("hf_good\n")
    return tmp_path


@pytest.fixture
def client(folder: Path) -> Iterator[Client]:
    with serving(hub.make_server(folder, "127.0.0.1", 0)) as port:
        yield Client(port)


def test_describes_a_model(client: Client) -> None:
    status, _, body = client.ask("/api/models/lab/tiny/revision/main?blobs=true")
    facts = json.loads(body)
    assert status == 200 and facts["id"] == "lab/tiny" and len(facts["sha"]) == 40
    files = {item["rfilename"]: item for item in facts["siblings"]}
    assert set(files) == {"config.json", "sub/notes.txt", "model.safetensors"}
    # printf '{}' | git hash-object --stdin
    assert files["config.json"]["blobId"] == "9e26dfeeb6e641a33dae4961196235bdb965b21b"
    assert files["model.safetensors"]["lfs"]["sha256"] == sha256(WEIGHTS).hexdigest()
    assert client.ask(f"/api/models/lab/tiny/revision/{facts['sha']}")[0] == 200


def test_commit_depends_on_content(client: Client, folder: Path) -> None:
    before = json.loads(client.ask("/api/models/lab/tiny")[2])["sha"]
    assert json.loads(client.ask("/api/models/lab/gated", Authorization="Bearer hf_good")[2])["sha"] == before
    (folder / "repos/lab/tiny/config.json").write_text('{"changed": 1}')
    assert json.loads(client.ask("/api/models/lab/tiny")[2])["sha"] != before


def test_sends_a_file(client: Client) -> None:
    status, headers, body = client.ask("/lab/tiny/resolve/main/sub/notes.txt")
    assert (status, body, headers["Content-Length"]) == (200, b"notes", "5")
    assert "X-Linked-Etag" not in headers


def test_head_of_a_large_file(client: Client) -> None:
    status, headers, body = client.ask("/lab/tiny/resolve/main/model.safetensors", "HEAD")
    assert (status, body) == (200, b"")
    assert headers["X-Linked-Size"] == str(len(WEIGHTS)) == headers["Content-Length"]
    assert headers["X-Linked-Etag"] == f'"{sha256(WEIGHTS).hexdigest()}"' == headers["ETag"]
    assert len(headers["X-Repo-Commit"]) == 40


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [("bytes=0-9", 0, 10), ("bytes=20000-", 20000, 25600), ("bytes=25599-99999", 25599, 25600)],
)
def test_sends_a_part(client: Client, asked: str, start: int, end: int) -> None:
    status, headers, body = client.ask("/lab/tiny/resolve/main/model.safetensors", Range=asked)
    assert (status, body) == (206, WEIGHTS[start:end])
    assert headers["Content-Range"] == f"bytes {start}-{end - 1}/{len(WEIGHTS)}"


def test_whole_file_asked_for_as_a_part_is_still_a_part(client: Client) -> None:
    assert client.ask("/lab/tiny/resolve/main/model.safetensors", Range="bytes=0-")[0] == 206


def test_part_behind_the_end(client: Client) -> None:
    status, headers, _ = client.ask("/lab/tiny/resolve/main/config.json", Range="bytes=2-")
    assert status == 416 and headers["X-Error-Code"] == "RangeNotSatisfiable"


@pytest.mark.parametrize(
    ("path", "token", "status", "code"),
    [
        ("/api/models/lab/none", "", 404, "RepoNotFound"),
        ("/api/models/lab/..", "", 404, "RepoNotFound"),
        ("/api/models/lab/tiny/revision/dev", "", 404, "RevisionNotFound"),
        ("/lab/tiny/resolve/main/none.txt", "", 404, "EntryNotFound"),
        ("/lab/tiny/resolve/main/../gated/config.json", "", 404, "EntryNotFound"),
        ("/nothing", "", 404, "NotFound"),
        ("/api/models/lab/gated", "", 401, "GatedRepo"),
        ("/api/models/lab/gated", "hf_bad", 403, "GatedRepo"),
        ("/lab/gated/resolve/main/config.json", "hf_bad", 403, "GatedRepo"),
    ],
)
def test_refuses(client: Client, path: str, token: str, status: int, code: str) -> None:
    got, headers, body = client.ask(path, Authorization=f"Bearer {token}") if token else client.ask(path)
    assert (got, headers["X-Error-Code"]) == (status, code)
    assert json.loads(body)["error"]


def test_throttle_and_cut(client: Client, folder: Path) -> None:
    (folder / "throttle").write_text("10000")
    connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=60)
    connection.request("GET", "/lab/tiny/resolve/main/model.safetensors")
    answer = connection.getresponse()
    first = answer.read(1000)
    connection.close()
    (folder / "throttle").unlink()
    rest = client.ask("/lab/tiny/resolve/main/model.safetensors", Range="bytes=1000-")[2]
    assert first + rest == WEIGHTS
