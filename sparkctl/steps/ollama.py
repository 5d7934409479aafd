"""Ollama's models as steps: a store of the cluster's own, and the served model pulled, shaped and loaded to stay."""

import json
from dataclasses import dataclass
from shlex import quote

from sparkctl.amounts import size
from sparkctl.core.action import Action, Context
from sparkctl.core.actions import Script
from sparkctl.core.service import Service
from sparkctl.core.step import Absent, Drifted, Finding, Layer, Ok, Pending, step_id
from sparkctl.data import node_program
from sparkctl.engines.failures import OLLAMA, diagnose
from sparkctl.errors import CommandFailed
from sparkctl.facts.docker import CONTAINERS
from sparkctl.facts.ollama import OllamaFact, full_name, ollama_probe
from sparkctl.facts.probe import Answer, Facts, Probe, Want
from sparkctl.runtimes.containers import container_name
from sparkctl.steps.host_state import tidy
from sparkctl.steps.model import Watch
from sparkctl.steps.place import OnHead, OnNode
from sparkctl.topology import Cluster, Node


def store_path(cluster: Cluster, node: Node) -> str:
    """Where the models lie on a node: Ollama writes them as root, so that they are in nobody else's cache."""
    return f"{cluster.state_dir(node)}/ollama"


@dataclass(frozen=True)
class OllamaStoreStep(OnNode):
    """The folder of the store; it goes with the models in it."""

    name: str = "ollama-store"
    layer: Layer = Layer.MODEL

    @property
    def needs(self) -> tuple[str, ...]:
        return (step_id("state", self.node),)

    @property
    def wants(self) -> tuple[Want, ...]:
        return (Want(self.node, self._probe),)

    def check(self, facts: Facts) -> Finding:
        if facts.get(self.node, self._probe):
            return Ok()
        return Absent((Script("make the folder of Ollama's models", f"mkdir -pm 700 {quote(self._path)}"),))

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        if not facts.get(self.node, self._probe):
            return ()
        text = f"rm -rf {quote(self._path)}\n{tidy(self.cluster.state_dir(self.on))}"
        return (Script("remove Ollama's models", text, sudo=True, timeout=600),)

    @property
    def _path(self) -> str:
        return store_path(self.cluster, self.on)

    @property
    def _probe(self) -> Probe[bool]:
        return Probe("ollama-store", f"[ -d {quote(self._path)} ]", _succeeded)


def _succeeded(answer: Answer) -> bool:
    return answer.rc == 0


@dataclass(frozen=True)
class OllamaModelStep(OnHead):
    """The model in memory, under the name that clients ask for and with its context of so many tokens."""

    service: Service
    port: int
    model: str
    served_name: str
    context: int
    name: str = "ollama-model"
    layer: Layer = Layer.WORKLOAD

    @property
    def needs(self) -> tuple[str, ...]:
        return (step_id(self.service.name, self.node),)

    @property
    def wants(self) -> tuple[Want, ...]:
        return (Want(self.node, CONTAINERS), Want(self.node, self.probe))

    @property
    def probe(self) -> Probe[OllamaFact | None]:
        """The look at Ollama that decides."""
        return ollama_probe(self.port, self.served_name)

    def check(self, facts: Facts) -> Finding:
        found = (facts.get(self.node, CONTAINERS) or {}).get(container_name(self.cluster, self.service.name))
        if found is None or not found.running:
            return Pending(step_id(self.service.name, self.node))
        fact, name = facts.get(self.node, self.probe), full_name(self.served_name)
        if fact is None:
            return Absent(self._verbs("pull", "shape", "load"), "Ollama does not answer yet")
        if name not in fact.pulled:
            absent = () if full_name(self.model) in fact.pulled else ("pull",)
            return Absent(self._verbs(*absent, "shape", "load"))
        if fact.context != self.context:
            words = f"context {fact.context or 'unset'} -> {self.context}"
            return Drifted((words,), self._verbs("shape", "unload", "load"), disrupts=name in fact.loaded)
        if name not in fact.loaded:
            return Absent(self._verbs("load"), "not loaded")
        return Ok(f"{size(fact.loaded[name])} in memory, to stay")

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        """It goes with its container."""
        return ()

    def _verbs(self, *verbs: str) -> tuple[Action, ...]:
        return tuple(Tell(verb, self) for verb in verbs)


WORDS = {
    "pull": "pull {model}",
    "shape": "make {name} of {model} with its context",
    "load": "load {name}",
    "unload": "unload {name}",
}


@dataclass(frozen=True)
class Tell:
    """Have Ollama do one thing with the model, by a program on the node that speaks to its loopback."""

    verb: str
    step: OllamaModelStep

    @property
    def summary(self) -> str:
        return WORDS[self.verb].format(model=self.step.model, name=self.step.served_name)

    @property
    def detail(self) -> str:
        return f"by Ollama's API at 127.0.0.1:{self.step.port}; context {self.step.context} tokens"

    def perform(self, context: Context) -> None:
        """Raises CommandFailed with Ollama's own words, ConnectionLost."""
        step, watch = self.step, Watch(context, self.summary)
        job = {"port": step.port, "model": step.model, "name": step.served_name, "context": step.context}
        argv = ("python3", "-c", node_program("ollama_client"), self.verb, json.dumps(job))
        if context.session.run(argv, timeout=None, check=False, on_line=watch.see).rc == 0:
            return
        words = watch.error or "it ended early"
        known = diagnose([words], OLLAMA)
        fix = watch.fix or (known.fix if known else f"sparkctl logs {step.service.name}")
        raise CommandFailed(f"could not {self.summary}: {words}", where=step.node, fix=fix)
