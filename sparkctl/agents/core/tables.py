"""What the platform keeps in its database: the same tables in SQLite and PostgreSQL. Times are UTC, in seconds."""

import time
from typing import Any
from uuid import uuid4

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

Id = String(64)
User = String(128)
HEX_ID = r"^[0-9a-f]{1,64}$"
"""Of what `new_id` makes, and of what is kept by its SHA-256."""


def new_id() -> str:
    """A name that nobody can guess: 32 hex digits."""
    return uuid4().hex


class Table(DeclarativeBase):
    """The root of all tables; `migrations/` makes them."""


class Session(Table):
    """A conversation of one user. `busy_run` has it until `busy_until`: one run at a time, whichever process.

    `untrusted`: text from outside is in it, and every later run of it begins so.
    """

    __tablename__ = "sessions"
    user: Mapped[str] = mapped_column(User, primary_key=True)
    id: Mapped[str] = mapped_column(Id, primary_key=True)
    title: Mapped[str] = mapped_column(String(200), default="")
    created: Mapped[float] = mapped_column(Float, default=time.time)
    updated: Mapped[float] = mapped_column(Float, default=time.time)
    busy_run: Mapped[str] = mapped_column(Id, default="")
    busy_until: Mapped[float] = mapped_column(Float, default=0.0)
    untrusted: Mapped[bool] = mapped_column(Boolean, default=False)


class Item(Table):
    """One item of a conversation, as openai-agents keeps it: a message, a tool call, a tool's output."""

    __tablename__ = "items"
    __table_args__ = (
        ForeignKeyConstraint(["user", "session_id"], ["sessions.user", "sessions.id"], ondelete="CASCADE"),
        Index("items_of_session", "user", "session_id", "number"),
    )
    number: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    user: Mapped[str] = mapped_column(User)
    session_id: Mapped[str] = mapped_column(Id)
    created: Mapped[float] = mapped_column(Float, default=time.time)
    content: Mapped[dict[str, Any]] = mapped_column(JSON)


class Run(Table):
    """One request to the agents. `paused` is what a wait keeps; `started` is when it was begun or taken up again.

    `state`: running, cancelling (by a process that does not have it), waiting, done, failed, cancelled.
    `heard`: of a run without a session that met text from outside, by what it is known in a client's history;
    `heard_alone`: by what in one that begins with it, because its client has cut off what stood before.
    """

    __tablename__ = "runs"
    __table_args__ = (Index("runs_of_user", "user", "state", "session_id"),)
    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    user: Mapped[str] = mapped_column(User)
    session_id: Mapped[str] = mapped_column(Id, default="")
    agent: Mapped[str] = mapped_column(String(64), default="")
    state: Mapped[str] = mapped_column(String(16), default="running")
    started: Mapped[float] = mapped_column(Float, default=time.time)
    ended: Mapped[float | None] = mapped_column(Float, default=None)
    error: Mapped[str] = mapped_column(Text, default="")
    heard: Mapped[str] = mapped_column(String(64), default="", index=True)
    heard_alone: Mapped[str] = mapped_column(String(64), default="", index=True)
    paused: Mapped[dict[str, Any] | None] = mapped_column(JSON, default=None)


class Document(Table):
    """A text that was ingested, or is about to be. `state`: queued, ingesting, ready, failed.

    `embedding` is the model, with the length of its vectors, that its chunks were embedded with; empty: by none.
    """

    __tablename__ = "documents"
    __table_args__ = (Index("documents_of_user", "user", "name"),)
    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    user: Mapped[str] = mapped_column(User)
    name: Mapped[str] = mapped_column(String(500))
    media: Mapped[str] = mapped_column(String(100))
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16), default="queued")
    chunks: Mapped[int] = mapped_column(Integer, default=0)
    error: Mapped[str] = mapped_column(Text, default="")
    embedding: Mapped[str] = mapped_column(String(200), default="")
    created: Mapped[float] = mapped_column(Float, default=time.time)


class Raw(Table):
    """The bytes of a document until it has been read: whichever process reads it, and whichever died before."""

    __tablename__ = "raws"
    document_id: Mapped[str] = mapped_column(ForeignKey("documents.id", ondelete="CASCADE"), primary_key=True)
    content: Mapped[bytes] = mapped_column(LargeBinary)


class Chunk(Table):
    """A piece of a document, counted from 0. `source` is what a citation says: name, heading, line or page."""

    __tablename__ = "chunks"
    document_id: Mapped[str] = mapped_column(ForeignKey("documents.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    source: Mapped[str] = mapped_column(String(600))
    heading: Mapped[str] = mapped_column(String(300))
    content: Mapped[str] = mapped_column(Text)


class Job(Table):
    """Work that goes on after its request: the ingest of one document. `state`: queued, running, done, failed.

    A process that works on it has it until `until`, and renews that; after that, another may take it.
    """

    __tablename__ = "jobs"
    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    user: Mapped[str] = mapped_column(User)
    document_id: Mapped[str] = mapped_column(Id, index=True)
    state: Mapped[str] = mapped_column(String(16), default="queued", index=True)
    error: Mapped[str] = mapped_column(Text, default="")
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    until: Mapped[float] = mapped_column(Float, default=0.0)
    created: Mapped[float] = mapped_column(Float, default=time.time)


class Upload(Table):
    """An image of a user; its bytes are a file in the data folder, named by `id`. Pixels are those of its header."""

    __tablename__ = "uploads"
    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    user: Mapped[str] = mapped_column(User, index=True)
    media: Mapped[str] = mapped_column(String(100))
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    width: Mapped[int] = mapped_column(Integer)
    height: Mapped[int] = mapped_column(Integer)
    created: Mapped[float] = mapped_column(Float, default=time.time)


class Key(Table):
    """An API key: only its SHA-256 is kept."""

    __tablename__ = "keys"
    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    user: Mapped[str] = mapped_column(User, index=True)
    name: Mapped[str] = mapped_column(String(100), default="")
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    scopes: Mapped[str] = mapped_column(String(200))
    created: Mapped[float] = mapped_column(Float, default=time.time)
    expires: Mapped[float | None] = mapped_column(Float, default=None)
    revoked: Mapped[float | None] = mapped_column(Float, default=None)


class Spent(Table):
    """What a user took on one UTC day, written YYYY-MM-DD."""

    __tablename__ = "spent"
    user: Mapped[str] = mapped_column(User, primary_key=True)
    day: Mapped[str] = mapped_column(String(10), primary_key=True)
    requests: Mapped[int] = mapped_column(BigInteger, default=0)
    prompt_tokens: Mapped[int] = mapped_column(BigInteger, default=0)
    completion_tokens: Mapped[int] = mapped_column(BigInteger, default=0)


class Audit(Table):
    """Who did what, and how it ended. Never the content of a message, never a secret."""

    __tablename__ = "audit"
    number: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    at: Mapped[float] = mapped_column(Float, default=time.time, index=True)
    user: Mapped[str] = mapped_column(User)
    action: Mapped[str] = mapped_column(String(64))
    target: Mapped[str] = mapped_column(String(200), default="")
    outcome: Mapped[str] = mapped_column(String(200), default="")
    request_id: Mapped[str] = mapped_column(Id, default="")
