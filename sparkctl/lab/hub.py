"""A stand-in for the model hub: the parts of its HTTP API that a downloader uses, over a folder of repositories.

It runs inside the depot as a plain program (`python3 hub.py FOLDER PORT`), so it imports nothing of sparkctl. The
folder holds `repos/<org>/<name>/<files>`; optional are `gated` (a repository per line), `tokens` (a good token per
line) and `throttle` (bytes per second, read anew while sending).
"""

import hashlib
import json
import re
import sys
import time
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

LARGE = (".safetensors", ".bin", ".gguf")
"""Suffixes of files that the hub keeps in its large file store, and identifies by SHA-256."""
CHUNK = 64 << 10
_REPO = r"/(?P<repo>[\w.-]+/[\w.-]+)"
_MODEL = re.compile(rf"/api/models{_REPO}(?:/revision/(?P<revision>[\w.-]+))?")
_TREE = re.compile(rf"/api/models{_REPO}/tree/(?P<revision>[\w.-]+)")
_FILE = re.compile(rf"{_REPO}/resolve/(?P<revision>[\w.-]+)/(?P<file>.+)")
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass(frozen=True)
class RepoFile:
    """One file of a repository."""

    path: Path
    name: str

    @property
    def size(self) -> int:
        """In bytes."""
        return self.path.stat().st_size

    @cached_property
    def blob_id(self) -> str:
        """The id that git gives a file of this content: SHA-1 over a header and the bytes."""
        data = self.path.read_bytes()
        return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of a large file, empty for others."""
        if not self.name.endswith(LARGE):
            return ""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()

    def describe(self) -> dict[str, Any]:
        """The entry under `siblings`, as `?blobs=true` asks for it."""
        large = {"lfs": {"sha256": self.sha256, "size": self.size, "pointerSize": 134}} if self.sha256 else {}
        return {"rfilename": self.name, "size": self.size, "blobId": self.blob_id, **large}

    def list(self) -> dict[str, Any]:
        """The entry of /tree."""
        large = {"lfs": {"oid": self.sha256, "size": self.size, "pointerSize": 134}} if self.sha256 else {}
        return {"type": "file", "path": self.name, "size": self.size, "oid": self.blob_id, **large}


@dataclass(frozen=True)
class Repo:
    """One model repository with one commit, `main`."""

    root: Path
    id: str

    @cached_property
    def files(self) -> tuple[RepoFile, ...]:
        """Every file, by name."""
        found = sorted(path for path in self.root.rglob("*") if path.is_file())
        return tuple(RepoFile(path, path.relative_to(self.root).as_posix()) for path in found)

    @cached_property
    def sha(self) -> str:
        """The commit: 40 hex digits that depend on names and contents alone."""
        text = "".join(f"{file.blob_id} {file.name}\n" for file in self.files)
        return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    def file(self, name: str) -> RepoFile | None:
        """The file of that name, if there is one."""
        return next((file for file in self.files if file.name == name), None)


@dataclass(frozen=True)
class Refusal(Exception):
    """An answer other than the content; `code` goes into the header X-Error-Code."""

    status: HTTPStatus
    code: str
    message: str


@dataclass(frozen=True)
class Store:
    """The folder that is served."""

    folder: Path

    def find(self, repo: str, revision: str, token: str) -> Repo:
        """The repository at that revision. Raises Refusal."""
        root = self.folder / "repos" / repo
        if not root.is_dir() or ".." in repo:
            raise Refusal(HTTPStatus.NOT_FOUND, "RepoNotFound", "Repository not found")
        if repo in self._lines("gated") and token not in self._lines("tokens"):
            status = HTTPStatus.FORBIDDEN if token else HTTPStatus.UNAUTHORIZED
            raise Refusal(status, "GatedRepo", f"Access to model {repo} is restricted.")
        found = Repo(root, repo)
        if revision not in ("main", found.sha):
            raise Refusal(HTTPStatus.NOT_FOUND, "RevisionNotFound", f"Invalid rev id: {revision}")
        return found

    def describe(self, repo: Repo) -> dict[str, Any]:
        """The answer to /api/models."""
        siblings = [file.describe() for file in repo.files]
        gated = "manual" if repo.id in self._lines("gated") else False
        return {"id": repo.id, "modelId": repo.id, "sha": repo.sha, "gated": gated, "siblings": siblings}

    def throttle(self) -> int:
        """Bytes per second, 0 for no limit."""
        return int((self._lines("throttle") or ["0"])[0])

    def _lines(self, name: str) -> list[str]:
        path = self.folder / name
        return path.read_text().split() if path.is_file() else []


class Handler(BaseHTTPRequestHandler):
    """Answers one connection; `store` is set by `make_server`."""

    protocol_version = "HTTP/1.1"
    store: Store

    def do_GET(self) -> None:
        """Describe a model, or send a file or a part of it."""
        self._answer(body=True)

    def do_HEAD(self) -> None:
        """As GET, without the content."""
        self._answer(body=False)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""

    def _answer(self, *, body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        try:
            if match := _MODEL.fullmatch(path):
                repo = self.store.find(match["repo"], match["revision"] or "main", self._token())
                self._send_json(HTTPStatus.OK, self.store.describe(repo), {}, body=body)
            elif match := _TREE.fullmatch(path):
                repo = self.store.find(match["repo"], match["revision"], self._token())
                self._send_json(HTTPStatus.OK, [file.list() for file in repo.files], {}, body=body)
            elif match := _FILE.fullmatch(path):
                repo = self.store.find(match["repo"], match["revision"], self._token())
                self._send_file(repo, match["file"], body=body)
            else:
                raise Refusal(HTTPStatus.NOT_FOUND, "NotFound", "Sorry, we can't find the page you are looking for.")
        except Refusal as refusal:
            headers = {"X-Error-Code": refusal.code, "X-Error-Message": refusal.message}
            self._send_json(refusal.status, {"error": refusal.message}, headers, body=body)
        except ConnectionError:
            self.close_connection = True

    def _token(self) -> str:
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        return token if scheme == "Bearer" else ""

    def _send_json(self, status: HTTPStatus, data: Any, headers: dict[str, str], *, body: bool) -> None:
        content = json.dumps(data).encode()
        self._send_head(status, {"Content-Type": "application/json", "Content-Length": str(len(content)), **headers})
        if body:
            self.wfile.write(content)

    def _send_file(self, repo: Repo, name: str, *, body: bool) -> None:
        file = repo.file(name)
        if file is None:
            raise Refusal(HTTPStatus.NOT_FOUND, "EntryNotFound", "Entry not found")
        wanted = self._range(file.size)
        start, end = wanted or (0, file.size)
        etag = f'"{file.sha256 or file.blob_id}"'
        headers = {"ETag": etag, "X-Repo-Commit": repo.sha, "Accept-Ranges": "bytes"}
        if file.sha256:
            headers |= {"X-Linked-Etag": etag, "X-Linked-Size": str(file.size)}
        if wanted:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{file.size}"
        headers |= {"Content-Type": "application/octet-stream", "Content-Length": str(end - start)}
        self._send_head(HTTPStatus.PARTIAL_CONTENT if wanted else HTTPStatus.OK, headers)
        if body:
            self._send_bytes(file.path, start, end)

    def _range(self, size: int) -> tuple[int, int] | None:
        """First byte, and the one behind the last, that the request asks for; None when it asks for the whole."""
        match = _RANGE.fullmatch(self.headers.get("Range", ""))
        if not match:
            return None
        start, end = int(match[1]), min(int(match[2]) + 1 if match[2] else size, size)
        if start >= end:
            raise Refusal(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "RangeNotSatisfiable", f"bytes */{size}")
        return start, end

    def _send_head(self, status: HTTPStatus, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _send_bytes(self, path: Path, start: int, end: int) -> None:
        with path.open("rb") as source:
            source.seek(start)
            while start < end:
                rate = self.store.throttle()
                piece = source.read(min(CHUNK if not rate else max(1, rate // 10), end - start))
                self.wfile.write(piece)
                start += len(piece)
                if rate:
                    time.sleep(len(piece) / rate)


def make_server(folder: Path, address: str, port: int) -> ThreadingHTTPServer:
    """A server over that folder, not yet serving; port 0 takes a free one."""
    handler = type("StoreHandler", (Handler,), {"store": Store(folder)})
    return ThreadingHTTPServer((address, port), handler)


if __name__ == "__main__":
    make_server(Path(sys.argv[1]), "0.0.0.0", int(sys.argv[2])).serve_forever()  # noqa: S104
