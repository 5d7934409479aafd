"""A conversation that is opened: what of it the gateway has, and which answer is not there yet."""

from uuid import uuid4

from sparkctl.agents.ui.gateway import Gateway, GatewayRefused
from sparkctl.agents.ui.live import Live, Lives
from sparkctl.agents.ui.shapes import Conversation, Waiting
from sparkctl.agents.ui.turns import taken_up


async def resumed(lives: Lives, owner: str, gateway: Gateway, session_id: str) -> tuple[Conversation, Live | None]:
    """The conversation, and the answer that it does not have yet: one that goes on, waits, or never began.

    The gateway puts an answer on record before it tells its end, so one that ended before the conversation was read is
    in it. Raises GatewayAway, GatewayRefused.
    """
    live = unrecorded(lives, owner, session_id)
    begun = live is not None and live.turn.begun
    waited = [one for one in lives.of(owner, session_id) if _waits(one)]
    try:
        session = await gateway.session(session_id)
    except GatewayRefused as error:
        if error.status != 404 or live is None:
            raise
        return Conversation(id=session_id, items=()), live
    if live is None or live.quiet:
        drop_decided(lives, waited, session)
        if session.waiting:
            return session, waiting(lives, owner, session_id, session.waiting)
    if live and live.turn.id in lives.by_id and (session.run_id or session.waiting or not begun):
        return session, live
    return session, None


def unrecorded(lives: Lives, owner: str, session_id: str) -> Live | None:
    """The answer that goes on; else the newest, where the gateway refused to begin it."""
    newest = lives.of(owner, session_id)[-1:]
    return lives.running(owner, session_id) or next((one for one in newest if not one.turn.begun), None)


def drop_decided(lives: Lives, waited: list[Live], session: Conversation) -> None:
    """Forget answers that waited for their user before the conversation was read, and no longer do by it: their calls
    were decided or given up elsewhere. One that began to wait meanwhile may not be in it yet.
    """
    kept = session.waiting.run_id if session.waiting else ""
    for one in waited:
        if _waits(one) and one.turn.run_id != kept:
            one.turn.fail("this call was decided elsewhere", "reload this page")
            one.wake()
            lives.drop(one)


def _waits(live: Live) -> bool:
    return live.quiet and live.turn.goes_on


def waiting(lives: Lives, owner: str, session_id: str, kept: Waiting) -> Live:
    """The answer that waits for its user; from what the gateway kept of it, where this process does not know it."""
    known = lives.running(owner, session_id)
    return known or lives.add(owner, taken_up(uuid4().hex, session_id, kept))
