"""What the agent platform is told: the `agents` key of a profile, and the document that its containers read.

Both halves of sparkctl import this module, and neither imports the other: the orchestrator writes an
`AgentsDocument` to the nodes, `sparkctl agents serve` reads it.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, Strict, StrictBool, StringConstraints

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,30}$")]
Text = Annotated[str, StringConstraints(max_length=20_000)]
Word = Annotated[str, StringConstraints(pattern=r"^[!-~]*$", max_length=512)]
Amount = Annotated[int, Strict(), Field(ge=1, le=1_000_000_000)]
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Host = Annotated[str, StringConstraints(pattern=r"^[^\s/\\@?#]+$", max_length=255)]
TOOLS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "supervisor": (),
        "rag": ("search_knowledge_base", "get_document", "list_documents", "summarize_documents"),
        "coding": (
            "execute_code",
            "analyze_code",
            "search_code_patterns",
            "generate_tests",
            "write_file",
            "read_file",
            "list_files",
        ),
        "image": (
            "analyze_image",
            "describe_image",
            "extract_text",
            "answer_about_image",
            "compare_images",
            "get_image_metadata",
        ),
        "plain": (),
    }
)
"""The platform's own kinds of agents, each with its tools: what a profile may name beside kinds of its own."""


class Part(BaseModel):
    """A mapping of known keys, fixed once read."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class AgentSpec(Part):
    """One agent: what kind it is, on which model it runs, and what differs from its kind."""

    kind: Word = Field(description="supervisor, rag, coding, image, plain, or MODULE:NAME of your own kind.")
    model: Word = Field(default="", description="A model of the profile, by name or by what clients call it.")
    description: Text = Field(default="", description="What the supervisor reads to route to it; empty: its kind's.")
    instructions: Text = Field(default="", description="Its system prompt; empty: its kind's.")
    tools: tuple[Word, ...] | None = Field(default=None, description="Which of its kind's tools it has; null: all.")
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = Field(
        default=None, description="Sampling temperature; null: the model's own."
    )


class Limits(Part):
    """How much one run and one user may take."""

    turns: Amount = Field(default=12, description="Answers of models within one run.")
    seconds: Seconds = Field(default=300, description="Wall-clock time of one run.")
    tokens: Amount = Field(default=64_000, description="Tokens, read and written, within one run.")
    answer_tokens: Amount = Field(default=2_048, description="Most tokens of one answer of a model.")
    body_mib: Amount = Field(default=2, description="Largest JSON request, in MiB.")
    upload_mib: Amount = Field(default=32, description="Largest document or image, in MiB.")
    stored_mib: Amount = Field(
        default=4_096,
        description="Documents and images that one user may keep, and as much again in the sandbox, in MiB.",
    )
    requests_per_minute: Amount = Field(
        default=240, description="Requests of one user in a minute, but those that only read."
    )
    tokens_per_day: Amount = Field(default=5_000_000, description="Tokens, read and written, of one user in a day.")


class Rag(Part):
    """How documents are cut and found."""

    chunk_words: Annotated[int, Strict(), Field(ge=20, le=2_000)] = Field(default=180, description="Words of a chunk.")
    overlap_words: Annotated[int, Strict(), Field(ge=0, le=500)] = Field(default=30, description="Words shared.")
    results: Annotated[int, Strict(), Field(ge=1, le=50)] = Field(default=5, description="Chunks of one search.")
    embeddings: Word = Field(default="", description="Model that embeds; empty: search by words alone (BM25).")
    index: Literal["embedded", "milvus"] = Field(default="embedded", description="Where chunks are kept.")


class Sandbox(Part):
    """What code that models write may take. It runs in a container without a network."""

    enabled: StrictBool = Field(default=True, description="Whether code runs at all, once the self-test has passed.")
    seconds: Seconds = Field(default=20, description="Wall-clock time of one job.")
    memory_mib: Amount = Field(default=512, description="Memory of the container, in MiB.")
    processes: Amount = Field(default=64, description="Processes of the container at a time.")
    disk_mib: Amount = Field(default=256, description="Files of one session's workspace, in MiB.")
    output_kib: Amount = Field(default=64, description="Output kept of one job, in KiB.")


class Fetch(Part):
    """From where images may be fetched by URL."""

    hosts: tuple[Host, ...] = Field(default=(), description="Names of hosts; empty: no URL is fetched.")
    seconds: Seconds = Field(default=10, description="Wall-clock time of one fetch.")


class Access(Part):
    """Who may ask, and how long it is kept who did what."""

    token_algorithm: Literal["HS256", "EdDSA"] = Field(
        default="HS256",
        description="The only algorithm of tokens. HS256: the gateway signs and reads them with the secret "
        "`jwt-secret`; EdDSA: it reads those of another issuer with `jwt-public-key`, and makes none.",
    )
    token_audience: Word = Field(default="sparkctl-agents", min_length=1, description="`aud` of every token.")
    token_minutes: Annotated[int, Strict(), Field(ge=1, le=1_440)] = Field(
        default=15, description="Longest life of a token, from `iat` to `exp`."
    )
    audit_days: Amount = Field(default=90, description="Days for which the audit is kept.")


class Agents(Part):
    """The agent platform: its agents, who takes requests first, and the limits."""

    entry: Name = Field(default="supervisor", description="The agent that takes requests that name none.")
    team: dict[Name, AgentSpec] = Field(
        default_factory=lambda: {
            "supervisor": AgentSpec(kind="supervisor"),
            "rag": AgentSpec(kind="rag"),
            "coding": AgentSpec(kind="coding"),
        },
        description="The agents by name.",
    )
    access: Access = Access()
    limits: Limits = Limits()
    rag: Rag = Rag()
    sandbox: Sandbox = Sandbox()
    fetch: Fetch = Fetch()


class ModelEndpoint(Part):
    """A served model as the platform reaches it: `url` ends in /v1, the engine calls it `id`."""

    url: str
    id: str
    key_file: str = ""
    api: Literal["chat", "responses"] = "chat"
    vision: bool = False
    context: int | None = None


class Where(Part):
    """Where the platform listens and keeps what it knows; every path is one inside the container."""

    listen: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    data: str = "/var/lib/sparkctl-agents"
    secrets: str = "/run/secrets"
    database: str = Field(default="", description="SQLAlchemy URL without password; empty: SQLite in `data`.")
    milvus: str = Field(default="", description="URI of Milvus, for `index: milvus`.")
    sandbox: str = Field(default="", description="Unix socket of the sandbox; empty: no code is run.")
    gateway: str = Field(default="http://127.0.0.1:8000", description="Where the web UI reaches the gateway.")
    ui_listen: str = "127.0.0.1"
    ui_port: Annotated[int, Field(ge=0, le=65535)] = 5000
    ingest: StrictBool = Field(default=True, description="Whether the gateway reads documents; else workers do.")
    nodes: dict[str, str] = Field(default={}, description="Base URL of each node's own figures, by node.")


class AgentsDocument(Part):
    """Everything that `sparkctl agents serve` is told, but for secrets, which are files under `where.secrets`.

    `agents-key` is the key that `up` makes; `metrics-key` opens `/metrics` and nothing else; `jwt-secret` signs
    tokens, `jwt-public-key` checks those of another issuer (PEM); `database-password` opens the database,
    `milvus-password` Milvus for its user root.
    """

    agents: Agents = Agents()
    models: dict[Name, ModelEndpoint] = Field(min_length=1)
    where: Where = Where()
