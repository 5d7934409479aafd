"""Conversations: what was said, a new message, its answer as it comes, approvals, cancel."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, Path, Request
from fastapi.responses import RedirectResponse, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.datastructures import FormData

from sparkctl.agents.ui.frames import Frames
from sparkctl.agents.ui.house import FormRefused, Home, House, OwnForm, Signed, Visitor
from sparkctl.agents.ui.live import MOST_ANSWERS, Live
from sparkctl.agents.ui.pages.documents import files_of
from sparkctl.agents.ui.rendering import page
from sparkctl.agents.ui.resuming import resumed
from sparkctl.agents.ui.shapes import Conversation
from sparkctl.agents.ui.turns import Turn, past

router = APIRouter()
SessionId = Annotated[str, Path(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
IMAGES = {"image/png", "image/jpeg", "image/webp", "image/gif"}
"""What is shown again; SVG can hold scripts."""
MOST_IMAGES = 8


@router.get("/chat")
async def begin(request: Request, house: Home, visitor: Signed) -> Response:
    """A conversation that the first message makes."""
    return await talk(request, house, visitor, Conversation(id=uuid4().hex, items=()))


@router.get("/chat/{session_id}")
async def resume(request: Request, session_id: SessionId, house: Home, visitor: Signed) -> Response:
    """A conversation with all that was said, and the answer that is being written or waits."""
    session, live = await resumed(house.lives, visitor.login.id, visitor.gateway, session_id)
    return await talk(request, house, visitor, session, live)


async def talk(
    request: Request, house: House, visitor: Visitor, session: Conversation, live: Live | None = None
) -> Response:
    """The page of a conversation."""
    team, sessions = await asyncio.gather(visitor.gateway.agents(), visitor.gateway.sessions())
    more: dict[str, Any] = {"team": team, "sessions": sessions, "entry": house.document.agents.entry}
    turns = [*past(session.id, session.items), *([live.turn] if live else [])]
    elsewhere = bool(session.run_id) and live is None
    return page(
        request,
        "chat.html",
        session_id=session.id,
        title=session.title,
        turns=turns,
        elsewhere=elsewhere,
        **more,
    )


@router.get("/chat/{session_id}/list")
async def listed(request: Request, session_id: SessionId, visitor: Signed) -> Response:
    """The list of conversations."""
    return page(request, "chat_list.html", session_id=session_id, sessions=await visitor.gateway.sessions())


@router.post("/chat/{session_id}")
async def send(request: Request, session_id: SessionId, house: Home, visitor: Signed, form: OwnForm) -> Response:
    """Begin an answer, and show its place. Its images are sent first."""
    message = str(form.get("message", "")).replace("\r\n", "\n").strip()  # browsers send the ends of lines so
    if not message:
        raise FormRefused(422, "the message is empty", "write one")
    if house.lives.running(visitor.login.id, session_id):
        raise FormRefused(409, "an answer is being written here", "wait for it, or cancel it")
    one_more(house, visitor)
    images = await kept_images(visitor, form)
    one_more(house, visitor)  # others may have begun meanwhile
    live = house.lives.add(visitor.login.id, Turn(uuid4().hex, session_id, message, images))
    live.start(visitor.answers.chat(message, session_id, str(form.get("agent", "")), images))
    address = f"/chat/{session_id}"
    if not request.headers.get("HX-Request"):
        return RedirectResponse(address, 303)
    response = page(request, "turn.html", turn=live.turn)
    response.headers["HX-Push-Url"] = address
    return response


def one_more(house: House, visitor: Visitor) -> None:
    """Raises FormRefused where as many answers as may be are being written for this visitor."""
    if house.lives.full(visitor.login.id):
        raise FormRefused(429, f"{MOST_ANSWERS} of your answers are being written", "wait for one, or cancel one")


async def kept_images(visitor: Visitor, form: FormData) -> tuple[str, ...]:
    """The ids of a form's images. Raises FormRefused for too many, GatewayRefused for what is no image."""
    files = await files_of(form.getlist("images"))
    if len(files) > MOST_IMAGES:
        raise FormRefused(422, f"a message has {MOST_IMAGES} images at most", "send the others with the next one")
    return tuple([await visitor.gateway.upload(file) for file in files])


