"""`sparkctl agents doctor`: whether the served models can do what the configured agents need."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparkctl.agent_spec import AgentsDocument
from sparkctl.agents.core.endpoints import Endpoints, open_endpoints
from sparkctl.agents.core.failure import Failure
from sparkctl.agents.core.kind import Need
from sparkctl.agents.core.team import Member, members, tools_of
from sparkctl.agents.document import read_document
from sparkctl.agents.ending import told
from sparkctl.agents.probes import Ability, Examined, examine_all

NEEDED = {
    Need.TOOLS: (Ability.TOOLS, Ability.STREAMED_TOOLS),
    Need.VISION: (Ability.IMAGES,),
}
"""What a kind's needs are, as abilities."""


@dataclass(frozen=True)
class Diagnosis:
    """Every model as it was found, and why the configuration cannot work; no problems: it can."""

    models: tuple[Examined, ...]
    problems: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """2 where the configuration cannot work."""
        return 2 if self.problems else 0

    def data(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {"models": [_model_data(one) for one in self.models], "problems": list(self.problems)}

    def rows(self) -> Iterator[Sequence[str]]:
        """As a table, its head first: what is not able has its reason under `problems`, where it matters."""
        yield ("MODEL", "REACHED", "CONTEXT", *(ability.value.upper() for ability in Ability))
        for one in self.models:
            marks = ("yes" if one.able(ability) else "no" if one.reached else "-" for ability in Ability)
            yield (one.name, "yes" if one.reached else "no", str(one.context or "-"), *marks)


def doctor(path: Path) -> Diagnosis:
    """Ask every model of the document at that path. Raises ConfigError, SparkctlError."""
    document = read_document(path)
    with told(path):
        return asyncio.run(examine_document(document))


async def examine_document(document: AgentsDocument) -> Diagnosis:
    """Ask every model, and hold that against what agents need. Raises Refused for an unknown kind or tool."""
    endpoints = open_endpoints(document)
    try:
        found = await examine_all(endpoints.by_name)
        return Diagnosis(tuple(found), tuple(problems_of(document, endpoints, {one.name: one for one in found})))
    finally:
        await endpoints.close()


def problems_of(document: AgentsDocument, endpoints: Endpoints, found: Mapping[str, Examined]) -> Iterator[str]:
    """Why the configuration cannot work, each as a sentence. Raises Refused for an unknown kind or tool."""
    for one in found.values():
        if not one.reached:
            yield f"model {one.name} is not reached at {one.url}: {one.detail}"
    for agent in members(document.agents).values():
        yield from _lacking(f"agent {agent.name}", agent.spec.model, needs_of(agent), endpoints, found)
    if embedding := document.agents.rag.embeddings:
        yield from _lacking("search", embedding, (Ability.LISTED, Ability.EMBEDDINGS), endpoints, found)
    for name, endpoint in document.models.items():
        told, wanted = found[name].context, max(endpoint.context or 0, document.agents.limits.answer_tokens + 1)
        if told is not None and told < wanted:
            yield f"model {name} reads {told} tokens, and the configuration wants {wanted}"


def needs_of(agent: Member) -> tuple[Ability, ...]:
    """What its model must be able to do. Raises Refused for an unknown tool."""
    needs = {Need.TOOLS} if tools_of(agent) else set()
    abilities = [ability for need in (*Need,) if need in needs | agent.kind.needs for ability in NEEDED[need]]
    return (Ability.LISTED, Ability.CHAT, *abilities)


def _lacking(
    who: str, model: str, needs: Sequence[Ability], endpoints: Endpoints, found: Mapping[str, Examined]
) -> Iterator[str]:
    try:
        one = found[endpoints.find(model).name]
    except Failure as failure:
        yield f"{who}: {failure.message}"
        return
    for ability in needs if one.reached else ():
        if not one.able(ability):
            yield f"{who} needs {WORDS[ability]} of model {one.name} ({one.id}): {one.findings[ability].detail}"


WORDS = {
    Ability.LISTED: "the listing",
    Ability.CHAT: "chat",
    Ability.TOOLS: "tool calls",
    Ability.STREAMED_TOOLS: "tool calls in streams",
    Ability.IMAGES: "images",
    Ability.EMBEDDINGS: "embeddings",
}


def _model_data(one: Examined) -> dict[str, Any]:
    found = {
        ability.value.replace(" ", "_"): {"able": finding.able, "detail": finding.detail}
        for ability, finding in one.findings.items()
    }
    told = {"name": one.name, "id": one.id, "url": one.url, "reached": one.reached, "detail": one.detail}
    return told | ({"context": one.context} if one.context else {}) | {"abilities": found}
