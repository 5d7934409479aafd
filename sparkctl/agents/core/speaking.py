"""One agent of the team answers: a run of openai-agents, its events as ours, its end as one of three."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from json import JSONDecodeError
from typing import Any, cast

from agents import Agent, AgentsException, RunConfig, Runner, RunResultStreaming, RunState, StreamEvent, UserError
from agents.items import ToolCallItem, ToolCallOutputItem
from agents.run_config import CallModelData, ModelInputData
from httpx2 import HTTPError
from openai import APIStatusError, OpenAIError
from openai.types.responses import ResponseTextDeltaEvent

from sparkctl.agents.core.events import ApprovalEvent, TokenEvent, ToolCall, ToolCallEvent, ToolResultEvent
from sparkctl.agents.core.failure import EngineFailed, Failure, Refused
from sparkctl.agents.core.history import Item, readable
from sparkctl.agents.core.meter import Meter
from sparkctl.agents.core.run import Run

ATTEMPTS = 2
"""How often a model may answer with nothing."""
UNLIMITED = None
"""Turns, for openai-agents: ours are counted over all agents of a run."""


@dataclass(frozen=True)
class Said:
    """An answer."""

    text: str


@dataclass(frozen=True)
class Asked:
    """A call waits for a human: `state` is openai-agents' own, as JSON."""

    approval: ApprovalEvent
    state: dict[str, Any]


async def speak(run: Run, agent: Agent[Run], given: list[Item] | RunState[Run]) -> Said | Asked:
    """Let an agent answer a conversation, or go on where it waited; what it does goes into `run.items`.

    Raises EngineFailed, OutOfLimits.
    """
    for _ in range(ATTEMPTS):
        context = {} if isinstance(given, RunState) else {"context": run}
        meter = Meter()
        result = Runner.run_streamed(
            agent, cast(Any, given), max_turns=UNLIMITED, hooks=meter, run_config=_config(), **cast(Any, context)
        )
        with engine_faults():
            await _listen(result, meter, run)
        if result.interruptions:
            return Asked(_approval(run, result), result.to_state().to_json(context_serializer=lambda _run: {}))
        if text := str(result.final_output or "").strip():
            return Said(text)
        given = cast(list[Item], result.to_input_list())
    raise EngineFailed("the model answered with nothing, twice")


async def _listen(result: RunResultStreaming, meter: Meter, run: Run) -> None:
    try:
        async with closing(result):
            async for event in result.stream_events():
                meter.heard(event)
                tell(event, run)
    except asyncio.CancelledError:
        meter.broken_off(run)
        raise


async def restored(run: Run, agent: Agent[Run], state: dict[str, Any], call_id: str, *, allow: bool) -> RunState[Run]:
    """A state that waited, with that decision. Raises Refused where the team is no longer the one that it knew."""
    try:
        found: RunState[Run] = await RunState.from_json(agent, state, context_override=cast(Any, run))
    except UserError as error:
        raise Refused("the agents have changed since this run began to wait; ask anew") from error
    waiting = next(one for one in found.get_interruptions() if one.call_id == call_id)
    if allow:
        found.approve(waiting)
    else:
        found.reject(waiting)
    return found


def tell(event: StreamEvent, run: Run) -> None:
    """Put an event of openai-agents into the run's stream as ours: nothing for most."""
    if event.type == "raw_response_event" and isinstance(event.data, ResponseTextDeltaEvent):
        run.said.append(event.data.delta)
        run.emit(TokenEvent(event.data.delta))
    if event.type != "run_item_stream_event":
        return
    if isinstance(event.item, ToolCallItem):
        call = dict(event.item.to_input_item())
        run.items.append(call)
        run.emit(ToolCallEvent(*(str(call.get(key)) for key in ("call_id", "name", "arguments"))))
    if isinstance(event.item, ToolCallOutputItem):
        _told(dict(event.item.to_input_item()), str(event.item.output), run)


@contextmanager
def engine_faults() -> Iterator[None]:
    """Whatever an engine, or a model, can do wrong is EngineFailed. A Failure passes."""
    try:
        yield
    except Failure:
        raise
    except APIStatusError as error:
        raise EngineFailed(f"the model's engine answered with HTTP {error.status_code}") from error
    except (OpenAIError, HTTPError, JSONDecodeError) as error:
        raise EngineFailed("the model's engine did not answer, or stopped in the middle") from error
    except AgentsException as error:
        raise EngineFailed(f"the model's answer cannot be used: {type(error).__name__}") from error


@asynccontextmanager
async def closing(result: RunResultStreaming) -> AsyncIterator[None]:
    """Whatever ends the block: the stream from the engine is closed after it."""
    try:
        yield
    finally:
        if result.run_loop_task and not result.run_loop_task.done():
            result.run_loop_task.cancel()
            await asyncio.wait((result.run_loop_task,))


def _told(output: Item, text: str, run: Run) -> None:
    run.items.append(output)
    call_id = str(output.get("call_id"))
    call = next(one for one in reversed(run.items) if one.get("call_id") == call_id and "name" in one)
    run.calls.append(ToolCall(str(call["name"]), str(call["arguments"]), text))
    run.emit(ToolResultEvent(call_id, str(call["name"]), text))


def _approval(run: Run, result: RunResultStreaming) -> ApprovalEvent:
    """Of several calls that wait the first: the others are asked for after it."""
    first = result.interruptions[0]
    return ApprovalEvent(run.id, str(first.call_id), str(first.tool_name), str(first.arguments))


def _config() -> RunConfig:
    return RunConfig(
        tracing_disabled=True, tool_not_found_behavior="return_error_to_model", call_model_input_filter=_readable
    )


def _readable(data: CallModelData[Any]) -> ModelInputData:
    given = data.model_data
    items = [readable(cast(Item, item)) for item in given.input]
    return ModelInputData(cast(Any, items), given.instructions)
