"""A step whose shape is known only once the image has been looked into: with Ray, or without."""

from dataclasses import dataclass

from sparkctl.core.action import Action
from sparkctl.core.step import Finding, Layer, Ok, Pending, Step, step_id
from sparkctl.facts.docker import image_probe
from sparkctl.facts.image import contents_probe
from sparkctl.facts.probe import Facts, Want
from sparkctl.topology import Cluster


@dataclass(frozen=True)
class ByImage:
    """One of two steps, by what the image holds; None is: nothing to do in that case, `LeftoversStep` tidies up.

    `look` is the step that looks into the image.
    """

    cluster: Cluster
    reference: str
    with_ray: Step | None
    without_ray: Step | None
    look: str = "image-check"

    @property
    def name(self) -> str:
        return self._any.name

    @property
    def node(self) -> str:
        return self._any.node

    @property
    def layer(self) -> Layer:
        return self._any.layer

    @property
    def needs(self) -> tuple[str, ...]:
        both = (need for step in self._both for need in step.needs)
        return tuple(dict.fromkeys((*both, step_id(self.look, self.cluster.head.name))))

    @property
    def wants(self) -> tuple[Want, ...]:
        head = self.cluster.head.name
        look = (Want(head, image_probe(self.reference)), Want(head, contents_probe(self.cluster)))
        return (*look, *(want for step in self._both for want in step.wants))

    def check(self, facts: Facts) -> Finding:
        head = self.cluster.head.name
        image = facts.get(head, image_probe(self.reference))
        contents = facts.get(head, contents_probe(self.cluster)).get(image.id) if image else None
        if contents is None:
            return Pending(step_id(self.look, head))
        chosen = self.with_ray if contents.ray else self.without_ray
        return chosen.check(facts) if chosen else Ok("not used")

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        return tuple(dict.fromkeys(action for step in self._both for action in step.undo(facts)))

    @property
    def _both(self) -> tuple[Step, ...]:
        return tuple(step for step in (self.without_ray, self.with_ray) if step)

    @property
    def _any(self) -> Step:
        return self._both[0]
