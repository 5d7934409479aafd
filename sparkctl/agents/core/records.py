"""Runs in the database: begun, ended, waiting, taken up again. Each step is one transaction with its session's."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from sparkctl.agents.core import history, quota, sessions, tables
from sparkctl.agents.core.database import Database
from sparkctl.agents.core.events import DoneEvent
from sparkctl.agents.core.failure import Busy, Unknown
from sparkctl.agents.core.history import Item
from sparkctl.agents.core.run import Run

GRACE_SECONDS = 30.0
"""How much longer than a run may take its session stays held, if its process has died."""
WAIT_SECONDS = 86_400.0
"""How long a run without a session waits for a human: it keeps the history that its client sent."""
WAITED = "it waited for a day"
NOT_DECIDED = "it waited for an approval, and the conversation went on without"
LOST = "the process that had it ended"
"""Of runs that are taken for dead; one that ends after all has its own end."""
OPEN = tables.Run.state.in_(("running", "cancelling"))


async def begin(run: Run, agent: str, *, stateless: bool) -> None:
    """Put the run on record and take its session, with what came before in it. Raises Busy."""
    database, user = run.platform.database, run.principal.user
    async with database.begin() as session:
        if not stateless:
            taken = await _take(session, run)
            run.untrusted = taken.untrusted
            if not taken.new:
                await _pass_over(session, user, run.session_id)
                run.history = [row.content for row in await history.read(session, user, run.session_id)]
        else:
            run.untrusted = await _heard(session, user, run.history)
        row = {"id": run.id, "user": user, "session_id": run.session_id, "agent": agent}
        await session.execute(insert(tables.Run), row)


async def end(run: Run, state: str, error: str, kept: list[Item], paused: dict[str, Any] | None = None) -> bool:
    """Put its end, or its pause, on record with what is kept of it and what it took, and let the session go.

    Once: an earlier try may have arrived, though its answer did not. False, and nothing done, for the pause of a run
    that another process was asked to cancel.
    """
    user = run.principal.user
    ended = None if paused else time.time()
    values = {"state": state, "error": error, "ended": ended, "paused": paused}
    if run.untrusted and not run.session_id:
        said = {"role": "user", "content": run.message}
        values["heard"] = history.exchanges([*run.history, said])[-1]
        values["heard_alone"] = history.exchanges([said])[-1]
    async with run.platform.database.begin() as session:
        still = tables.Run.state == "running" if paused else OPEN
        mine = update(tables.Run).where(tables.Run.id == run.id, still | (tables.Run.error == LOST)).values(values)
        written = (await session.scalars(mine.returning(tables.Run.id))).first() is not None
        if paused and not written:
            return False
        if written:
            await quota.add(session, user, run.spent)
            if run.session_id:
                await history.keep(session, user, run.session_id, kept)
                await sessions.release(session, user, run.session_id, run.id, untrusted=run.untrusted)
    quota.counted(run.platform, user, run.spent)
    return True


async def claim(run: Run, call_id: str) -> dict[str, Any]:
    """Take up a run that waits for that call; what its pause kept. Raises Unknown, Busy."""
    async with run.platform.database.begin() as session:
        found = await _of_user(session, run.principal.user, run.id)
        paused = paused_of(found)
        if paused["approval"]["call_id"] != call_id:
            raise Unknown(f"this run does not wait for the call {call_id}")
        run.session_id = found.session_id
        if run.session_id:
            await _take(session, run)  # before the run, as `begin` does: two that wait for each other never end
        waiting = (tables.Run.id == run.id, tables.Run.state == "waiting")
        taken = update(tables.Run).where(*waiting).values(state="running", started=time.time())
        if (await session.scalars(taken.returning(tables.Run.id))).first() is None:
            raise Busy("this run does not wait: another request has taken it up")
        return paused


def paused_of(found: tables.Run) -> dict[str, Any]:
    """What a pause keeps: `approval`, `state`, `progress`. Raises Busy for a run that does not wait."""
    if found.paused is None or found.state != "waiting":
        raise Busy(f"this run does not wait: it is {found.state}")
    return found.paused


async def find(database: Database, user: str, run_id: str) -> tables.Run:
    """A run of that user. Raises Unknown."""
    async with database.begin() as session:
        return await _of_user(session, user, run_id)


async def stop(database: Database, user: str, run_id: str) -> str:
    """Ask that a run of another process ends, or end it if it waits; its state then. Raises Unknown."""
    async with database.begin() as session:
        found = await _of_user(session, user, run_id)
        mine = (tables.Run.id == run_id, tables.Run.state == "running")
        await session.execute(update(tables.Run).where(*mine).values(state="cancelling"))
        if found.state == "waiting":
            await _drop(session, found, "it was cancelled")
    return (await find(database, user, run_id)).state


async def cancelling(database: Database, run_ids: list[str]) -> list[str]:
    """Which of these runs another process wants to end."""
    wanted = select(tables.Run.id).where(tables.Run.id.in_(run_ids), tables.Run.state == "cancelling")
    async with database.begin() as session:
        return list(await session.scalars(wanted))


async def bury(database: Database, seconds: float) -> list[tuple[str, str]]:
    """End the runs that nobody has any more; user and id of those without a session, of which files may be left.

    Runs that are older than any can be, and not ended, are those of processes that have died: failed. Those that wait
    are cancelled after WAIT_SECONDS if no session shows them.
    """
    now, run = time.time(), tables.Run
    dead = update(run).where(OPEN, run.started < now - seconds - GRACE_SECONDS)
    late = (run.state == "waiting", run.session_id == "", run.started < now - WAIT_SECONDS)
    ends = (
        dead.values(state="failed", error=LOST, ended=now),
        update(run).where(*late).values(state="cancelled", error=WAITED, ended=now, paused=None),
    )
    async with database.begin() as session:
        ended = [await session.execute(end.returning(run.user, run.id, run.session_id)) for end in ends]
        return [(user, run_id) for rows in ended for user, run_id, session_id in rows if not session_id]


async def _heard(session: AsyncSession, user: str, items: list[Item]) -> bool:
    """Whether text from outside is in a history that a client keeps: tools' outputs, or runs of ours that met some."""
    if any(item.get("type") == "function_call_output" for item in items):
        return True
    asked = history.exchanges(items)
    known = tables.Run.heard.in_(asked) | tables.Run.heard_alone.in_(asked[:1])
    found = select(tables.Run.id).where(tables.Run.user == user, tables.Run.heard != "", known).limit(1)
    return (await session.scalars(found)).first() is not None


