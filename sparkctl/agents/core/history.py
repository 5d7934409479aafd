"""The conversation of a session: what is kept of it, and what of that a model is shown.

Of a run is kept: the user's message, its tool calls with their outputs, and the answer, with the agent that gave it,
the route and the citations. So what is kept can always be sent to an engine: no call is without its output.
"""

import hashlib
import itertools
import json
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from sparkctl.agents.core import tables

Item: TypeAlias = dict[str, Any]
"""As openai-agents takes it: a message, a call of a function, or its output."""
CHARS_PER_TOKEN = 3
"""A careful guess: English has four, code and other languages fewer."""
CUT_OFF = "(This answer was cut off: {}.)"


async def read(session: AsyncSession, user: str, session_id: str) -> list[tables.Item]:
    """All of it, oldest first."""
    mine: tuple[ColumnElement[bool], ...] = (tables.Item.user == user, tables.Item.session_id == session_id)
    return list(await session.scalars(select(tables.Item).where(*mine).order_by(tables.Item.number)))


async def keep(session: AsyncSession, user: str, session_id: str, items: Iterable[Item]) -> None:
    """Add to it."""
    if rows := [{"user": user, "session_id": session_id, "content": item} for item in items]:
        await session.execute(insert(tables.Item), rows)


def shown(item: Item) -> Item:
    """What a model is shown of an item: of a message its role and text."""
    return {"role": item["role"], "content": item["content"]} if "role" in item else item


def spoken(items: Iterable[Item]) -> list[Item]:
    """The messages alone, and of them the text."""
    said = (item for item in items if item.get("role") in ("user", "assistant"))
    return [{"role": item["role"], "content": text_of(item["content"])} for item in said]


def text_of(content: str | list[dict[str, Any]]) -> str:
    """The text of a message, which may be in pieces, with images between them."""
    return content if isinstance(content, str) else " ".join(piece.get("text", "") for piece in content)


def fitting(items: Sequence[Item], tokens: int) -> list[Item]:
    """The newest exchanges that fit into so many tokens, by a careful guess; each begins with a user's message."""
    kept, left = len(items), tokens * CHARS_PER_TOKEN
    for place in reversed(range(len(items))):
        left -= len(json.dumps(items[place], ensure_ascii=False))
        if left < 0:
            break
        if items[place].get("role") == "user":
            kept = place
    return [shown(item) for item in items[kept:]]


def tool_items(items: Iterable[Item]) -> list[Item]:
    """Calls that have an output, and outputs that have a call, with arguments that are JSON."""
    found = [item for item in items if item.get("type") in ("function_call", "function_call_output")]
    called, answered = (
        {one["call_id"] for one in found if one["type"] == kind} for kind in ("function_call", "function_call_output")
    )
    return [readable(one) for one in found if one["call_id"] in called & answered]


def readable(item: Item) -> Item:
    """With arguments that are a JSON object: engines refuse a conversation in which a model wrote something else."""
    if item.get("type") != "function_call":
        return item
    try:
        fine = isinstance(json.loads(item.get("arguments") or ""), dict)
    except json.JSONDecodeError:
        fine = False
    return item if fine else {**item, "arguments": "{}"}


def exchanges(items: Iterable[Item]) -> list[str]:
    """Each message of a user with the one before it, as SHA-256: what stays the same in a history of a client's."""
    asked = [text_of(item["content"]) for item in items if item.get("role") == "user"]
    pairs = itertools.pairwise(["", *asked])
    return [hashlib.sha256(json.dumps(pair).encode()).hexdigest() for pair in pairs]


def cut_off(said: str, reason: str) -> str:
    """What is kept as the answer of a run that ended without one."""
    return "\n\n".join(filter(None, (said.strip(), CUT_OFF.format(reason.rstrip(".")))))
