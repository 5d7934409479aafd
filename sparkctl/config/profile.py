"""`Profile`: what is deployed. The annotated example of every key is profiles/stacked.yaml."""

import re
from typing import Annotated, Literal, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict, StrictBool, StringConstraints

from sparkctl.config.agents import Platform
from sparkctl.config.guard import Guard
from sparkctl.config.origin import is_secret
from sparkctl.config.setup import Setup
from sparkctl.config.values import IMAGE_REF, MODEL_ID

Count = Annotated[int, Strict(), Field(ge=1, le=100_000_000)]
Port = Annotated[int, Strict(), Field(ge=1, le=65535)]
Seconds = Annotated[float, Strict(), Field(gt=0, le=86_400, allow_inf_nan=False)]
Gib = Annotated[float, Strict(), Field(ge=0, le=1_000_000, allow_inf_nan=False)]
Line = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*$", max_length=4096)]
Lower = Annotated[str, StringConstraints(pattern="^[a-z_]+$", max_length=64)]
Component = Literal["vllm", "agents", "postgres", "ui", "prometheus", "grafana", "milvus", "comfyui"]
Dtype = Literal["auto", "bfloat16", "float16", "float32"]
ModelName = Annotated[str, StringConstraints(pattern="^[a-z][a-z0-9-]{0,30}$")]
Word = Annotated[str, StringConstraints(pattern=r"^[!-~]+$", max_length=512)]


def part_of(annotation: object) -> tuple[type[BaseModel], bool] | None:
    """The mapping of keys that a field holds, and whether by names of the user's; None for a plain value."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    named = get_origin(annotation) is dict
    inner = (part_of(argument) for argument in get_args(annotation))
    return next(((found[0], named or found[1]) for found in inner if found), None)


def _env_names(env: dict[str, str]) -> dict[str, str]:
    for name in env:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise ValueError("names of variables")
        if is_secret(name):
            raise ValueError("names of no secrets: those belong in unified-config.local.env")
    return env


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Host(_Part):
    """What each node must be, and what may be changed on it."""

    architecture: Literal["aarch64", "x86_64", "any"] = Field(default="aarch64", description="Processor of the nodes.")
    gpu: Line = Field(default="NVIDIA GB10", description="GPU name that nvidia-smi must print; empty: any.")
    min_disk_gib: Gib = Field(default=100, description="Free disk in GiB under model cache and Docker.")
    reserve_gib: Gib = Field(default=10, description="MemAvailable in GiB that must stay beside the engine.")
    install_packages: StrictBool = Field(default=True, description="Whether missing packages are installed.")
    drop_caches: StrictBool = Field(
        default=True,
        description="Whether the page cache is dropped before the engine starts: it counts as used memory.",
    )
    max_clock_skew_s: Seconds = Field(default=5, description="Largest difference of the nodes' clocks, in seconds.")


class Fabric(_Part):
    """What the cable between the nodes must do."""

    mtu: Annotated[int, Strict(), Field(ge=576, le=9216)] | None = Field(
        default=None, description="MTU that the fabric interfaces must have, in bytes; null: leave as it is."
    )
    min_gbit: Gib = Field(default=100, description="Link speed in Gbit/s below which the fabric is refused.")


class Store(_Part):
    """How workers get the model's files."""

    kind: Literal["nfs", "copy"] = Field(default="nfs", description="nfs: the head exports its cache; copy: rsync.")
    parallel: Annotated[int, Strict(), Field(ge=1, le=32)] = Field(
        default=4, description="Copies at a time; five in all on the head."
    )


class Image(_Part):
    """The engine's container image."""

    ref: Annotated[str, Field(pattern=IMAGE_REF, max_length=512)] = Field(description="Image with tag or digest.")
    registry_user: Annotated[str, Field(pattern=r"^[!-~]*$")] = Field(default="", description="Login at the registry.")


class Model(_Part):
    """The model to serve."""

    id: Annotated[str, Field(pattern=MODEL_ID)] = Field(description="ORG/NAME as on the model hub.")
    revision: Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9_-]|[./][A-Za-z0-9_-])*$")] = Field(
        default="main", description="Branch, tag or commit."
    )
    allow: tuple[Word, ...] = Field(default=(), description="Globs of the files to download; empty: all of them.")
    served_name: Word | None = Field(default=None, description="Name that clients ask for; null: the id.")


