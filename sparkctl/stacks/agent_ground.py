"""What every service of the agent platform stands on: the deployment, and the folders and secrets of its head."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparkctl.config.agents import FIGURES_PORT
from sparkctl.core.service import Mount, Secret
from sparkctl.steps.agents import agents_dir
from sparkctl.steps.secret import secret_path
from sparkctl.topology import LOOPBACK, Node

if TYPE_CHECKING:
    from sparkctl.config.agents import Platform
    from sparkctl.config.load import Config
    from sparkctl.config.profile import Component

METRICS_KEY, NODE_KEY = "metrics-key", "node-key"
MODEL = "main"
"""What the platform calls the only model of a deployment."""
CONFIG = "config"
"""The folder of what the platform is told; it holds no secret."""


@dataclass(frozen=True)
class Ground:
    """The platform of one deployment; `platform` is what its profile says of it."""

    config: "Config"
    platform: "Platform"

    @property
    def head(self) -> Node:
        """Where everything of the platform runs, but for the nodes' figures."""
        return self.config.cluster.head

    def has(self, component: "Component") -> bool:
        """Whether that is deployed."""
        return component in self.config.profile.components

    @property
    def nodes(self) -> dict[str, str]:
        """Address and port of each node's own figures, by node: the fabric, or loopback on one Spark alone."""
        fabric = bool(self.config.cluster.workers)
        return {n.name: f"{n.data_ip if fabric else LOOPBACK}:{FIGURES_PORT}" for n in self.config.cluster.nodes}

    def mount(self, name: str, target: str, *, read_only: bool = False) -> Mount:
        """One of the platform's folders on the head."""
        return Mount(f"{agents_dir(self.config.cluster, self.head)}/{name}", target, read_only)

    def given(self, *names: str) -> tuple[Secret, ...]:
        """Secrets of the head."""
        return tuple(Secret(name, secret_path(self.config.cluster, self.head, name)) for name in names)
