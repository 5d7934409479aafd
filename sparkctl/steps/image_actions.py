"""The actions that bring, carry, look into and remove engine images."""

import re
import shlex
from dataclasses import dataclass, field
from typing import Any

from sparkctl.core.action import Context, Progress
from sparkctl.core.actions import Script
from sparkctl.errors import CommandFailed
from sparkctl.facts.image import brought_file, looks_file
from sparkctl.runtimes.containers import docker_errors
from sparkctl.steps.host_state import tidy
from sparkctl.steps.ssh_trust import ssh_command
from sparkctl.steps.ssh_trust_actions import Way
from sparkctl.topology import Cluster, Node
from sparkctl.transport.session import Session

UNPACKS = "the engine unpacks it"
"""What a step says that has its bytes and is not done."""


@dataclass(frozen=True)
class Login:
    """A registry account."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class Pull:
    """Pull an image by the engine of the head; a login travels in a header of the request, not in argv."""

    cluster: Cluster
    reference: str
    login: Login | None

    @property
    def summary(self) -> str:
        return f"pull {self.reference}"

    @property
    def detail(self) -> str:
        return f"docker pull {self.reference}" + (f" as {self.login.user}" if self.login else "")

    def perform(self, context: Context) -> None:
        node = self.cluster.head
        try:
            with docker_errors(node.name, self.summary):
                self._pull(context)
                image = context.session.docker.images.get(self.reference)
        except CommandFailed as error:
            error.fix = error.fix or pull_fix(error.output)
            raise
        remember(context.session, brought_file(self.cluster, node), str(image.id))

    def _pull(self, context: Context) -> None:
        auth = {"username": self.login.user, "password": self.login.password} if self.login else None
        layers: dict[str, tuple[int, int]] = {}
        api = context.session.docker.api
        for line in api.pull(self.reference, stream=True, decode=True, auth_config=auth):
            if "error" in line:
                raise CommandFailed(f"could not {self.summary}", where=self.cluster.head.name, output=line["error"])
            _count(layers, line)
            done, total = (sum(column) for column in zip(*layers.values(), strict=True)) if layers else (0, 0)
            context.report(Progress(self.summary if done < total or not total else UNPACKS, done, total, "B"))


@dataclass(frozen=True)
class Carry:
    """Stream an image from the head's engine into a worker's, over the fabric. `size` is in bytes."""

    cluster: Cluster
    worker: Node
    reference: str
    image_id: str
    size: int

    @property
    def summary(self) -> str:
        return f"carry {self.reference} from {self.cluster.head.name} to {self.worker.name} over the fabric"

    @property
    def detail(self) -> str:
        return self._script()

    def perform(self, context: Context) -> None:
        whole = False

        def on_line(line: str) -> None:
            nonlocal whole
            whole = whole or line.endswith("records out")  # dd has seen the end; its last count follows
            if count := re.match(r"(\d+) bytes", line):
                done = int(count[1])
                message, total = (UNPACKS, done) if whole else (self.summary, max(self.size, done))
                context.report(Progress(message, done, total, "B"))

        head = context.peers[self.cluster.head.name]
        # First: a run that dies while the image comes in must not leave one that nobody owns.
        remember(context.session, brought_file(self.cluster, self.worker), self.image_id)
        try:
            head.script(self._script(), timeout=None, on_line=on_line)
        except CommandFailed as error:
            context.session.run(("true",), timeout=30)  # a worker that is gone is an error of its own, and tried again
            raise self._failure(error) from error

    def _failure(self, error: CommandFailed) -> CommandFailed:
        full = re.search("no space left", error.output, re.IGNORECASE)
        fix = f"free space under Docker's data folder on {self.worker.name}: docker system df"
        return CommandFailed(
            f"could not {self.summary}",
            where=self.worker.name,
            fix=fix if full else "check the fabric: sparkctl doctor; then run again: sparkctl up",
            output=error.output or error.what,
        )

    def _script(self) -> str:
        """`dd` counts the bytes; its lines come back as the command's output."""
        way = Way(self.cluster, self.cluster.head, self.worker)
        ssh, image = shlex.join(ssh_command(way)), shlex.quote(self.reference)
        return (
            "set -euo pipefail\nexec 3>&1\n"
            f"docker save {image} | dd bs=1M status=progress 2> >(stdbuf -oL tr '\\r' '\\n' >&3) | "
            f"{ssh} docker load >&2\n"
        )


