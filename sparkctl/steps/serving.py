"""The API as clients meet it: container, then port, then /health, then a real streamed token."""

import time
from dataclasses import dataclass, replace

from sparkctl.core.action import Action, Context
from sparkctl.core.plan import ask
from sparkctl.core.service import Service
from sparkctl.core.step import Absent, Drifted, Finding, Layer, Ok, Pending, step_id
from sparkctl.engines.engine import Api
from sparkctl.engines.failures import VLLM, Patterns, diagnose, loading, shown
from sparkctl.errors import CommandFailed
from sparkctl.facts.docker import CONTAINERS
from sparkctl.facts.engine import LOOK_SECONDS, PATIENT_SECONDS, ApiFact, api_probe
from sparkctl.facts.probe import Facts, Probe, Want
from sparkctl.runtimes.containers import Restart, container_name, docker_errors
from sparkctl.runtimes.words import LINES, tail
from sparkctl.steps import guard
from sparkctl.steps.place import OnHead

VLLM_API = Api("vllm")


@dataclass(frozen=True)
class ServingStep(OnHead):
    """Tokens come out of the API. `services` are all containers of the engine, the API server last.

    `api` is how the engine answers, `failures` its last words; `after` are steps beyond its container's.

    `look_seconds` is how long a look waits for a token: a few for whoever watches, more for `up`, which else would
    restart a server that is only busy.
    """

    services: tuple[Service, ...]
    port: int
    model: str
    key_path: str
    seconds: float
    look_seconds: int = LOOK_SECONDS
    name: str = "serving"
    api: Api = VLLM_API
    failures: Patterns = VLLM
    after: tuple[str, ...] = ()
    layer: Layer = Layer.WORKLOAD

    @property
    def needs(self) -> tuple[str, ...]:
        return (step_id(self.services[-1].name, self.node), *self.after)

    @property
    def wants(self) -> tuple[Want, ...]:
        """What the other nodes run explains a failure: where they do not answer, that does, too."""
        others = dict.fromkeys(service.node for service in self.services if service.node != self.node)
        return (
            Want(self.node, CONTAINERS),
            Want(self.node, self.probe),
            *(Want(node, CONTAINERS, vital=False) for node in others),
        )

    @property
    def probe(self) -> Probe[ApiFact]:
        """The look at the API that decides."""
        return self.look(self.look_seconds)

    def look(self, seconds: int) -> Probe[ApiFact]:
        """The same with a time limit of its own for the token."""
        key = self.key_path if self.api.keyed else ""
        return api_probe(self.api.address(self.cluster), self.port, self.model, key, seconds, self.api.health)

    def said(self, api: ApiFact, seconds: int) -> str:
        """Why a client is not served, in words."""
        return said(replace(api, health=0) if api.health == self.api.loading else api, seconds)

    def check(self, facts: Facts) -> Finding:
        name = container_name(self.cluster, self.services[-1].name)
        found = (facts.get(self.node, CONTAINERS) or {}).get(name)
        if found is None:
            return Pending(step_id(self.services[-1].name, self.node))
        if not found.running:  # it may have ended since it was started: its log says why
            ended = f"{step_id(self.services[-1].name, self.node)} is {found.status}"
            return Absent((AwaitServing(self),), ended, symptom=True)
        api = facts.get(self.node, self.probe)
        if api.serving:
            return Ok("a token came through")
        return self._lamed(facts, self.said(api, self.look_seconds)) or self._unserved(api)

    def _unserved(self, api: ApiFact) -> Finding:
        """What is to be done where every part of the engine runs."""
        wait, words = AwaitServing(self), self.said(api, self.look_seconds)
        if api.hung:
            mend: tuple[Action, ...] = (RestartHung(self, self._restarts), wait)
            return Drifted((words,), mend, disrupts=True, symptom=True)
        if api.health == 200:
            return Drifted((words,), (*self._restarts, wait), disrupts=True, symptom=True)
        return Absent((wait,), words, symptom=True)

    def _lamed(self, facts: Facts, seen: str) -> Finding | None:
        """The part of the engine that is missing: restarting the API server would not bring it back."""
        for service in self.services:
            containers = facts.get(service.node, CONTAINERS)
            if containers is None:
                note = f"{seen}; {service.node}, where a part of the engine runs, does not answer"
                return Pending(step_id("docker", service.node), note)
            found = containers.get(container_name(self.cluster, service.name))
            part = f"{seen}; {service.name}@{service.node} is"
            if found is None:
                step = service if self.services[-1].joins else self.services[-1]
                return Pending(step_id(step.name, step.node), f"{part} missing")
            if not found.running:  # it may have ended since it was started: its log says why
                return Absent((AwaitServing(self),), f"{part} {found.status}", symptom=True)
        return None

    @property
    def _restarts(self) -> tuple[Restart, ...]:
        """The API server; without Ray all ranks, which know each other only from their start."""
        group = self.services[-1:] if self.services[-1].joins else self.services
        return tuple(Restart(self.cluster, service) for service in group)

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        return ()


