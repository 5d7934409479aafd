"""API keys beside the owner's: made for a user, with scopes and an end, shown once; only their SHA-256 is kept."""

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import select

from sparkctl.agents.core.audit import entry
from sparkctl.agents.core.database import Database
from sparkctl.agents.core.failure import Unauthorized, Unknown
from sparkctl.agents.core.principal import Principal, Scope
from sparkctl.agents.core.tables import Key

if TYPE_CHECKING:
    from sparkctl.agents.core.platform import Platform

PREFIX = "sk-spark-"
BYTES = 32
LENGTH = len(PREFIX) + 43
"""Characters of a key: its bytes in base64url, without padding."""
CACHE_SECONDS = 2.0
"""How long a process believes what it read of a key: revocation takes effect after that at the latest, and at once in
the process that did it."""


@dataclass(frozen=True)
class Wanted:
    """A key that is to be made; `expires` is UTC seconds, None is never."""

    user: str
    name: str
    scopes: frozenset[Scope]
    expires: float | None = None


@dataclass(frozen=True)
class Known:
    """A key that was read at `read` (monotonic seconds) and held then."""

    principal: Principal
    expires: float | None
    read: float


@dataclass(frozen=True)
class Ring:
    """The keys that this process has read lately, by SHA-256; only those that hold, so that nobody can fill it."""

    known: dict[str, Known] = field(default_factory=dict)

    def find(self, digest: str) -> Principal | None:
        """A key that was read lately and has not ended."""
        one = self.known.get(digest)
        if one is None or time.monotonic() - one.read >= CACHE_SECONDS or _ended(one.expires):
            return None
        return one.principal

    def forget(self, digest: str) -> None:
        """Read it anew the next time."""
        self.known.pop(digest, None)


async def make(database: Database, by: str, wanted: Wanted) -> tuple[Key, str]:
    """A new key, and what its user shows: the only time that anybody sees it. `by` made it. Raises Unavailable."""
    shown = PREFIX + secrets.token_urlsafe(BYTES)
    key = Key(
        user=wanted.user,
        name=wanted.name,
        sha256=_digest(shown),
        scopes=" ".join(sorted(wanted.scopes)),
        expires=wanted.expires,
    )
    async with database.begin() as session:
        session.add(key)
        await session.flush()
        session.add(entry(by, "key.create", key.id, f"for {wanted.user}: {key.scopes}"))
    return key, shown


async def listed(database: Database) -> list[Key]:
    """Every key, the newest first. Raises Unavailable."""
    async with database.begin() as session:
        return list((await session.scalars(select(Key).order_by(Key.created.desc(), Key.id))).all())


async def any_holds(database: Database) -> bool:
    """Whether there is a key that opens anything. Raises Unavailable."""
    holds = (Key.revoked.is_(None), Key.expires.is_(None) | (Key.expires > time.time()))
    async with database.begin() as session:
        return (await session.scalars(select(Key.id).where(*holds).limit(1))).first() is not None


async def revoke(database: Database, by: str, key_id: str) -> str:
    """End a key, for good; its SHA-256, for the `Ring` that may know it. Raises Unknown, Unavailable."""
    async with database.begin() as session:
        key = await session.get(Key, key_id)
        if key is None:
            raise Unknown(f"no key has the id {key_id}")
        if key.revoked is None:
            key.revoked = time.time()
            session.add(entry(by, "key.revoke", key.id, f"of {key.user}"))
        return key.sha256


async def holder(platform: "Platform", shown: str) -> Principal:
    """Whose key this is. Raises Unauthorized, Unavailable."""
    digest = _digest(shown)
    known = platform.ring.find(digest)
    if known is None:
        known = await _read(platform, digest) if len(shown) == LENGTH else None
    if known is None:
        raise Unauthorized("this key is not known, has ended, or was revoked")
    return known


async def _read(platform: "Platform", digest: str) -> Principal | None:
    platform.ring.forget(digest)
    async with platform.database.begin() as session:
        key = (await session.scalars(select(Key).where(Key.sha256 == digest))).first()
    if key is None or not hmac.compare_digest(key.sha256, digest) or key.revoked is not None or _ended(key.expires):
        return None
    principal = Principal(key.user, frozenset(map(Scope, key.scopes.split())))
    platform.ring.known[digest] = Known(principal, key.expires, time.monotonic())
    return principal


def _digest(shown: str) -> str:
    return hashlib.sha256(shown.encode()).hexdigest()


def _ended(expires: float | None) -> bool:
    return expires is not None and expires <= time.time()
