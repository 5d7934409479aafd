"""The image of the agents, built on the head from this very sparkctl."""

import io
import tarfile
from dataclasses import dataclass

from sparkctl.core.action import Action, Context
from sparkctl.core.step import Absent, Finding, Layer, Ok, Pending, step_id
from sparkctl.errors import CommandFailed
from sparkctl.facts.docker import IMAGE_IDS, image_probe
from sparkctl.facts.image import brought_file
from sparkctl.facts.probe import Facts, Want
from sparkctl.rendering import render
from sparkctl.runtimes.containers import docker_errors
from sparkctl.steps.image_actions import remember
from sparkctl.steps.place import OnHead
from sparkctl.topology import Cluster
from sparkctl.wheel import Wheel

LINES = 30
"""How much of a failed build is shown."""


@dataclass(frozen=True)
class BuildStep(OnHead):
    """The image `reference`, of the wheel on top of `base`; the step `below` brings that."""

    reference: str
    base: str
    below: str
    wheel: Wheel
    name: str
    layer: Layer = Layer.IMAGE

    @property
    def needs(self) -> tuple[str, ...]:
        return (step_id(self.below, self.node),)

    @property
    def wants(self) -> tuple[Want, ...]:
        probes = (image_probe(self.reference), image_probe(self.base), IMAGE_IDS)
        return tuple(Want(self.node, probe) for probe in probes)

    def check(self, facts: Facts) -> Finding:
        found = facts.get(self.node, image_probe(self.reference))
        if found:
            return Ok(found.id[:19])
        if facts.get(self.node, image_probe(self.base)) is None:
            return Pending(step_id(self.below, self.node))
        return Absent((Build(self.cluster, self.reference, self.base, self.wheel),))

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        """It goes with every image that was brought: the step below takes them away together."""
        return ()


@dataclass(frozen=True)
class Build:
    """Have the head's engine build the image."""

    cluster: Cluster
    reference: str
    base: str
    wheel: Wheel

    @property
    def summary(self) -> str:
        return f"build {self.reference} from {self.wheel.name}"

    @property
    def detail(self) -> str:
        return self._dockerfile

    def perform(self, context: Context) -> None:
        """Raises CommandFailed, ConnectionLost."""
        head, output = self.cluster.head, list[str]()
        with docker_errors(head.name, self.summary):
            docker = context.session.docker
            tar = io.BytesIO(self._context())
            for line in docker.api.build(
                fileobj=tar, custom_context=True, tag=self.reference, rm=True, forcerm=True, decode=True
            ):
                if text := str(line.get("stream", line.get("error", ""))).strip():
                    output.append(text)
                    context.say(text.splitlines()[-1])
                if "error" in line:
                    fix = f"the head needs the Python package index for what {self.base} lacks; or name agents.image"
                    shown = "\n".join(output[-LINES:])
                    raise CommandFailed(f"could not {self.summary}", where=head.name, fix=fix, output=shown)
            image = docker.images.get(self.reference)
        remember(context.session, brought_file(self.cluster, head), str(image.id))

    @property
    def _dockerfile(self) -> str:
        return dockerfile(self.base, self.wheel)

    def _context(self) -> bytes:
        files = {"Dockerfile": self._dockerfile.encode(), self.wheel.name: self.wheel.content}
        with io.BytesIO() as buffer:
            with tarfile.open(fileobj=buffer, mode="w") as tar:
                for name, content in files.items():
                    info = tarfile.TarInfo(name)
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))
            return buffer.getvalue()


def dockerfile(base: str, wheel: Wheel) -> str:
    """How the image is built."""
    return render("agents.Dockerfile.j2", base=base, wheel=wheel.name)
