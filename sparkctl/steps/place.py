"""Where a step is done: what every step of the head, of a worker or of any one node shares."""

from dataclasses import dataclass

from sparkctl.topology import Cluster, Node


@dataclass(frozen=True)
class OnHead:
    """Done once for the cluster, on its head."""

    cluster: Cluster

    @property
    def node(self) -> str:
        """The node's name."""
        return self.cluster.head.name


@dataclass(frozen=True)
class OnWorker:
    """Done on one worker, often with the head's help."""

    cluster: Cluster
    worker: Node

    @property
    def node(self) -> str:
        """The node's name."""
        return self.worker.name


@dataclass(frozen=True)
class OnNode:
    """Done on one node, whatever its role."""

    cluster: Cluster
    on: Node

    @property
    def node(self) -> str:
        """The node's name."""
        return self.on.name
