"""A run: one message to the team, as a stream of events that ends in an answer, an approval to give, or an error.

Each run is a task of its own that puts its events into a queue: what ends it early (its client goes away, somebody
cancels it, its time is up) ends that task, and with it the stream from the engine. Its last event comes when it is
on record and its session is free again.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from agents import TResponseInputItem

from sparkctl.agents.core import quota, records
from sparkctl.agents.core.events import AgentEvent, ApprovalEvent, DoneEvent, ErrorEvent, Event, as_json
from sparkctl.agents.core.failure import Cancelled, Failure, OutOfLimits, Unavailable
from sparkctl.agents.core.platform import Platform
from sparkctl.agents.core.principal import Principal
from sparkctl.agents.core.run import Run
from sparkctl.agents.core.tables import new_id
from sparkctl.agents.core.work import Paused, answer, carry_on
from sparkctl.agents.sandbox.client import forget

T = TypeVar("T")
AGAIN_SECONDS = 1.0
"""After how long the end of a run is written again, where the database is away."""


@dataclass(frozen=True)
class Request:
    """What a user asks of the team; `agent` names a specialist, empty lets the entry choose.

    `history` is the conversation so far, messages by role and content, of a client that keeps it itself; None: that
    of the session, which is made where there is none. `instructions` are what a client would have its agents heed.
    """

    message: str
    session_id: str = ""
    agent: str = ""
    images: tuple[str, ...] = ()
    history: tuple[TResponseInputItem, ...] | None = None
    instructions: str = ""


async def run(platform: Platform, principal: Principal, request: Request) -> AsyncGenerator[Event, None]:
    """Everything that happens, in order; the last event is done, approval or error. Raises Failure before the first.

    Closing the iterator before its end cancels the run.
    """
    agent = platform.team.member(request.agent).name
    await quota.check(platform, principal)
    session_id = "" if request.history is not None else request.session_id or new_id()
    made = _made(platform, principal, new_id(), session_id)
    made.message, made.images, made.route = request.message, request.images, [agent]
    made.history, made.instructions = [dict(item) for item in request.history or ()], request.instructions
    await _begun(made, records.begin(made, agent, stateless=request.history is not None))
    async with aclosing(_events(made, lambda: answer(made))) as events:
        async for event in events:
            yield event


async def resume(
    platform: Platform, principal: Principal, run_id: str, call_id: str, *, allow: bool
) -> AsyncGenerator[Event, None]:
    """The rest of a run that waits for that call, which is allowed or denied; like `run`. Raises Unknown, Busy."""
    await quota.check(platform, principal)
    made = _made(platform, principal, run_id, "")
    paused = await _begun(made, _claimed(made, call_id))
    decision = "allowed" if allow else "denied"
    platform.journal.note(principal.user, "approval.decided", f"{run_id} {call_id}", decision)
    async with aclosing(_events(made, lambda: carry_on(made, paused["state"], call_id, allow=allow))) as events:
        async for event in events:
            yield event


async def cancel(platform: Platform, principal: Principal, run_id: str) -> str:
    """End a run, wherever it is, if it has not ended; its state then, `cancelling` for a moment. Raises Unknown."""
    found = await records.find(platform.database, principal.user, run_id)
    here = platform.runs.get(run_id)
    if here and here.task:
        here.stop()
        await asyncio.wait((here.task,))
    platform.journal.note(principal.user, "run.cancel", run_id)
    state = await records.stop(platform.database, principal.user, run_id)
    if state == "cancelled":  # perhaps while it waited, and then nobody else does it
        _forget_files(_made(platform, principal, run_id, found.session_id))
    return state


def _made(platform: Platform, principal: Principal, run_id: str, session_id: str) -> Run:
    return Run(run_id, principal, session_id, platform, lambda _event: None)


async def _claimed(made: Run, call_id: str) -> dict[str, Any]:
    paused = await records.claim(made, call_id)
    made.thaw(paused["progress"])
    return paused


async def _begun(made: Run, beginning: Coroutine[None, None, T]) -> T:
    """Put the beginning on record; where who asked goes away meanwhile, so does the end, and its session is free."""
    task = asyncio.create_task(beginning)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        made.platform.keep(_unwanted(made, task))
        raise


async def _unwanted(made: Run, beginning: asyncio.Task[T]) -> None:
    with suppress(Failure):
        await beginning
        await _record(made, _End(failed(Cancelled("the client went away before the run began"))))


async def _events(made: Run, work: Callable[[], Awaitable[DoneEvent]]) -> AsyncGenerator[Event, None]:
    """What the run emits, while it works in a task of its own."""
    queue: asyncio.Queue[Event | None] = asyncio.Queue()

    def emit(event: Event) -> None:
        for listener in made.platform.listeners:
            listener(made, event)
        queue.put_nowait(event)

    made.emit = emit
    made.task = asyncio.create_task(_live(made, work, lambda: queue.put_nowait(None)))
    made.working, made.platform.runs[made.id] = True, made
    try:
        emit(AgentEvent(made.route[-1]))
        await asyncio.sleep(0)  # a task that is cancelled before it began would put nothing on record
        while (event := await queue.get()) is not None:
            yield event
        await made.task
    finally:
        made.stop()


async def _live(made: Run, work: Callable[[], Awaitable[DoneEvent]], over: Callable[[], None]) -> None:
    """Work, put the end on record, tell it. What is none of our failures is a bug: on record, and raised."""
    try:
        async with _recorded(made) as end:
            end.last = await _worked(made, work, end)
        made.emit(end.last)
    finally:
        del made.platform.runs[made.id]
        over()


@dataclass
class _End:
    """How a run ends: what is put on record, and the event that tells it."""

    last: Event
    paused: Paused | None = None


@asynccontextmanager
async def _recorded(made: Run) -> AsyncIterator[_End]:
    """Whatever happens in the block: its end is on record, and its session is free."""
    end = _End(ErrorEvent(Failure.code, "a bug in the platform ended this run"))
    try:
        yield end
    finally:
        await _record(made, end)


async def _worked(made: Run, work: Callable[[], Awaitable[DoneEvent]], end: _End) -> Event:
    seconds = made.platform.document.agents.limits.seconds
    try:
        async with asyncio.timeout(seconds):
            return await work()
    except Paused as paused:
        end.paused = paused
        return paused.approval
    except asyncio.CancelledError:
        return failed(Cancelled("the run was cancelled"))
    except TimeoutError:
        return failed(OutOfLimits(f"the run took longer than {seconds:g} seconds"))
    except Failure as failure:
        return failed(failure)
    finally:
        made.working = False


def failed(failure: Failure) -> ErrorEvent:
    """The last event of a run without an answer."""
    return ErrorEvent(failure.code, failure.message)


async def _record(made: Run, end: _End) -> None:
    """Write the end down; where the database is away, tell that, and try again until nobody would wait for it."""
    try:
        await _write(made, end)
    except Unavailable as failure:
        end.last, end.paused = failed(failure), None
        made.platform.keep(_write_later(made, end))
    if not end.paused:
        _forget_files(made)


def _forget_files(made: Run) -> None:
    """A run without a session leaves no files in the sandbox; what a session has stays."""
    if not made.session_id:
        made.platform.keep(forget(made.platform.document, made.principal.user, made.workspace))


async def _write_later(made: Run, end: _End) -> None:
    for _ in range(int(made.platform.document.agents.limits.seconds / AGAIN_SECONDS) + 1):
        await asyncio.sleep(AGAIN_SECONDS)
        with suppress(Unavailable):
            await _write(made, end)
            return


async def _write(made: Run, end: _End) -> None:
    progress = made.freeze()
    if end.paused and isinstance(end.last, ApprovalEvent):
        paused = {"approval": as_json(end.last), "state": end.paused.state, "progress": progress}
        if await records.end(made, "waiting", "", [], paused):
            return
        end.last, end.paused = failed(Cancelled("the run was cancelled")), None
    last = end.last
    if isinstance(last, DoneEvent):
        await records.end(made, "done", "", records.finished(made, last))
    elif isinstance(last, ErrorEvent):
        state = "cancelled" if last.code == Cancelled.code else "failed"
        await records.end(made, state, last.message, records.unfinished(progress, "".join(made.said), last.message))
