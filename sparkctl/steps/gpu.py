"""GPU, driver and CUDA of a node, and whether all nodes have the same."""

from collections.abc import Iterator
from dataclasses import dataclass

from sparkctl.core.action import Action
from sparkctl.core.step import Blocked, Finding, Layer, Ok
from sparkctl.facts.gpu import CUDA, GPU
from sparkctl.facts.probe import Facts, Want
from sparkctl.steps.host import Trouble, driver_parity, missing_gpu
from sparkctl.steps.place import OnNode
from sparkctl.topology import Cluster

UPDATE = "bring all nodes to one state: sudo apt-get update && sudo apt-get dist-upgrade, then reboot"


@dataclass(frozen=True)
class GpuWish:
    """`name` is a part of the GPU's name, empty for any; `driver` and `cuda` are the least versions, such as 580."""

    name: str = ""
    driver: str = ""
    cuda: str = ""


@dataclass(frozen=True)
class GpuStep(OnNode):
    """One node against the wish and against the head. Changes nothing: drivers come with the system's own updates."""

    wish: GpuWish
    name: str = "gpu"
    layer: Layer = Layer.HOST
    needs: tuple[str, ...] = ()

    @property
    def wants(self) -> tuple[Want, ...]:
        nodes = dict.fromkeys((self.node, self.cluster.head.name))
        return tuple(Want(node, probe) for node in nodes for probe in (GPU, CUDA))

    def check(self, facts: Facts) -> Finding:
        if troubles := tuple(self._troubles(facts)):
            return Blocked("\n".join(t.problem for t in troubles), "\n".join(dict.fromkeys(t.fix for t in troubles)))
        gpu, cuda = facts.get(self.node, GPU), facts.get(self.node, CUDA)
        return Ok(
            ", ".join(filter(None, (*gpu.names, gpu.driver and f"driver {gpu.driver}", cuda and f"CUDA {cuda}")))
        )

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        return ()

    def _troubles(self, facts: Facts) -> Iterator[Trouble]:
        gpu, cuda = facts.get(self.node, GPU), facts.get(self.node, CUDA)
        if self.wish.name:
            yield from missing_gpu(gpu, self.wish.name)
        for what, found, least in (("driver", gpu.driver, self.wish.driver), ("CUDA", cuda, self.wish.cuda)):
            if least and found and _version(found) < _version(least):
                yield Trouble(f"{what} {found} is older than {least}", UPDATE)
        head = self.cluster.head.name
        yield from driver_parity(gpu, facts.get(head, GPU), head)
        other = facts.get(head, CUDA)
        if cuda and other and cuda != other:
            yield Trouble(f"CUDA {cuda} here, {other} on {head}", UPDATE)


def steps(cluster: Cluster, wish: GpuWish) -> tuple[GpuStep, ...]:
    """One for every node."""
    return tuple(GpuStep(cluster, node, wish) for node in cluster.nodes)


def _version(text: str) -> tuple[int, ...]:
    """`580.95.05` as numbers; what is no number counts as 0."""
    return tuple(int(part) if part.isdecimal() else 0 for part in text.split("."))
