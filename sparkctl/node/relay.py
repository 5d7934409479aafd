"""A registry for one image: what several engines ask of it at once comes in from the true registry a single time.

Runs on the head while an image is brought (`sparkctl/steps/image_relay.py`). Reads a job as JSON from standard input:
base (the true registry's URL), repository, reference (a tag or a digest), user and password (may be empty), path
(which nobody can guess: the image's repository here is `path/repository`), node (this one's name), ways (by a node's
name, the words of an ssh command that reaches it). Serves plain HTTP on a free port of loopback, and hands that port
on to each node's loopback by ssh: an engine speaks HTTP to no other address. Prints {"ports": {node: port}} of those
that can reach it, and every second {"done": bytes, "total": bytes} of what the engines asked for so far. Ends with
status 1, and a word on standard error, when the true registry does not give what it is asked for.

A blob is kept in a file without a name until the end, and read from there while it still comes in.
"""

import base64
import errno
import hashlib
import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HERE = "127.0.0.1"
SPOOL = "/var/tmp"
CHUNK = 1 << 18
SECONDS = 30
"""For the true registry to connect, and to send more."""
WAITS = (0.2, 1.0, 3.0, 9.0)
"""Seconds before a cut download is taken up again; counted anew after each that brought something."""
_OCI, _DOCKER = "application/vnd.oci.image", "application/vnd.docker.distribution.manifest"
KINDS = f"{_OCI}.index.v1+json, {_DOCKER}.list.v2+json, {_OCI}.manifest.v1+json, {_DOCKER}.v2+json"
TERM = re.compile(r'(\w+)="([^"]*)"')
WANTED = re.compile(r"(manifests|blobs)/(\w[\w.:+-]*)")
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Upstream:
    """The true registry, which may ask for a login (RFC 7617) or a token of a service that it names."""

    def __init__(self, base: str, user: str, password: str) -> None:
        self._base = base
        self._basic = f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}" if user else ""
        self._authorization = ""
        self._lock = threading.Lock()

    def open(self, path: str, headers: dict[str, str]) -> http.client.HTTPResponse:
        """An answer to be read and closed. Raises OSError, http.client.HTTPException."""
        used = self._authorization
        try:
            return self._get(self._base + path, headers, used)
        except urllib.error.HTTPError as error:
            if error.code != 401:
                raise
            with self._lock:
                if self._authorization == used:  # else another thread has asked in the meantime
                    self._authorization = self._answer(error.headers.get_all("WWW-Authenticate") or [])
            return self._get(self._base + path, headers, self._authorization)

    def _answer(self, challenges: list[str]) -> str:
        """What answers the first challenge that we know."""
        for challenge in challenges:
            kind, _, rest = challenge.partition(" ")
            if kind.lower() == "bearer":
                return f"Bearer {self._token(dict(TERM.findall(rest)))}"
            if kind.lower() == "basic" and self._basic:
                return self._basic
        return ""

    def _token(self, terms: dict[str, str]) -> str:
        realm = terms.get("realm", "")
        query = urllib.parse.urlencode([(key, terms[key]) for key in ("service", "scope") if key in terms])
        safe = realm.startswith("https:") or self._base.startswith("http:")
        with self._get(f"{realm}?{query}", {}, self._basic if safe else "") as answer:
            found = json.load(answer)
        return str(found.get("token") or found.get("access_token") or "")

    def _get(self, url: str, headers: dict[str, str], authorization: str) -> http.client.HTTPResponse:
        """Where the answer leads to another host (a storage service), that one never sees the authorization."""
        if not url.startswith(("http://", "https://")):
            raise OSError(f"no address of a registry: {url}")
        request = urllib.request.Request(url, headers=headers)  # noqa: S310 - see above
        if authorization:
            request.add_unredirected_header("Authorization", authorization)
        answer: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=SECONDS)  # noqa: S310
        return answer


