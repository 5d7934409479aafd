"""Who asks, and what for."""

import re
from dataclasses import dataclass
from enum import StrEnum

from sparkctl.agents.core.failure import Forbidden


class Scope(StrEnum):
    """What a key or a token may be used for."""

    CHAT = "chat"
    """Agents, models, sessions, uploads."""
    DOCUMENTS = "documents"
    """Ingest, delete, search."""
    CODE = "code"
    """Let agents run code and write files."""
    ADMIN = "admin"
    """Keys, audit, every user's figures."""
    METRICS = "metrics"
    """`/metrics` alone."""


EVERYTHING = frozenset(Scope)
USER = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,127}\Z")
"""What a user may be called."""


@dataclass(frozen=True)
class Principal:
    """A user with the scopes of the key or token that was shown; `delegated` says that it was a token."""

    user: str
    scopes: frozenset[Scope] = EVERYTHING
    delegated: bool = False

    def require(self, *scopes: Scope) -> None:
        """Raises Forbidden without one of these scopes."""
        if not self.scopes.intersection(scopes):
            raise Forbidden(f"this {'token' if self.delegated else 'key'} lacks the scope {' or '.join(scopes)}")
