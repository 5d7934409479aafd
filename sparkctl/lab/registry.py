"""A client of the depot's registry, for what the Docker engine does not do. See the OCI distribution specification."""

import gzip
import hashlib
import io
import json
import tarfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from sparkctl.errors import SparkctlError

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
_ACCEPT = f"{MANIFEST}, application/vnd.oci.image.manifest.v1+json"


@dataclass(frozen=True)
class Registry:
    """A registry without TLS or login at `address` (host:port)."""

    address: str

    def wait(self, limit: float = 30.0) -> None:
        """Return once it answers. Raises SparkctlError after `limit` seconds."""
        deadline = time.monotonic() + limit
        while True:
            try:
                self._request("GET", "/v2/")
                return
            except OSError as error:
                if time.monotonic() > deadline:
                    fix = "sparkctl lab down, then lab up"
                    raise SparkctlError(
                        f"the registry does not answer: {error}", where=self.address, fix=fix
                    ) from error
                time.sleep(0.05)

    def digest(self, repository: str, tag: str) -> str:
        """The digest of that tag's manifest, empty where there is no such tag. Raises OSError."""
        try:
            headers = self._request("HEAD", f"/v2/{repository}/manifests/{tag}", headers={"Accept": _ACCEPT})
        except urllib.error.HTTPError as error:
            if error.code == HTTPStatus.NOT_FOUND:
                return ""
            raise
        return str(headers["Docker-Content-Digest"])

    def put_foreign(self, repository: str, tag: str, architecture: str) -> None:
        """An image of one empty layer that says it is for that architecture. Raises OSError."""
        layer = _empty_layer()
        diff_id = f"sha256:{hashlib.sha256(gzip.decompress(layer)).hexdigest()}"
        config = json.dumps(
            {
                "architecture": architecture,
                "os": "linux",
                "config": {"Cmd": ["true"]},
                "rootfs": {"type": "layers", "diff_ids": [diff_id]},
            }
        ).encode()
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self._put_blob(repository, config, CONFIG),
            "layers": [self._put_blob(repository, layer, LAYER)],
        }
        path = f"/v2/{repository}/manifests/{tag}"
        self._request("PUT", path, data=json.dumps(manifest).encode(), headers={"Content-Type": MANIFEST})

    def _put_blob(self, repository: str, data: bytes, media_type: str) -> dict[str, Any]:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        location = self._request("POST", f"/v2/{repository}/blobs/uploads/")["Location"]
        path = location[location.index("/v2/") :]
        headers = {"Content-Type": "application/octet-stream"}
        self._request("PUT", f"{path}{'&' if '?' in path else '?'}digest={digest}", data=data, headers=headers)
        return {"mediaType": media_type, "size": len(data), "digest": digest}

    def _request(
        self, method: str, path: str, *, data: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Any:
        request = urllib.request.Request(f"http://{self.address}{path}", data, headers or {}, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=30) as answer:
            answer.read()
            return answer.headers


def _empty_layer() -> bytes:
    with io.BytesIO() as raw:
        with tarfile.open(fileobj=raw, mode="w") as tar:
            folder = tarfile.TarInfo("tmp")
            folder.type, folder.mode = tarfile.DIRTYPE, 0o1777
            tar.addfile(folder)
        return gzip.compress(raw.getvalue(), mtime=0)
