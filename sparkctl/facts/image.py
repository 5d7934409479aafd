"""What is remembered of images on a node: which ones this cluster brought, and what was found in them."""

import re
import shlex
from dataclasses import dataclass

from sparkctl.facts.probe import Answer, Probe
from sparkctl.topology import Cluster, Node

ARCHITECTURES = {"aarch64": "arm64", "x86_64": "amd64"}
"""`uname -m` in Docker's words."""


@dataclass(frozen=True)
class ImageContents:
    """What one look into an image found: versions, empty where the program is missing."""

    ray: str
    vllm: str


def looks_file(cluster: Cluster) -> str:
    """Where the head remembers what images hold: id, Ray and vLLM version, separated by tabs."""
    return f"{cluster.state_dir(cluster.head)}/looks"


def brought_file(cluster: Cluster, node: Node) -> str:
    """Where a node remembers the ids of the images that this cluster brought to it."""
    return f"{cluster.state_dir(node)}/images"


def contents_probe(cluster: Cluster) -> Probe[dict[str, ImageContents]]:
    """What was found in images so far, by image id."""
    return Probe("image-contents", f"cat {shlex.quote(looks_file(cluster))}", _contents)


def brought_probe(cluster: Cluster, node: Node) -> Probe[frozenset[str]]:
    """The ids of images that this cluster brought to the node."""
    script = f"cat {shlex.quote(brought_file(cluster, node))}"
    return Probe("images-brought", script, lambda answer: frozenset(answer.stdout.split()))


def _contents(answer: Answer) -> dict[str, ImageContents]:
    rows = (line.split("\t") for line in answer.stdout.splitlines())
    return {row[0]: ImageContents(_version(row[1]), _version(row[2])) for row in rows if len(row) == 3}


def _version(text: str) -> str:
    """The first word that starts with a digit: `ray, version 2.60.0` and `0.32.0+cpu` alike."""
    found = re.search(r"\d\S*", text)
    return found[0] if found else ""