@router.post("/chat/{session_id}/rename")
async def rename(session_id: SessionId, visitor: Signed, form: OwnForm) -> Response:
    """Another title."""
    await visitor.gateway.rename(session_id, str(form.get("title", "")).strip())
    return RedirectResponse(f"/chat/{session_id}", 303)


@router.post("/chat/{session_id}/delete")
async def delete(session_id: SessionId, house: Home, visitor: Signed, _form: OwnForm) -> Response:
    """Forget it, and what is being written in it."""
    live = house.lives.running(visitor.login.id, session_id)
    if live:
        await end(visitor, live)
    await visitor.gateway.forget(session_id)
    for one in house.lives.of(visitor.login.id, session_id):
        house.lives.drop(one)
    return RedirectResponse("/chat", 303)


@router.get("/turns/{turn_id}/events", response_class=EventSourceResponse)
async def events(turn_id: str, house: Home, visitor: Signed) -> AsyncIterator[ServerSentEvent]:
    """Pieces of the page as the answer grows: the whole at first, then what changed; at last, `end`."""
    live = house.lives.find(visitor.login.id, turn_id)
    if live:
        frames = Frames(live.turn, visitor.login.csrf)
        async for _ in live.changes():
            html = frames.next()
            if html:
                yield ServerSentEvent(event="part", raw_data=html)
    yield ServerSentEvent(event="end", raw_data="end")


@router.post("/turns/{turn_id}/cancel")
async def cancel(request: Request, turn_id: str, house: Home, visitor: Signed, _form: OwnForm) -> Response:
    """End the run."""
    live = found(house, visitor, turn_id)
    await end(visitor, live)
    return done(request, live)


async def end(visitor: Visitor, live: Live) -> None:
    """End a run, so that its conversation is free. Hanging up ends it, too, but says not when.

    Of a run that tells no id the conversation knows it; before the run has begun, that is another's.
    """
    turn = live.turn
    if not turn.goes_on:
        return
    try:
        run_id = turn.run_id or (turn.begun and (await visitor.gateway.session(turn.session_id)).run_id)
        if run_id:
            await visitor.gateway.cancel(run_id)
    finally:
        await live.stop()


@router.post("/turns/{turn_id}/approve")
async def approve(request: Request, turn_id: str, house: Home, visitor: Signed, form: OwnForm) -> Response:
    """Allow or deny a call that waits."""
    live = found(house, visitor, turn_id)
    call = live.turn.call(str(form.get("call_id", "")))
    if call is None or not call.asks:
        raise FormRefused(409, "this call does not wait any more", "read on")
    one_more(house, visitor)
    live.decide(call, visitor.answers.approve(live.turn.run_id, call.id, form.get("allow") == "yes"))
    return done(request, live)


def done(request: Request, live: Live) -> Response:
    """To a page that follows the answer, nothing; to one without scripts, the conversation anew."""
    if request.headers.get("HX-Request"):
        return Response(status_code=204)
    return RedirectResponse(f"/chat/{live.turn.session_id}", 303)


def found(house: House, visitor: Visitor, turn_id: str) -> Live:
    """A live answer of this visitor. Raises FormRefused."""
    live = house.lives.find(visitor.login.id, turn_id)
    if live is None:
        raise FormRefused(404, "this answer is not written any more", "open the conversation anew")
    return live


@router.get("/images/{upload_id}")
async def image(upload_id: Annotated[str, Path(pattern=r"^[0-9a-f]{1,64}$")], visitor: Signed) -> Response:
    """An image that was sent with a message."""
    media, content = await visitor.gateway.image(upload_id)
    if media not in IMAGES:
        raise FormRefused(415, "this is no image that is shown", "download it by the API")
    return Response(content, media_type=media)