def said(api: ApiFact, seconds: int) -> str:
    """Why a client is not served, in words."""
    if api.hung:
        return f"/health is fine, but no token came within {seconds} s: the request hangs, or the server is very busy"
    if api.health == 200:
        return f"/health is fine, a completion answers {api.completion or 'nothing'}: {api.error or 'without a word'}"
    if api.health:
        return f"/health answers {api.health}: the engine has failed, or is about to end (sparkctl logs)"
    return "loading: the container runs, the API does not answer yet"


@dataclass(frozen=True)
class RestartHung:
    """Ask once more, with patience: a server that is only busy must not be restarted."""

    step: ServingStep
    restarts: tuple[Restart, ...]

    @property
    def summary(self) -> str:
        return f"unless a token comes within {PATIENT_SECONDS} s: " + "; ".join(r.summary for r in self.restarts)

    @property
    def detail(self) -> str:
        return "\n".join(restart.detail for restart in self.restarts)

    def perform(self, context: Context) -> None:
        if look_at(self.step, context).serving:
            return
        for restart in self.restarts:
            restart.perform(context)


def look_at(step: ServingStep, context: Context) -> ApiFact:
    """A patient look at the API."""
    probe = step.look(PATIENT_SECONDS)
    return Facts({step.node: ask(context.session, [Want(step.node, probe)])}).get(step.node, probe)


@dataclass(frozen=True)
class AwaitServing:
    """Follow the engine while it loads; end with the first token, or with what its log says is wrong."""

    step: ServingStep

    @property
    def summary(self) -> str:
        return f"wait until {self.step.model} answers with a token"

    @property
    def detail(self) -> str:
        api = self.step.api
        at = f"http://{api.address(self.step.cluster)}:{self.step.port}"
        return f"GET {at}{api.health}, then POST {at}/v1/completions, up to {self.step.seconds:.0f} s"

    def perform(self, context: Context) -> None:
        deadline = time.monotonic() + self.step.seconds
        refusals = 0
        while not (api := look_at(self.step, context)).serving:
            self._fail_if_ended(context)
            refusals += api.health == 200
            if refusals >= 3:
                raise self._failure(context, self.step.said(api, PATIENT_SECONDS))
            if time.monotonic() > deadline:
                raise self._failure(context, f"no token within {self.step.seconds:.0f} s")
            words = loading(tail(context, self.step.cluster.head, self._api_container, 60))
            context.say(words or "loading")
            context.pause(0.5)

    @property
    def _api_container(self) -> str:
        return container_name(self.step.cluster, self.step.services[-1].name)

    def _fail_if_ended(self, context: Context) -> None:
        """A rank that ended takes the engine with it: say which, instead of waiting for the deadline."""
        for service in self.step.services:
            with docker_errors(service.node, f"look at {service.name}"):
                found = context.peers[service.node].docker.containers.get(
                    container_name(self.step.cluster, service.name)
                )
            if found.status != "running":
                status = found.attrs["State"].get("ExitCode")
                raise self._failure(context, f"{service.name} ended with status {status} while loading", service)

    def _failure(self, context: Context, what: str, service: Service | None = None) -> CommandFailed:
        culprit = service or self.step.services[-1]
        node = self.step.cluster.node(culprit.node)
        log = tail(context, node, container_name(self.step.cluster, culprit.name), LINES)
        known = diagnose([*log, what], self.step.failures)
        trips = guard.told_trips(self.step.cluster, context.peers)
        fix = known.fix if known else f"read the whole log: sparkctl logs {culprit.name}"
        return CommandFailed(
            f"{self.step.model} does not serve: {trips[-1] if trips else what}",
            where=f"{culprit.name} on {culprit.node}",
            fix=guard.ADVICE if trips else fix,
            output=shown(log, known),
        )