class Blob:
    """One blob on its way in, for any number of readers. `size` is in bytes, none until the registry tells it."""

    def __init__(self, upstream: Upstream, path: str) -> None:
        self.have = 0
        self.size: int | None = None
        self.problem = ""
        self._upstream, self._path = upstream, path
        self._file = tempfile.TemporaryFile(dir=SPOOL)  # noqa: SIM115 - read as long as the program runs
        self._news = threading.Condition()
        threading.Thread(target=self._fetch, daemon=True).start()

    def length(self) -> int:
        """The size, as soon as it is known. Raises OSError."""
        with self._news:
            self._news.wait_for(lambda: self.size is not None or self.problem)
            if self.size is None:
                raise OSError(self.problem)
            return self.size

    def read(self, start: int) -> bytes:
        """Some bytes from there on, as soon as there are any; none at the end. Raises OSError."""
        with self._news:
            self._news.wait_for(lambda: start < self.have or self.have == self.size or self.problem)
            if start >= self.have and self.problem:
                raise OSError(self.problem)
        return os.pread(self._file.fileno(), min(CHUNK, max(0, self.have - start)), start)

    def _fetch(self) -> None:
        waits, before = iter(WAITS), 0
        while problem := self._attempt():
            if self.have > before:
                waits, before = iter(WAITS), self.have
            if self.problem or (wait := next(waits, None)) is None:
                self._tell(problem=problem)
                return
            time.sleep(wait)

    def _attempt(self) -> str:
        """Take what is to be had; what is wrong with that, empty when nothing lacks."""
        try:
            self._take()
        except (OSError, http.client.HTTPException) as error:
            problem = f"{self._path}: {error or type(error).__name__}"
            refused = isinstance(error, urllib.error.HTTPError) and error.code < 500
            if refused or getattr(error, "errno", None) in FULL:
                self._tell(problem=problem)
            return problem
        return "" if self.have == self.size else f"{self._path}: the registry's answer was cut"

    def _take(self) -> None:
        """One request, from where the last one was cut; a registry that knows no ranges starts over."""
        headers = {"Range": f"bytes={self.have}-"} if self.have else {}
        with self._upstream.open(self._path, headers) as answer:
            at = self.have if answer.status == 206 else 0
            if length := answer.headers["Content-Length"]:
                self._tell(size=at + int(length))
            while data := answer.read1(CHUNK):
                self._file.seek(at)
                self._file.write(data)
                self._file.flush()
                at += len(data)
                self._tell(have=max(at, self.have))
            if not length:
                self._tell(size=at)

    def _tell(self, **news: Any) -> None:
        with self._news:
            vars(self).update(news)
            self._news.notify_all()


class Shelf:
    """All that is known of one repository; each thing is fetched when it is first asked for, and once."""

    def __init__(self, upstream: Upstream, repository: str) -> None:
        self.blobs: dict[str, Blob] = {}
        self._upstream, self._at = upstream, f"/v2/{repository}"
        self._manifests: dict[str, tuple[str, bytes, str]] = {}
        self._lock = threading.Lock()

    def manifest(self, reference: str, accept: str = KINDS) -> tuple[str, bytes, str]:
        """Type, bytes and digest of one; a tag means the same for all. Raises OSError, http.client.HTTPException."""
        with self._lock:
            if reference not in self._manifests:
                path = f"{self._at}/manifests/{reference}"
                with self._upstream.open(path, {"Accept": accept}) as answer:
                    kind, body = answer.headers["Content-Type"] or "", answer.read()
                digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
                self._manifests[reference] = self._manifests[digest] = (kind, body, digest)
            return self._manifests[reference]

    def blob(self, digest: str) -> Blob:
        """A blob that comes in. Raises OSError."""
        with self._lock:
            if digest not in self.blobs:
                self.blobs[digest] = Blob(self._upstream, f"{self._at}/blobs/{digest}")
            return self.blobs[digest]


