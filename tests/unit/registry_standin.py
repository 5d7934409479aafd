"""A stand-in for an image registry on loopback: tokens, redirects to a storage service, cuts, and what was asked."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import loopback

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
REPOSITORY = "org/image"
USER, PASSWORD, TOKEN = "me", "canary-password", "a-token"


@dataclass
class Registry:
    """One repository with blobs by digest and manifests by tag and digest.

    `guarded` asks for a token, which USER alone gets. `stored_at` is where blobs are redirected to. `cuts` is after
    how many bytes each next answer of a blob ends. While `gate` is clear, a blob's second half is held back. `asked`
    has every request that was let in, `leaked` those that brought an authorization to where it does not belong.
    """

    guarded: bool = False
    storage: bool = False
    stored_at: str = ""
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, bytes] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    asked: list[str] = field(default_factory=list)
    leaked: list[str] = field(default_factory=list)
    url: str = ""

    def blob(self, data: bytes) -> str:
        """Keep it; its digest."""
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self.blobs[digest] = data
        return digest

    def tag(self, name: str, config: bytes, *layers: bytes) -> str:
        """An image of these; the digest of its manifest."""
        kind = "application/vnd.docker.image.rootfs.diff.tar.gzip"
        found = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self._part(config, "application/vnd.docker.container.image.v1+json"),
            "layers": [self._part(layer, kind) for layer in layers],
        }
        body = json.dumps(found).encode()
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        self.manifests |= {name: body, digest: body}
        return digest

    def gets(self, digest: str) -> int:
        """How often a blob was asked for."""
        return sum(f"/blobs/{digest}" in path for path in self.asked)

    def _part(self, data: bytes, kind: str) -> dict[str, object]:
        return {"mediaType": kind, "size": len(data), "digest": self.blob(data)}


class _Server(ThreadingHTTPServer):
    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None: ...

    def do_GET(self) -> None:
        registry, path = self.server.registry, self.path.partition("?")[0]
        sent = self.headers["Authorization"] or ""
        if path == "/token":
            basic = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
            self._say(200, json.dumps({"token": TOKEN if sent == f"Basic {basic}" else ""}).encode())
        elif registry.storage and sent:
            registry.leaked.append(sent)
            self._say(400, b"")
        elif registry.guarded and sent != f"Bearer {TOKEN}":
            realm = f'Bearer realm="{registry.url}/token",service="registry",scope="repository:{REPOSITORY}:pull"'
            self._say(401, b"", ("WWW-Authenticate", realm))
        else:
            registry.asked.append(self.path)
            self._give(registry, path)

    def _give(self, registry: Registry, path: str) -> None:
        found = re.fullmatch(rf"/v2/{REPOSITORY}/(manifests|blobs)/(.+)", path)
        kept = {} if not found else registry.manifests if found[1] == "manifests" else registry.blobs
        if not found or (not registry.stored_at and found[2] not in kept):
            self._say(404, b"")
        elif found[1] == "manifests":
            self._say(200, kept[found[2]], ("Content-Type", MANIFEST))
        elif registry.stored_at:
            self._say(307, b"", ("Location", f"{registry.stored_at}{path}?signed=1"))
        else:
            self._stream(registry, kept[found[2]])

    def _stream(self, registry: Registry, data: bytes) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
        rest = data[int(asked[1]) :] if asked else data
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        if registry.cuts:
            self.wfile.write(rest[: registry.cuts.pop(0)])
            self.close_connection = True
            return
        self.wfile.write(rest[: len(rest) // 2])
        registry.gate.wait(30)
        self.wfile.write(rest[len(rest) // 2 :])

    def _say(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (*headers, ("Content-Length", str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def serving(registry: Registry) -> Iterator[Registry]:
    """It answers at `url`; a blob comes whole unless the gate is cleared."""
    registry.gate.set()
    server = _Server(registry)
    registry.url = f"http://127.0.0.1:{server.server_port}"
    with loopback.serving(server):
        try:
            yield registry
        finally:
            registry.gate.set()