async def _take(session: AsyncSession, run: Run) -> sessions.Hold:
    seconds = run.platform.document.agents.limits.seconds + GRACE_SECONDS
    taken = await sessions.take(session, run.principal.user, run.session_id, run.id, run.message, seconds)
    run.session_created = taken.created
    return taken


async def _pass_over(session: AsyncSession, user: str, session_id: str) -> None:
    """Runs of the session that wait are given up: the user goes on."""
    waiting = (tables.Run.user == user, tables.Run.session_id == session_id, tables.Run.state == "waiting")
    for found in await session.scalars(select(tables.Run).where(*waiting)):
        await _drop(session, found, NOT_DECIDED)


async def _drop(session: AsyncSession, found: tables.Run, reason: str) -> None:
    paused = found.paused  # the update takes it from the row that was read, too
    waiting = (tables.Run.id == found.id, tables.Run.state == "waiting")
    values = {"state": "cancelled", "ended": time.time(), "error": reason, "paused": None}
    gone = await session.scalars(update(tables.Run).where(*waiting).values(values).returning(tables.Run.id))
    if gone.first() and found.session_id and paused:
        kept = unfinished(paused["progress"], "", reason)
        await history.keep(session, found.user, found.session_id, kept)


def finished(run: Run, last: DoneEvent) -> list[Item]:
    """What is kept of a run with an answer."""
    kept = asdict(last)
    about = {key: kept[key] for key in ("agent_name", "route", "citations", "run_id")}
    answer = {"role": "assistant", "content": last.response, **about}
    return [asked(run.message, run.images), *history.tool_items(run.items), answer]


def unfinished(progress: dict[str, Any], said: str, reason: str) -> list[Item]:
    """What is kept of a run that ended without an answer; `progress` is `Run.freeze`'s."""
    whole = "\n\n".join([*progress["answers"], said])
    answer = {"role": "assistant", "content": history.cut_off(whole, reason)}
    question = asked(progress["message"], progress["images"])
    return [question, *history.tool_items(progress["items"]), answer]


def asked(message: str, images: Sequence[str]) -> Item:
    """A message of the user, with the ids of its images, which no model is shown."""
    return {"role": "user", "content": message, "images": list(images)}


async def _of_user(session: AsyncSession, user: str, run_id: str) -> tables.Run:
    found = await session.get(tables.Run, run_id)
    if found is None or found.user != user:
        raise Unknown(f"no run is named {run_id}")
    return found
