"""`/keys`, for who administrates, and `/tokens`, for everybody with a key."""

import time
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from sparkctl.agents.api.access import Caller, Home
from sparkctl.agents.api.chat import NoNul
from sparkctl.agents.core import keys
from sparkctl.agents.core.failure import Forbidden, Refused
from sparkctl.agents.core.principal import USER, Scope
from sparkctl.agents.core.tables import HEX_ID, Key

router = APIRouter(tags=["access"])
KeyId = Annotated[str, Path(pattern=HEX_ID, description="An id that POST /keys gave.")]
USE = (Scope.CHAT, Scope.DOCUMENTS, Scope.CODE)
"""What a key is for unless it is said otherwise: everything but other users."""


class KeyRequest(BaseModel):
    """For whom, for what, and for how long."""

    user: str = Field(pattern=USER.pattern.removesuffix(r"\Z") + "$", description="Who will show it.")
    name: NoNul = Field(default="", max_length=100, description="What it is for, in your words.")
    scopes: list[Scope] = Field(default=list(USE), min_length=1, max_length=10)
    days: Annotated[float, Field(gt=0, le=3_650)] | None = Field(default=None, description="Null: until revoked.")


class KeyShown(BaseModel):
    """A key as it is kept: without what is shown to use it. Times are UTC, in seconds."""

    id: str
    user: str
    name: str
    scopes: list[str]
    created: float
    expires: float | None
    revoked: float | None


class KeyMade(KeyShown):
    """The only answer that holds the key itself."""

    key: str


class TokenRequest(BaseModel):
    """Which of the key's scopes the token has, and for how long."""

    scopes: list[Scope] | None = Field(default=None, max_length=10, description="Null: all that the key has.")
    seconds: int = Field(default=900, ge=1, le=86_400, description="At most what the configuration allows.")


class TokenMade(BaseModel):
    """As OAuth 2.0 writes it; `expires_in` is in seconds."""

    access_token: str
    token_type: str = "bearer"  # noqa: S105 - what it is, and not one
    expires_in: int
    scopes: list[Scope]


@router.post("/keys", status_code=201)
async def create(body: KeyRequest, caller: Caller, platform: Home) -> KeyMade:
    """Make a key; this answer alone shows it. Scope admin, of a key: what a token made would outlive it."""
    caller.require(Scope.ADMIN)
    if caller.delegated:
        raise Forbidden("a token makes no key, which would outlive it: show the key")
    expires = None if body.days is None else time.time() + body.days * 86_400
    wanted = keys.Wanted(body.user, body.name, frozenset(body.scopes), expires)
    key, shown = await keys.make(platform.database, caller.user, wanted)
    return KeyMade(**shown_of(key).model_dump(), key=shown)


@router.get("/keys")
async def listed(caller: Caller, platform: Home) -> list[KeyShown]:
    """Every key but those that are files, the newest first. Scope admin."""
    caller.require(Scope.ADMIN)
    return [shown_of(key) for key in await keys.listed(platform.database)]


@router.delete("/keys/{key_id}", status_code=204)
async def revoke(key_id: KeyId, caller: Caller, platform: Home) -> None:
    """End a key: at once here, within seconds in other workers. Scope admin."""
    caller.require(Scope.ADMIN)
    platform.ring.forget(await keys.revoke(platform.database, caller.user, key_id))


@router.post("/tokens")
async def token(body: TokenRequest, caller: Caller, platform: Home) -> TokenMade:
    """A token for a part of what this key may do, and for minutes: for a browser, a job, a colleague's try."""
    if caller.delegated:
        raise Forbidden("a token buys no token: show the key")
    if platform.signer is None:
        raise Refused("this platform makes no tokens: it has no secret for them")
    scopes = caller.scopes if body.scopes is None else frozenset(body.scopes)
    seconds = min(body.seconds, platform.signer.seconds)
    made = platform.signer.issue(caller, scopes, seconds)
    platform.journal.note(caller.user, "token.create", "", " ".join(sorted(scopes)))
    return TokenMade(access_token=made, expires_in=seconds, scopes=sorted(scopes))


def shown_of(key: Key) -> KeyShown:
    """A row as the API shows it."""
    fields = {name: getattr(key, name) for name in ("id", "user", "name", "created", "expires", "revoked")}
    return KeyShown(**fields, scopes=key.scopes.split())
