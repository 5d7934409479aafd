"""What a run does: who answers is chosen, each part is answered in turn, the answers are joined."""

from dataclasses import dataclass
from typing import Any

from agents import RunState

from sparkctl.agents.core.citations import resolve
from sparkctl.agents.core.events import AgentEvent, ApprovalEvent, Citation, DoneEvent, TokenEvent
from sparkctl.agents.core.history import Item, fitting, readable
from sparkctl.agents.core.routing import choose
from sparkctl.agents.core.run import Part, Run
from sparkctl.agents.core.speaking import Asked, engine_faults, restored, speak

BETWEEN = "\n\n"
"""What stands between the answers to parts of a request."""


@dataclass
class Paused(Exception):
    """The run waits for a human; `state` is what its agent goes on from."""

    approval: ApprovalEvent
    state: dict[str, Any]


async def answer(run: Run) -> DoneEvent:
    """A run from its beginning. Raises Failure, Paused."""
    first = run.platform.team.member(run.route[0])
    run.parts = [Part(first.name, run.message)]
    if first.kind.routes:
        with engine_faults():
            run.parts = await choose(run, run.platform.offers[first.name], run.history)
    return await _parts(run)


async def carry_on(run: Run, state: dict[str, Any], call_id: str, *, allow: bool) -> DoneEvent:
    """A run from where it waited. Raises Failure, Paused."""
    agent = run.platform.team.agents[run.parts[len(run.answers)].agent]
    return await _parts(run, await restored(run, agent, state, call_id, allow=allow))


async def _parts(run: Run, state: RunState[Run] | None = None) -> DoneEvent:
    for number in range(len(run.answers), len(run.parts)):
        part = run.parts[number]
        if state is None:
            _enter(run, part)
        said = await speak(run, run.platform.team.agents[part.agent], state or _conversation(run))
        if isinstance(said, Asked):
            raise Paused(said.approval, said.state)
        run.answers.append(said.text)
        run.items.append({"role": "assistant", "content": said.text})
        run.said, state = [], None
    return _done(run)


def _enter(run: Run, part: Part) -> None:
    """The next agent speaks."""
    if run.answers:
        run.emit(TokenEvent(BETWEEN))
    if part.agent != run.route[-1]:
        run.route.append(part.agent)
        run.emit(AgentEvent(part.agent))
    run.items.append({"role": "user", "content": part.request + _images(run)})


def _conversation(run: Run) -> list[Item]:
    """What the agent is shown: what fits of the session, and this run so far."""
    part = run.parts[len(run.answers)]
    served = run.platform.endpoints.find(run.platform.team.member(part.agent).spec.model)
    limits = run.platform.document.agents.limits
    room = (served.endpoint.context or limits.tokens) - limits.answer_tokens
    return [*fitting(run.history, max(room, 0) // 2), *map(readable, run.items)]


def _images(run: Run) -> str:
    """The ids of the images, for the tools that look at them."""
    return f"\n\nImages of this message: {', '.join(run.images)}" if run.images else ""


def _done(run: Run) -> DoneEvent:
    response, citations = _cited(run)
    return DoneEvent(
        response=response,
        agent_name=run.parts[-1].agent,
        session_id=run.session_id,
        run_id=run.id,
        route=tuple(run.route),
        tool_calls=tuple(run.calls),
        citations=citations,
        usage=run.usage,
    )


def _cited(run: Run) -> tuple[str, tuple[Citation, ...]]:
    """The answers joined; in those of agents that cite, a marker names what was retrieved, or goes."""
    answers, cited = list(run.answers), dict[int, Citation]()
    for number, (part, said) in enumerate(zip(run.parts, run.answers, strict=True)):
        if "citations" in run.platform.team.member(part.agent).kind.capabilities:
            answers[number], found = resolve(said, run.citations)
            cited.update((one.number, one) for one in found)
    return BETWEEN.join(answers), tuple(cited[number] for number in sorted(cited))
