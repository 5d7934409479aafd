"""Parts of the serving stack that are brought alone: models, images, and what each stands on."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from sparkctl.core.plan import id_of, with_needs
from sparkctl.core.step import Step
from sparkctl.errors import SparkctlError
from sparkctl.stacks import serving
from sparkctl.steps.copy import CopyStep
from sparkctl.steps.host import HostStep
from sparkctl.steps.image import CarryStep, PullStep
from sparkctl.steps.model import ModelStep

if TYPE_CHECKING:
    from sparkctl.config.load import Config


def model_steps(config: "Config", models: Collection[str], revision: str = "") -> tuple[Step, ...]:
    """The steps that bring models (all that are served, where none is named), at their own revision or at that one.

    One that is not served comes to the head and, with the store `copy`, to every worker. Raises SparkctlError where
    there is nothing to bring.
    """
    served = {one.model.id for one in config.served}
    wanted = set(models) or served
    found = _with_needs(serving.steps(config), partial(_brings, wanted & served))
    for stranger in sorted(wanted - served):
        alone = _with_needs(serving.steps(_serving(config, stranger)), partial(_brings, {stranger}))
        found += [_named(step, f"model:{stranger}") for step in alone]
    if not any(isinstance(step, ModelStep) for step in found):
        raise SparkctlError("this deployment names no model to pull", fix="sparkctl model pull ORG/NAME")
    once = {id_of(step): _at(step, revision) for step in found}
    return tuple(once.values())


def image_steps(config: "Config") -> tuple[Step, ...]:
    """The steps that bring the images of the deployment to the nodes that run them."""
    return tuple(_with_needs(serving.steps(config), lambda step: isinstance(step, PullStep | CarryStep)))


def _brings(models: Collection[str], step: Step) -> bool:
    """Whether a step brings one of these models to a node."""
    if isinstance(step, ModelStep):
        return step.source.model in models
    return isinstance(step, CopyStep) and step.wanted and step.repo in models


def _named(step: Step, name: str) -> Step:
    """The steps of one model under a name of its own, so that several come side by side."""
    if isinstance(step, ModelStep):
        return replace(step, name=name)
    return replace(step, model=name) if isinstance(step, CopyStep) else step


def _at(step: Step, revision: str) -> Step:
    if revision and isinstance(step, ModelStep):
        return replace(step, source=replace(step.source, revision=revision))
    return step


def _serving(config: "Config", model: str) -> "Config":
    """The same cluster with that model alone; how it would be served plays no role. Raises SparkctlError."""
    from sparkctl.config.profile import Engine, Model

    first = next(iter(config.served), None)
    if first is None:
        fix = "choose one that does: --profile NAME"
        raise SparkctlError(f"profile {config.profile.name} serves no model, so it says nothing about images", fix=fix)
    only = {"model": Model(id=model), "models": {}, "image": first.image, "engine": Engine()}
    return replace(config, profile=config.profile.model_copy(update={**only, "components": ("vllm",)}))


def _with_needs(every: Sequence[Step], wanted: Callable[[Step], bool]) -> list[Step]:
    """The wanted steps and all that they stand on; a host need not be fit to serve yet."""
    return [_eased(step) for step in with_needs(every, wanted)]


def _eased(step: Step) -> Step:
    if isinstance(step, HostStep):
        return replace(step, wish=replace(step.wish, gpu=""))
    return step