class Relay(ThreadingHTTPServer):
    """Serves a shelf as the repository `name`, on a free port of loopback."""

    def __init__(self, shelf: Shelf, name: str) -> None:
        self.shelf, self.start = shelf, f"/v2/{name}/"
        super().__init__((HERE, 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None: ...  # its own pull tells


class _Handler(BaseHTTPRequestHandler):
    server: Relay
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """The parts of the distribution API that a pull asks for."""
        found = WANTED.fullmatch(self.path.removeprefix(self.server.start))
        if self.path == "/v2/":
            self._head(200, 0)
        elif found is None or not self.path.startswith(self.server.start):
            self._head(404, 0)
        elif found[1] == "blobs":
            self._send_blob(self.server.shelf.blob(found[2]))
        else:
            self._send_manifest(found[2])

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None: ...

    def _send_manifest(self, reference: str) -> None:
        accept = ", ".join(self.headers.get_all("Accept") or [KINDS])
        kind, body, digest = self.server.shelf.manifest(reference, accept)
        self._head(200, len(body), **{"Content-Type": kind, "Docker-Content-Digest": digest})
        if self.command == "GET":
            self.wfile.write(body)

    def _send_blob(self, blob: Blob) -> None:
        """From the first byte that is asked for on: no engine asks for less than the rest."""
        size, asked = blob.length(), re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
        at, kind = int(asked[1]) if asked else 0, {"Content-Type": "application/octet-stream"}
        if 0 < at < size:
            self._head(206, size - at, **kind, **{"Content-Range": f"bytes {at}-{size - 1}/{size}"})
        else:
            at = 0
            self._head(200, size, **kind)
        while self.command == "GET" and at < size:
            at += self.wfile.write(blob.read(at))

    def _head(self, status: int, length: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(length)}.items():
            self.send_header(name, value)
        self.end_headers()


def reach(ways: dict[str, list[str]], port: int) -> dict[str, int]:
    """Hand the port on to the loopback of each node; the port there of each that took it."""
    spec = ("-N", "-o", "ExitOnForwardFailure=yes", "-R", f"{HERE}:0:{HERE}:{port}")
    quiet: Any = {"stdin": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    started = {node: subprocess.Popen([*ssh[:-1], *spec, ssh[-1]], **quiet) for node, ssh in ways.items()}
    found: dict[str, int] = {}
    for node, process in started.items():
        for line in process.stderr or ():
            if allocated := re.match(r"Allocated port (\d+) ", line):
                found[node] = int(allocated[1])
                break
    return found


def tell(shelf: Shelf) -> None:
    """Say every second what has come in: whoever listens may also end us then."""
    while True:
        blobs = list(shelf.blobs.values())
        say(done=sum(blob.have for blob in blobs), total=sum(blob.size or 0 for blob in blobs))
        time.sleep(1)


def say(**words: object) -> None:
    """One line of the answer."""
    print(f"{json.dumps(words)}\n", end="", flush=True)


def main() -> int:
    """Serve until the connection ends, or the true registry fails."""
    job = json.load(sys.stdin)
    shelf = Shelf(Upstream(job["base"], job["user"], job["password"]), job["repository"])
    threading.Thread(target=tell, args=(shelf,), daemon=True).start()
    try:
        shelf.manifest(job["reference"])
    except (OSError, http.client.HTTPException) as error:
        print(f"{job['base']}: {error}", file=sys.stderr)
        return 1
    relay = Relay(shelf, f"{job['path']}/{job['repository']}")
    threading.Thread(target=relay.serve_forever, daemon=True).start()
    say(ports={job["node"]: relay.server_port, **reach(job["ways"], relay.server_port)})
    while not (problem := next((blob.problem for blob in list(shelf.blobs.values()) if blob.problem), "")):
        time.sleep(0.2)
    print(problem, file=sys.stderr)
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
