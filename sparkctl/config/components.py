"""The components of a profile against each other, checked offline."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from sparkctl.config.agents import MILVUS_OWN
from sparkctl.config.profile import Component
from sparkctl.errors import Problem

if TYPE_CHECKING:
    from sparkctl.config.fit import Fit

STANDS_ON: Mapping[Component, tuple[Component, str]] = {
    "agents": ("vllm", "the agents speak through its models"),
    "postgres": ("agents", "it keeps what the gateway knows"),
    "ui": ("agents", "its pages are of the gateway"),
    "prometheus": ("agents", "the figures are those of the gateway and of the nodes' programs"),
    "grafana": ("prometheus", "the dashboards show its figures"),
    "milvus": ("agents", "it keeps the chunks of their documents"),
}
"""By component: what it needs, and why."""
NOT_BUILT: Mapping[Component, str] = {
    "comfyui": "nothing of that name yet: sparkctl does not deploy ComfyUI, and the gateway makes no images",
}
"""Components that are known and that this version does not deploy."""


def faults(fit: "Fit") -> Iterator[Problem]:
    """What of the components cannot work."""
    components = fit.profile.components
    for name in components:
        if name in NOT_BUILT:
            yield fit.refused(("components",), name, NOT_BUILT[name])
        needed, why = STANDS_ON.get(name, (name, ""))
        if needed not in components:
            yield fit.refused(("components",), f"{name} without {needed}", f"{needed} too: {why}")
    platform = fit.profile.platform
    if platform and platform.rag.index == "milvus" and "milvus" not in components:
        yield fit.refused(("agents", "rag", "index"), "'milvus'", "embedded, or milvus among the components")
    if platform and "milvus" in components and (inner := MILVUS_OWN.get(platform.milvus_port)):
        found = f"{platform.milvus_port}, as {inner} in its container"
        yield fit.refused(("agents", "milvus_port"), found, "a port of its own")


def notes(fit: "Fit") -> Iterator[str]:
    """What of the components is odd and no mistake."""
    platform = fit.profile.platform
    if platform and "milvus" in fit.profile.components and platform.rag.index != "milvus":
        yield f"nobody uses the component milvus: agents.rag.index is {platform.rag.index}"


def switched(components: tuple[Component, ...], names: tuple[Component, ...], on: bool) -> tuple[Component, ...]:
    """The components with those names, or without them."""
    others = tuple(name for name in components if name not in names)
    return (*names, *others) if on else others