class Engine(_Part):
    """The inference engine and how it shares the model between nodes."""

    name: Line = Field(default="vllm", description="The engine; `docs/engines.md` names them.")
    backend: Literal["ray", "mp", "mpi", "auto"] = Field(
        default="auto", description="How ranks find each other; auto: Ray where the image has it, else mp."
    )
    tensor_parallel: Annotated[int, Strict(), Field(ge=1, le=1024)] | Literal["nodes"] = Field(
        default="nodes", description="GPUs that share every layer; nodes: all that are configured."
    )
    max_model_len: Annotated[int, Strict(), Field(ge=1, le=10_000_000)] = Field(
        default=8192, description="Context window in tokens."
    )
    gpu_memory_utilization: Annotated[float, Strict(), Field(gt=0, le=0.90, allow_inf_nan=False)] = Field(
        default=0.80, description="Fraction of the memory that the engine may take, at most 0.90."
    )
    max_num_seqs: Count | None = Field(default=None, description="Requests at a time; null: the engine's default.")
    dtype: Dtype | None = Field(default=None, description="Type of the weights.")
    load_format: Lower | None = Field(default=None, description="vLLM's --load-format.")
    trust_remote_code: StrictBool = Field(default=False, description="Run Python code that comes with the model.")
    expert_parallel: StrictBool = Field(default=False, description="Spread a mixture model's experts over the GPUs.")
    shm_gib: Annotated[float, Strict(), Field(ge=0.0625, le=128, allow_inf_nan=False)] = Field(
        default=16, description="Shared memory of each container, in GiB."
    )
    extra_args: tuple[Line, ...] = Field(default=(), description="More arguments of the engine, one word each.")
    env: Annotated[dict[str, Line], AfterValidator(_env_names)] = Field(
        default_factory=dict, description="More variables in the containers; never secrets."
    )
    weights_gib: Gib | None = Field(
        default=None, description="Loaded weights in GiB, for a model whose files cannot be seen yet; null: unknown."
    )
    overhead_gib: Gib = Field(
        default=4, description="What the engine takes on each node beside weights and cache, in GiB."
    )


class Ports(_Part):
    """TCP ports: api faces clients, the others the fabric."""

    api: Port = Field(default=8000, description="The OpenAI-compatible API.")
    ray: Port = Field(default=6379, description="Ray's control service.")
    dashboard: Port | None = Field(
        default=None, description="Ray's dashboard, on the head's loopback only; null: none."
    )
    master: Port = Field(default=29501, description="Rendezvous of the mp backend.")


class Role(_Part):
    """What a model does for its users: one of several that take turns on the same GPU."""

    description: Line = Field(default="", description="One line for a list of roles.")
    temperature: Annotated[float, Strict(), Field(ge=0, le=2, allow_inf_nan=False)] | None = Field(
        default=None, description="Sampling temperature where a request names none; null: the model's own."
    )
    sleep: StrictBool = Field(
        default=False, description="vLLM's sleep mode: `role switch` lets it sleep where that makes room enough."
    )


class Placed(_Part):
    """One of several models: what it is, on which nodes it runs, and what differs from the profile's own keys."""

    model: Model
    image: Image | None = Field(default=None, description="The engine's image; null: the profile's own.")
    engine: Engine = Engine()
    ports: Ports = Ports()
    nodes: Literal["all", "head"] | tuple[Annotated[int, Strict(), Field(ge=0, le=1023)], ...] = Field(
        default="all", description="Where it runs: all, head, or a list of ranks; 0 is the head, 1 the first worker."
    )
    start: Literal["up", "demand"] = Field(
        default="up", description="up: it serves after `sparkctl up`; demand: once its role is launched."
    )
    role: Role | None = Field(default=None, description="What it is for; null: no role.")


class Timeouts(_Part):
    """How long `up` waits, in seconds."""

    join_s: Seconds = Field(default=180, description="For every node to join.")
    ready_s: Seconds = Field(default=1800, description="For the model to be loaded and answer.")
    drain_s: Seconds = Field(default=30, description="For running requests when the engine stops.")


class Profile(_Part):
    """One deployment: components, models, engine, sizes. `config/served.py` reads what each model of it is."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")] = Field(description="As the file is called.")
    description: Line = Field(default="", description="One line for `sparkctl profile list`.")
    where: Literal["", "lab"] = Field(default="", description="lab: the addresses are those of the running lab.")
    nodes: Count | Literal["all"] = Field(default="all", description="How many of the configured nodes take part.")
    host: Host = Host()
    guard: Guard = Guard()
    fabric: Fabric = Fabric()
    store: Store = Store()
    image: Image | None = Field(default=None, description="The engine's image, of every model that names none.")
    model: Model | None = Field(default=None, description="The model to serve; null where `models` says which.")
    engine: Engine = Engine()
    ports: Ports = Ports()
    models: dict[ModelName, Placed] = Field(
        default_factory=dict,
        description="Several models, by names of yours; keys of a model win over the profile's.",
    )
    timeouts: Timeouts = Timeouts()
    setup: Setup = Setup()
    agents: Platform | None = Field(default=None, description="The agent platform; null: as it is by itself.")
    components: tuple[Component, ...] = Field(default=("vllm",), description="What is deployed.")

    @property
    def platform(self) -> Platform | None:
        """The agent platform where it is deployed, which then answers clients in the models' place."""
        return (self.agents or Platform()) if "agents" in self.components else None

    @property
    def watched(self) -> bool:
        """Whether something is deployed that reads the nodes' figures."""
        return not {"ui", "prometheus"}.isdisjoint(self.components)
