"""An image to two nodes against one: bytes over a wide area network, and time. Needs root, for the network's limit."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from sparkctl import data
from tests.bench.deployed import bench_lab
from tests.bench.measure import BIN, Figure, run

NAME = "sparkfan"
MBIT = 100
"""What the depot may send, in Mbit/s: it stands for the line to a registry on the internet."""


@dataclass(frozen=True)
class Pulled:
    """One `image pull` from nothing: seconds in all, those of each step, and bytes that left the depot."""

    seconds: float
    steps: dict[str, float]
    sent: int


def figures() -> Iterator[Figure]:
    """One node, then two, each with nothing of the image there."""
    with bench_lab(BIN / "sparkctl", NAME) as env, narrowed(NAME):
        size = _size(NAME)
        one, two = (_pulled(env, nodes) for nodes in (1, 2))
    for count, pulled in ((1, one), (2, two)):
        note = f"{pulled.sent / 1e6:.0f} MB sent for an image of {size / 1e6:.0f} MB, headers and TCP included"
        yield Figure(
            f"bytes over {MBIT} Mbit/s for {count} node{'s' * (count > 1)}", pulled.sent / size, 1.1, note=note
        )
    parts = ", ".join(f"{key} {seconds:.0f} s" for key, seconds in sorted(two.steps.items()))
    note = f"{two.seconds:.0f} s, {one.seconds:.0f} s; of two nodes: {parts}"
    yield Figure("time for two nodes against one", two.seconds / one.seconds, 1.2, note=note)


def _pulled(env: dict[str, str], nodes: int) -> Pulled:
    """Remove all that a cluster left, bring its image, and see what that took."""
    profile = Path(env["SPARKCTL_LAB_HOME"]) / NAME / f"fan-{nodes}.yaml"  # goes with the lab
    shipped = yaml.safe_load((data.path("profiles") / "lab.yaml").read_text())
    profile.write_text(yaml.safe_dump({**shipped, "name": profile.stem, "nodes": nodes}))
    named = ("--profile", str(profile))
    run([BIN / "sparkctl", "down", "--purge", "--yes", "--profile", "lab"], env)
    run([BIN / "sparkctl", "up", "--until", "host", "--yes", *named], env)
    before, began = _sent(NAME), time.monotonic()
    told = json.loads(run([BIN / "sparkctl", "image", "pull", "--json", "--quiet", *named], env).stdout)
    seconds = time.monotonic() - began
    steps = {step["id"]: step["seconds"] for step in told["run"]["steps"] if step["id"].startswith("image@")}
    return Pulled(seconds, steps, _sent(NAME) - before)


def _size(name: str) -> int:
    """The image's layers and configuration in the depot's registry, compressed, in bytes."""
    import urllib.request

    from sparkctl.lab import depot, host, lifecycle
    from sparkctl.lab.registry import MANIFEST

    client = host.connect()
    if client is None:
        raise SystemExit("no Docker engine")
    at = depot.registry(client, lifecycle.find(name)).address
    request = urllib.request.Request(
        f"http://{at}/v2/{depot.ENGINE}/manifests/{depot.ENGINE_TAG}", headers={"Accept": MANIFEST}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        manifest = json.load(answer)
    return sum(part["size"] for part in (manifest["config"], *manifest["layers"]))


def _sent(name: str) -> int:
    """Bytes that have left the depot."""
    return int(run(["docker", "exec", f"{name}-depot", "cat", "/sys/class/net/eth0/statistics/tx_bytes"]).stdout)


@contextmanager
def narrowed(name: str) -> Iterator[None]:
    """The depot sends no faster than a line of MBIT; the limit goes with the depot."""
    if os.getuid() != 0:
        raise SystemExit("the limit of the network needs root")
    pid = run(["docker", "inspect", "-f", "{{.State.Pid}}", f"{name}-depot"]).stdout.strip()
    limit = ("rate", f"{MBIT}mbit", "burst", "256kb", "latency", "100ms")
    run(["nsenter", "-t", pid, "-n", "tc", "qdisc", "add", "dev", "eth0", "root", "tbf", *limit])
    yield
