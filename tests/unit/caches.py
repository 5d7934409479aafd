"""Hugging Face caches and images made for tests, and the facts of a node whose home is a folder of the test."""

import hashlib
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from homes import HomeNode

from sparkctl.facts.probe import Answer, Facts, Want, frame, unframe
from sparkctl.facts.users import USERS
from sparkctl.topology import Cluster, Role

OLD, NEW = "a" * 40, "b" * 40
DIGEST = f"sha256:{'d' * 64}"
A, B, C = (f"sha256:{letter * 64}" for letter in "abc")


def blob_name(name: str, content: bytes) -> str:
    """As the hub hashes: large files by SHA-256, the others as git does."""
    if name.endswith(".safetensors"):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def make_model(hf_cache: Path, repo: str, revisions: Mapping[str, Mapping[str, bytes]], **refs: str) -> Path:
    """A model's folder: blobs, snapshots of links, refs."""
    folder = hf_cache / "hub" / f"models--{repo.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True, exist_ok=True)
    for commit, files in revisions.items():
        for name, content in files.items():
            blob = folder / "blobs" / blob_name(name, content)
            blob.parent.mkdir(exist_ok=True)
            blob.write_bytes(content)
            link = folder / "snapshots" / commit / name
            link.parent.mkdir(parents=True, exist_ok=True)
            up = "../" * (2 + name.count("/"))
            link.symlink_to(f"{up}blobs/{blob.name}")
    for name, commit in refs.items():
        (folder / "refs" / name).write_text(commit)
    return folder


def cluster_in(root: Path) -> Cluster:
    """A head alone, at home in a folder."""
    return Cluster("lab", HomeNode("spark-1", Role.HEAD, "10.0.0.1", "nvidia", root=str(root)), (), "10.0.0.1")


def remember(
    cluster: Cluster, repo: str, revision: str, commit: str, files: Mapping[str, bytes], *, ours: bool
) -> Path:
    """What a download leaves in the state folder."""
    state = Path(cluster.state_dir(cluster.head))
    state.mkdir(parents=True, exist_ok=True)
    path = state / f"models--{repo.replace('/', '--')}@{revision}.json"
    sizes = [[name, len(content)] for name, content in files.items()]
    path.write_text(json.dumps({"commit": commit, "files": sizes, "ours": ours}))
    return path


def container(name: str, **changes: Any) -> str:
    """A line of the probe of containers and what they use."""
    known = {"image": "sha256:1", "running": True, "cluster": "", "words": [], "mounts": []}
    return json.dumps({"name": f"/{name}", **known, **changes}) + "\n"


def facts_of(wants: tuple[Want, ...] | list[Want], users: str | None = "", kept: str = "") -> Facts:
    """The answers of this machine, but for its containers (None: the engine is silent) and what the keeper has."""
    probes = [want.probe for want in wants if want.probe.name not in (USERS.name, "kept")]
    told = subprocess.run(["bash", "-s"], input=frame(probes, "@m"), capture_output=True, text=True, check=True)
    said = Answer("", 3) if users is None else Answer(users)
    own = {**unframe(told.stdout, "@m"), USERS.name: said, "kept": Answer(kept)}
    return Facts(dict.fromkeys({want.node for want in wants}, own))


def image(image_id: str, *tags: str, digests: tuple[str, ...] = (), size: int = 1 << 30) -> dict[str, Any]:
    """An image as Docker's API lists it."""
    return {"Id": image_id, "RepoTags": list(tags) or None, "RepoDigests": list(digests) or None, "Size": size}
