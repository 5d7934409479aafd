"""What profile and settings ask of each other in vain, found before any node is asked."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from sparkctl.config import engine_args, overrides
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
        yield from self._ports()

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
        wished, each = self._tensor_parallel, math.prod(self._ways.values())
        if wished * each == self.wanted:
            return
        ways = [f"{count} {kind}" for kind, count in self._ways.items()]
        one = f"one GPU on each of {self.wanted} nodes; nodes: N in a profile uses fewer"
        if each and self.wanted % each == 0:
            found = " x ".join((str(wished), *ways))
            yield self._refused(("engine", "tensor_parallel"), found, f"{self.wanted // each}: {one}")
            return
        accepted = f"what divides {self.wanted}: {one}"
        if engine_args.ways(self.roster.settings.extra_words()):
            yield Problem(self.roster.where("EXTRA_ARGS"), "EXTRA_ARGS", " x ".join(ways), accepted)
        else:
            place = ("engine", "extra_args")
            yield Problem(self.document.where(place), ".".join(place), " x ".join(ways), accepted)

    def _memory(self) -> Iterator[Problem]:
        engine, weights = self.profile.engine, self.profile.engine.weights_gib
        if weights is None or self.profile.host.gpu != GB10:
            return
        copies = 1 if engine.expert_parallel else self._ways.get("replicas", 1)
        need = weights * copies / self.wanted + OVERHEAD_GIB
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
    def _tensor_parallel(self) -> int:
        wished = self.profile.engine.tensor_parallel
        return self.wanted if wished == "nodes" else wished

    @property
    def _ways(self) -> dict[str, int]:
        return engine_args.ways(self.profile.engine.extra_args)

    def _ports(self) -> Iterator[Problem]:
        owners: dict[int, str] = {}
        for name, port in self.profile.ports.model_dump().items():
            if port is None:
                continue
            if port not in owners:
                owners[port] = name
                continue
            wrong, other = sorted((owners[port], name), key=self._is_default)
            yield self._refused(("ports", wrong), f"{port}, as {other}", "a port of its own")

    def _is_default(self, port: str) -> bool:
        return self._variable(("ports", port)) is None and ("ports", port) not in self.document.places

    def _refused(self, place: overrides.Place, found: str, accepted: str) -> Problem:
        """The problem of a value of the profile: at its variable where one overrides it."""
        if variable := self._variable(place):
            return Problem(self.roster.where(variable), variable, found, accepted)
        return Problem(self.document.where(place), ".".join(place), found, accepted)

    def _variable(self, place: overrides.Place) -> str | None:
        """The variable that overrides a value of the profile here."""
        changed = overrides.touched(self.written, self.roster.settings)
        return next((field.upper() for field, places in changed.items() if place in places), None)
