"""What profile and settings ask of each other in vain, found before any node is asked."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from sparkctl.config import agent_overrides, components, engine_args, overrides, sharing, team
from sparkctl.config.agents import FIGURES_PORT
from sparkctl.config.nodes import Roster
from sparkctl.config.profile import Engine, Profile
from sparkctl.config.served import Served, over, ranks, served
from sparkctl.config.setup import second_fault
from sparkctl.config.yamlfile import Document
from sparkctl.errors import Problem
from sparkctl.memory.demand import MOST_UTILIZATION
from sparkctl.topology import Cluster, Node

SEVERAL = "nothing: the profile places several models, and models.NAME.model.id names each"
_LIKE_A_PART = re.compile(r"(check|model|rank\d+)-(.+)")
"""What stands between the name of a step or a service and the model's: `image-check-dev`, `vllm-rank1-dev`."""
IMAGELESS = "nothing: the profile names an image for each model, as models.NAME.image.ref"


@dataclass(frozen=True)
class Fit:
    """A profile as it is written (`document`) and with the overrides of the settings (`profile`), and its nodes."""

    written: Profile
    profile: Profile
    document: Document
    roster: Roster

    def problems(self) -> Iterator[Problem]:
        """Everything that cannot work with these nodes."""
        yield from self._homeless()
        yield from components.faults(self)
        yield from self._models()
        if unknown := tuple(self._unknown_engines()):
            yield from unknown
            return
        configured, wanted = self.configured, self.wanted
        if wanted > configured:
            accepted = f"at most {configured}, as many as are configured"
            yield Problem(self.document.where(("nodes",)), "nodes", str(wanted), accepted)
        else:
            yield from self._placement()
            for each in self.served:
                yield from sharing.faults(self, each)
            yield from self._shares()
            yield from self._ports()
            yield from self._second_half()
            if platform := self.profile.platform:
                yield from team.faults(self, platform)
        yield from self._arguments()

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
        yield from self._shadowed()
        yield from components.notes(self)
        yield from agent_overrides.notes(self.profile, s)
        guard, reserve = self.profile.guard, self.profile.host.reserve_gib
        if guard.watchdog and guard.low_gib > reserve:
            yield (
                f"guard.low_gib is {guard.low_gib:g}, host.reserve_gib {reserve:g}: the watchdog stops an engine that "
                "a plan lets start"
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

    @property
    def cluster(self) -> Cluster:
        """The nodes that take part."""
        return self.roster.cluster()

    @property
    def served(self) -> tuple[Served, ...]:
        """The models that can be placed at all."""
        return served(self.profile, self.cluster)

    def _shadowed(self) -> Iterator[str]:
        """Variables that override the profile and not the models that say otherwise themselves."""
        for field, places in overrides.touched(self.written, self.roster.settings).items():
            for place in places:
                own = [name for name in self.written.models if ("models", name, *place) in self.document.places]
                if own:
                    key = ".".join(place)
                    yield f"{field.upper()} does not reach {', '.join(own)}: models.NAME.{key} stands in the profile"

    def _homeless(self) -> Iterator[Problem]:
        for field in overrides.homeless(self.profile, self.roster.settings):
            name, accepted = field.upper(), SEVERAL if field == "model" else IMAGELESS
            yield Problem(self.roster.where(name), name, "set", accepted)

    def _models(self) -> Iterator[Problem]:
        """Either one model or several, and an image for each."""
        one, several = self.profile.model is not None, bool(self.profile.models)
        if one == several:
            found = "both model and models" if one else "neither model nor models"
            yield Problem(self.document.where(("models",)), "model", found, "one model, or models by name")
        if self.profile.image is None:
            bare = [name for name, placed in self.profile.models.items() if placed.image is None]
            for place in (*(("models", name) for name in bare), *([("image",)] * one)):
                yield Problem(self.document.where(place), ".".join(place), "no image", "image.ref, here or for all")

    def _unknown_engines(self) -> Iterator[Problem]:
        known = engine_args.engines()
        for place, engine in self._engines():
            if engine.name not in known:
                path, nearest = (*place, "name"), get_close_matches(engine.name, known, n=1)
                accepted = f"one of: {', '.join(known)}"
                yield Problem(self.document.where(path), ".".join(path), repr(engine.name), accepted, *nearest)

    def _placement(self) -> Iterator[Problem]:
        """Ranks that there are, each once, and names that no part of another model has."""
        count = self.wanted
        for name, placed in self.profile.models.items():
            if (like := _LIKE_A_PART.fullmatch(name)) and like[2] in self.profile.models:
                yield self.refused(("models", name), "as a part of another model is called", "another name")
            found = ranks(placed, self.cluster)
            wished = placed.nodes if isinstance(placed.nodes, tuple) else found
            if not wished or len(set(wished)) < len(wished) or len(found) < len(wished):
                accepted = f"all, head, or ranks from 0 to {count - 1}, each once"
                yield self.refused(("models", name, "nodes"), ", ".join(map(str, wished)) or "no rank", accepted)

    def _shares(self) -> Iterator[Problem]:
        """What serves side by side on a node shares its memory; a role takes turns with others (`sparkctl role`)."""
        side_by_side = [each for each in self.served if not each.on_demand]
        for node in self.cluster.nodes:
            here = [each for each in side_by_side if node in each.cluster.nodes]
            total = sum(each.engine.gpu_memory_utilization for each in here)
            if len(here) > 1 and total > MOST_UTILIZATION + 1e-9:
                shares = " + ".join(f"{each.name} {each.engine.gpu_memory_utilization:g}" for each in here)
                place = here[-1].place("engine", "gpu_memory_utilization")
                accepted = f"{MOST_UTILIZATION:g} together at most; start: demand for what takes turns"
                yield self.refused(place, f"{shares} = {total:.2f} on {node.name}", accepted)

    def _second_half(self) -> Iterator[Problem]:
        """Setup gives the other half of the port an address of its own."""
        ips = [node.fabric_ip for node in self.cluster.nodes if node.fabric_ip] if self.cluster.workers else []
        if fault := second_fault(self.profile.setup.netplan, ips, self.roster.settings.fabric_prefix):
            place = ("setup", "netplan", "second_subnet")
            yield self.refused(place, fault, "another subnet, with room for every node's place in the first")

    def _arguments(self) -> Iterator[Problem]:
        for place, engine in self._engines():
            for fault in engine_args.faults(engine.extra_args, engine.name):
                path = (*place, "extra_args")
                yield Problem(self.document.where(path), ".".join(path), "an argument that sparkctl sets", fault)
            for fault in engine_args.variables(engine.env, engine.name):
                path = (*place, "env")
                yield Problem(self.document.where(path), ".".join(path), "a variable that sparkctl sets", fault)
        for fault in engine_args.faults(self.roster.settings.extra_words(), self.profile.engine.name):
            yield Problem(self.roster.where("EXTRA_ARGS"), "EXTRA_ARGS", "an argument that sparkctl sets", fault)

    def _engines(self) -> Iterator[tuple[overrides.Place, Engine]]:
        """The engines as they are written: the profile's, and what each model has of its own beside the name."""
        yield ("engine",), self.written.engine
        for name, placed in self.written.models.items():
            own = {"name": over(self.written.engine, placed.engine).name}
            yield ("models", name, "engine"), placed.engine.model_copy(update=own)

    def _ports(self) -> Iterator[Problem]:
        """Every port once on each node."""
        owners: dict[tuple[str, int], overrides.Place] = {}
        for place, nodes, port in (*self._platform_ports(), *self._engine_ports()):
            keys = [(node.name, port) for node in nodes]
            taken = next((owners[key] for key in keys if key in owners), None)
            if taken:
                wrong, other = sorted((taken, place), key=self._is_default)
                found = f"{port}, as {'.'.join(other).removeprefix('ports.')}"
                yield self.refused(wrong, found, "a port of its own")
            owners |= {key: place for key in keys if key not in owners}

    def _engine_ports(self) -> Iterator[tuple[overrides.Place, tuple[Node, ...], int]]:
        for each in self.served:
            for name, port in sharing.ports_of(each).items():
                yield each.place("ports", name), each.cluster.nodes, port

    def _platform_ports(self) -> Iterator[tuple[overrides.Place, tuple[Node, ...], int]]:
        """Those of the gateway, which clients know, of what stands beside it, and of the nodes' own figures."""
        if platform := self.profile.platform:
            head = self.cluster.nodes[:1]
            yield ("ports", "api"), head, self.profile.ports.api
            for field, port in platform.ports(self.profile.components).items():
                yield ("agents", field), head, port
            if self.profile.watched:
                yield ("node-stats",), self.cluster.nodes, FIGURES_PORT

    def _is_default(self, place: overrides.Place) -> bool:
        return self._variable(place) is None and place not in self.document.places

    def refused(self, place: overrides.Place, found: str, accepted: str) -> Problem:
        """The problem of a value of the profile: at its variable where one overrides it."""
        if variable := self._variable(place):
            return Problem(self.roster.where(variable), variable, found, accepted)
        return Problem(self.document.where(place), ".".join(place), found, accepted)

    def _variable(self, place: overrides.Place) -> str | None:
        """The variable that overrides a value of the profile here, or the one that a model takes from the profile."""
        changed = overrides.touched(self.written, self.roster.settings)
        said = place[2:] if place[0] == "models" and place not in self.document.places else place
        return next((field.upper() for field, places in changed.items() if said in places), None)
