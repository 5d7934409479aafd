"""The API as clients meet it: container, then port, then /health, then a real streamed token."""

import time
from dataclasses import dataclass

from sparkctl.core.action import Action, Context
from sparkctl.core.service import Service
from sparkctl.core.step import Absent, Drifted, Finding, Layer, Ok, Pending, step_id
from sparkctl.engines.failures import diagnose, loading, telling
from sparkctl.errors import CommandFailed
from sparkctl.facts.docker import CONTAINERS
from sparkctl.facts.engine import ApiFact, api_probe
from sparkctl.facts.probe import Facts, Probe, Want, frame, new_nonce, unframe
from sparkctl.runtimes.containers import Restart, container_name, docker_errors
from sparkctl.steps.place import OnHead
from sparkctl.steps.ray import tail


@dataclass(frozen=True)
class ServingStep(OnHead):
    """Tokens come out of the API. `services` are all containers of the engine, the API server last."""

    services: tuple[Service, ...]
    port: int
    model: str
    key_path: str
    seconds: float
    name: str = "serving"
    layer: Layer = Layer.WORKLOAD

    @property
    def needs(self) -> tuple[str, ...]:
        return (step_id(self.services[-1].name, self.node),)

    @property
    def wants(self) -> tuple[Want, ...]:
        return (Want(self.node, CONTAINERS), Want(self.node, self.probe))

    @property
    def probe(self) -> Probe[ApiFact]:
        """The look at the API that decides."""
        return api_probe(self.cluster.api_ip, self.port, self.model, self.key_path)

    def check(self, facts: Facts) -> Finding:
        name = container_name(self.cluster, self.services[-1].name)
        found = (facts.get(self.node, CONTAINERS) or {}).get(name)
        if found is None or not found.running:
            return Pending(step_id(self.services[-1].name, self.node))
        api = facts.get(self.node, self.probe)
        wait = (AwaitServing(self),)
        if api.serving:
            return Ok("a token came through")
        if api.health == 200:
            said = f"/health is fine, a completion answers {api.completion}: {api.error}"
            return Drifted((said,), (*self._restarts, *wait), disrupts=True)
        return Absent(wait)

    @property
    def _restarts(self) -> tuple[Action, ...]:
        """The API server; without Ray all ranks, which know each other only from their start."""
        group = self.services[-1:] if self.services[-1].joins else self.services
        return tuple(Restart(self.cluster, service) for service in group)

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        return ()


@dataclass(frozen=True)
class AwaitServing:
    """Follow the engine while it loads; end with the first token, or with what its log says is wrong."""

    step: ServingStep

    @property
    def summary(self) -> str:
        return f"wait until {self.step.model} answers with a token"

    @property
    def detail(self) -> str:
        at = f"http://{self.step.cluster.api_ip}:{self.step.port}"
        return f"GET {at}/health, then POST {at}/v1/completions, up to {self.step.seconds:.0f} s"

    def perform(self, context: Context) -> None:
        deadline = time.monotonic() + self.step.seconds
        refusals = 0
        while not (api := self._look(context)).serving:
            self._fail_if_ended(context)
            refusals += api.health == 200
            if refusals >= 3:
                raise self._failure(context, f"/health is fine, but a completion fails: {api.error}")
            if time.monotonic() > deadline:
                raise self._failure(context, f"no token within {self.step.seconds:.0f} s")
            words = loading(tail(context, self.step.cluster.head, self._api_container, 60))
            context.say(words or "loading")
            context.pause(0.5)

    @property
    def _api_container(self) -> str:
        return container_name(self.step.cluster, self.step.services[-1].name)

    def _look(self, context: Context) -> ApiFact:
        nonce, probe = new_nonce(), self.step.probe
        answers = unframe(context.session.probe(frame([probe], nonce)), nonce)
        return Facts({self.step.node: answers}).get(self.step.node, probe)

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
        log = tail(context, node, container_name(self.step.cluster, culprit.name), 5000)
        known = diagnose([*log, what])
        return CommandFailed(
            f"{self.step.model} does not serve: {what}",
            where=f"{culprit.name} on {culprit.node}",
            fix=known.fix if known else f"read the whole log: sparkctl logs {culprit.name}",
            output="\n".join(dict.fromkeys([*telling(log), *([known.line] if known else [])])),
        )
