"""The engine image: brought to the nodes from its registry once, looked into before it is used."""

from dataclasses import dataclass

from sparkctl.core.action import Action
from sparkctl.core.step import Absent, Blocked, Finding, Layer, Ok, Pending, step_id
from sparkctl.facts.docker import IMAGE_IDS, ImageFact, image_probe
from sparkctl.facts.host import HOST, HostFact
from sparkctl.facts.image import ARCHITECTURES, brought_probe, contents_probe
from sparkctl.facts.probe import Facts, Want
from sparkctl.steps.image_actions import Carry, Login, Pull, forget_images, forget_looks, look, remove_images
from sparkctl.steps.image_relay import PullTogether
from sparkctl.steps.place import OnHead, OnWorker
from sparkctl.topology import Cluster, Node


@dataclass(frozen=True)
class PullStep(OnHead):
    """The image on the head, from its registry; workers that lack it too pull it at once, through the head."""

    reference: str
    login: Login | None = None
    name: str = "image"
    layer: Layer = Layer.IMAGE
    workers: tuple[Node, ...] = ()

    @property
    def needs(self) -> tuple[str, ...]:
        own = (step_id("docker", self.node), step_id("state", self.node))
        return (*own, *(step_id(name, worker.name) for worker in self.workers for name in ("docker", "ssh-trust")))

    @property
    def wants(self) -> tuple[Want, ...]:
        probes = (image_probe(self.reference), IMAGE_IDS, HOST, brought_probe(self.cluster, self.cluster.head))
        theirs = (Want(worker.name, probe) for worker in self.workers for probe in probes[:2])
        return (*(Want(self.node, probe) for probe in probes), *theirs)

    def check(self, facts: Facts) -> Finding:
        image = facts.get(self.node, image_probe(self.reference))
        host = facts.get(self.node, HOST)
        if image is None:
            return self._absent(facts)
        if _foreign(image, host):
            return Blocked(
                f"{self.reference} is built for {image.architecture}, and {self.node} is {host.architecture}",
                "name an image for that architecture, or one with a manifest for both: VLLM_IMAGE or image.ref",
            )
        return Ok(image.id[:19])

    def _absent(self, facts: Facts) -> Finding:
        for node in (self.cluster.head, *self.workers):
            if facts.get(node.name, IMAGE_IDS) is None:
                return Pending(step_id("docker", node.name))
        lacking = tuple(w for w in self.workers if facts.get(w.name, image_probe(self.reference)) is None)
        pull = Pull(self.cluster, self.reference, self.login)
        return Absent((PullTogether(pull, lacking) if lacking else pull,))

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        return _removal(self.cluster, self.cluster.head, facts)


@dataclass(frozen=True)
class CarryStep(OnWorker):
    """The same image on a worker: by id, so that every node runs the very same bytes. What it lacks is carried."""

    reference: str
    name: str = "image"
    layer: Layer = Layer.IMAGE

    @property
    def needs(self) -> tuple[str, ...]:
        here = (step_id("docker", self.node), step_id("ssh-trust", self.node))
        return (step_id(self.name, self.cluster.head.name), *here)

    @property
    def wants(self) -> tuple[Want, ...]:
        head = (Want(self.cluster.head.name, probe) for probe in (image_probe(self.reference), HOST))
        return (*head, Want(self.node, IMAGE_IDS), Want(self.node, brought_probe(self.cluster, self.worker)))

    def check(self, facts: Facts) -> Finding:
        image = facts.get(self.cluster.head.name, image_probe(self.reference))
        if image is None or _foreign(image, facts.get(self.cluster.head.name, HOST)):
            return Pending(step_id(self.name, self.cluster.head.name))
        present = facts.get(self.node, IMAGE_IDS)
        if present is None:
            return Pending(step_id("docker", self.node))
        if image.id in present:
            return Ok(image.id[:19])
        return Absent((Carry(self.cluster, self.worker, self.reference, image.id, image.size),))

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        return _removal(self.cluster, self.worker, facts)


@dataclass(frozen=True)
class LookStep(OnHead):
    """What the image holds, found out once per image id and remembered in the head's state folder."""

    reference: str
    needs_ray: bool
    pull: str = "image"
    layer: Layer = Layer.IMAGE

    @property
    def name(self) -> str:
        return self.pull.replace("image", "image-check", 1)

    @property
    def needs(self) -> tuple[str, ...]:
        return (step_id(self.pull, self.node), step_id("state", self.node))

    @property
    def wants(self) -> tuple[Want, ...]:
        return (Want(self.node, image_probe(self.reference)), Want(self.node, contents_probe(self.cluster)))

    def check(self, facts: Facts) -> Finding:
        image = facts.get(self.node, image_probe(self.reference))
        if image is None:
            return Pending(step_id(self.pull, self.node))
        contents = facts.get(self.node, contents_probe(self.cluster)).get(image.id)
        if contents is None:
            return Absent((look(self.cluster, self.reference, image.id),))
        if not contents.vllm:
            return Blocked(f"{self.reference} holds no vLLM", "name an image that does: VLLM_IMAGE or image.ref")
        if self.needs_ray and not contents.ray:
            return Blocked(
                f"{self.reference} holds vLLM {contents.vllm} and no Ray",
                "set engine.backend to mp or auto in the profile, or name an image with Ray",
            )
        return Ok(f"vLLM {contents.vllm}, Ray {contents.ray or 'none'}{_openness(contents.ray)}")

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        if not facts.get(self.node, contents_probe(self.cluster)):
            return ()
        return (forget_looks(self.cluster),)


TOKENS_SINCE = (2, 52)
"""The first Ray that can ask for a token (RAY_AUTH_MODE), by Ray's release notes."""


def _foreign(image: ImageFact, host: HostFact) -> bool:
    """Whether the image is for another kind of machine; what is unknown is for the host's own check."""
    machine = host.architecture or ""
    return bool(machine) and image.architecture != ARCHITECTURES.get(machine, machine)


def _openness(ray: str) -> str:
    """What an older Ray means for the network; see docs/security.md."""
    version = tuple(int(part) for part in ray.split(".")[:2] if part.isdigit())
    if not version or version >= TOKENS_SINCE:
        return ""
    return "; this Ray knows no token: whoever reaches its ports on the head may run code (docs/security.md)"


def _removal(cluster: Cluster, node: Node, facts: Facts) -> tuple[Action, ...]:
    """Only what this cluster brought, and only while it is there; the record in any case."""
    present, brought = facts.get(node.name, IMAGE_IDS), facts.get(node.name, brought_probe(cluster, node))
    if present is None or not brought:
        return ()
    ours = sorted(brought & present)
    return (remove_images(cluster, node, tuple(ours)) if ours else forget_images(cluster, node),)
