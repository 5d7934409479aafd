"""What profile and settings ask of each other in vain, found before any node is asked."""

from collections.abc import Iterator
from dataclasses import dataclass

from sparkctl.config import engine_args
from sparkctl.config.nodes import Roster
from sparkctl.config.profile import Profile
from sparkctl.config.yamlfile import Document
from sparkctl.errors import Problem

GB10, GB10_GIB = "NVIDIA GB10", 121.7
"""Name and usable unified memory of a Spark's GPU: MemTotal in GiB, measured on several."""
OVERHEAD_GIB = 2.0
"""The least that CUDA and the engine need beside weights and KV cache, per node."""


@dataclass(frozen=True)
class Fit:
    """A profile as it is written (`document`) and with the overrides of the settings (`profile`), and its nodes."""

    written: Profile
    profile: Profile
    document: Document
    roster: Roster

    def problems(self) -> Iterator[Problem]:
        """Everything that cannot work with these nodes."""
        configured, wanted = self.configured, self.wanted
        if wanted > configured:
            accepted = f"at most {configured}, as many as are configured"
            yield Problem(self.document.where(("nodes",)), "nodes", str(wanted), accepted)
        else:
            yield from self._parallel()
            yield from self._memory()
        yield from self._arguments()
        ports = self.profile.ports.model_dump()
        for name, port in ports.items():
            if first := next((other for other in ports if other != name and ports[other] == port), None):
                yield Problem(
                    self.document.where(("ports", name)), f"ports.{name}", f"{port}, as {first}", "its own port"
                )

    def notes(self) -> Iterator[str]:
        """What is odd and no mistake."""
        s = self.roster.settings
        if self.wanted < self.configured:
            yield f"{self.wanted} of {self.configured} nodes take part: the profile says nodes: {self.wanted}"
        worker = s.worker_node_interface
        if self.wanted > 1 and worker and worker != s.fabric_ctrl_interface:
            yield (
                f"the fabric is {s.fabric_ctrl_interface} on the head and {worker} on the workers: vLLM gives workers "
                "the head's NCCL settings, so the names should be the same"
            )
        if s.hf_cache.startswith("/raid"):
            yield f"HF_CACHE={s.hf_cache}: a Spark has no /raid; the folder would be made on its one disk"

    @property
    def configured(self) -> int:
        """How many nodes the settings name."""
        return len(self.roster.nodes)

    @property
    def wanted(self) -> int:
        """How many nodes the profile asks for."""
        return self.configured if self.profile.nodes == "all" else self.profile.nodes

    def _parallel(self) -> Iterator[Problem]:
        wished, stages = self.profile.engine.tensor_parallel, self._stages
        if wished == "nodes" or wished * stages == self.wanted:
            return
        name, where = self._place("TENSOR_PARALLEL", "tensor_parallel")
        times = f" x {stages} pipeline stages" if stages > 1 else ""
        accepted = f"{self.wanted // stages}: one GPU on each of {self.wanted} nodes; nodes: N in a profile uses fewer"
        yield Problem(where, name, f"{wished}{times}", accepted)

    def _memory(self) -> Iterator[Problem]:
        engine, weights = self.profile.engine, self.profile.engine.weights_gib
        if weights is None or self.profile.host.gpu != GB10:
            return
        need = weights / self.wanted + OVERHEAD_GIB
        limit = engine.gpu_memory_utilization * GB10_GIB
        if need > limit:
            found = f"{weights:g} GiB on {self.wanted} nodes need {need:.0f} GiB each"
            accepted = f"at most {limit:.0f} GiB a node: {engine.gpu_memory_utilization:g} of {GB10_GIB} GiB"
            yield Problem(self.document.where(("engine", "weights_gib")), "engine.weights_gib", found, accepted)

    def _arguments(self) -> Iterator[Problem]:
        where = self.document.where(("engine", "extra_args"))
        for fault in engine_args.faults(self.written.engine.extra_args):
            yield Problem(where, "engine.extra_args", "an argument that sparkctl sets", fault)
        for fault in engine_args.faults(self.roster.settings.extra_words()):
            yield Problem(self.roster.where("EXTRA_ARGS"), "EXTRA_ARGS", "an argument that sparkctl sets", fault)

    @property
    def _stages(self) -> int:
        return engine_args.pipeline_stages(self.profile.engine.extra_args)

    def _place(self, variable: str, key: str) -> tuple[str, str]:
        """Name and place of an engine value: the variable's where it overrides the profile."""
        if getattr(self.roster.settings, variable.lower()) is not None:
            return variable, self.roster.where(variable)
        return f"engine.{key}", self.document.where(("engine", key))