_LOOK = """\
set -euo pipefail
ask="import importlib.metadata as m, sys; print(next((d.version for d in m.distributions(name=sys.argv[1])), str()))"
version() {
  found=
  if command -v python3 >/dev/null; then found=$(python3 -c "$ask" "$1"); fi
  if [ -z "$found" ] && command -v "$1" >/dev/null; then found=$("$1" --version | tail -n 1); fi
}
version ray
ray=$found
version vllm
printf "%s\\t%s\\n" "$ray" "$found"
"""
"""The versions by their packages, which loads nothing; by the program where another interpreter has them.

A program that is there and fails, for lack of memory or of a GPU, ends the look: that is no answer.
"""


def look(cluster: Cluster, reference: str, image_id: str) -> Script:
    """Start the image once, without network or GPU, and note the versions of what it holds."""
    mark = f"io.sparkctl.look={shlex.quote(cluster.name)}"
    options = f"--rm --init --network none --label {mark} --entrypoint bash"
    return Script(
        f"look into {reference} for vLLM and Ray",
        "set -euo pipefail\n"
        # With an init that passes TERM on it ends with the connection; one that never started is left to `clean`.
        f"clean() {{ docker ps -aq --filter label={mark} | xargs -r docker rm -f >/dev/null; }}\n"
        "trap clean EXIT\nclean\n"
        f"found=$(docker run {options} {image_id} -c {shlex.quote(_LOOK)})\n"
        f'printf "%s\\t%s\\n" {image_id} "$found" >> {shlex.quote(looks_file(cluster))}\n',
        timeout=300,
    )


def forget_looks(cluster: Cluster) -> Script:
    """Remove what the head remembers of images."""
    tidied = tidy(cluster.state_dir(cluster.head))
    return Script("forget what was found in images", f"rm -f {shlex.quote(looks_file(cluster))}; {tidied}")


def remove_images(cluster: Cluster, node: Node, ids: tuple[str, ...]) -> Script:
    """Remove the images that this cluster brought to a node.

    One that another was built on goes once that is gone: with -f, an image that is gone already is no failure.
    """
    remove, record = f"docker rmi -f {shlex.join(ids)} >/dev/null", shlex.quote(brought_file(cluster, node))
    return Script(
        f"remove {len(ids)} image{'s' * (len(ids) != 1)} that sparkctl brought",
        f"set -e\n{remove} 2>&1 || {remove}\nrm -f {record}\n{tidy(cluster.state_dir(node))}",
        sudo=True,  # a `down` before this one may have taken our user out of the group docker
        timeout=600,
    )


def forget_images(cluster: Cluster, node: Node) -> Script:
    """Remove the record of images that are gone, or never arrived."""
    text = f"rm -f {shlex.quote(brought_file(cluster, node))}\n{tidy(cluster.state_dir(node))}"
    return Script("forget images that are not there any more", text)


def remember(session: Session, path: str, line: str) -> None:
    """Add a line to a record of ours on a node."""
    session.script(f"printf '%s\\n' {shlex.quote(line)} >> {shlex.quote(path)}")


def _count(layers: dict[str, tuple[int, int]], line: dict[str, Any]) -> None:
    """Bytes done and in all of each layer, from the engine's own progress lines."""
    detail = line.get("progressDetail") or {}
    if line.get("status") == "Downloading" and detail.get("total"):
        layers[line["id"]] = (int(detail["current"]), int(detail["total"]))
    elif line.get("status") in ("Download complete", "Pull complete") and line.get("id") in layers:
        total = layers[line["id"]][1]
        layers[line["id"]] = (total, total)


PULL_FIXES = (
    (r"no matching manifest", "the image is not built for this architecture: name another (VLLM_IMAGE)"),
    (r"manifest unknown|not found|does not exist", "the registry has no such tag: check VLLM_IMAGE or image.ref"),
    (r"unauthorized|denied|forbidden", "log in: set NGC_API_KEY, or REGISTRY_USER and REGISTRY_PASSWORD"),
    (r"no space left", "free space under Docker's data folder: docker system df"),
    (
        r"dial tcp|timeout|deadline exceeded|refused|no such host",
        "the head cannot reach the registry: check its name, DNS and proxy",
    ),
)
"""What the engine says of a pull that failed, and what to do."""


def pull_fix(text: str) -> str:
    """The first fix whose pattern is in the engine's words, or nothing."""
    return next((fix for pattern, fix in PULL_FIXES if re.search(pattern, text, re.IGNORECASE)), "")
