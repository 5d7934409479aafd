"""What every engine gets to know and answers with, and what sparkctl asks of its module."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from sparkctl.core.service import Service
from sparkctl.engines.failures import Patterns
from sparkctl.topology import LOOPBACK, Cluster

API_KEY = "api-key"
"""The secret that a client must show, a file of the head."""


class Backend(StrEnum):
    """How the ranks of one engine find each other.

    With Ray a head comes first, workers join it, and the API server is a client of both. The other two are one rank
    per node: they know each other from their start, so that they start and fall together.
    """

    RAY = "ray"
    MP = "mp"
    MPI = "mpi"


class Store(StrEnum):
    """Where an engine reads models from: the hub's cache, which sparkctl fills, or a store that Ollama's API fills."""

    HUB = "hub"
    OLLAMA = "ollama"


@dataclass(frozen=True)
class Api:
    """How an engine answers clients; /v1/models, /v1/completions and /v1/chat/completions are OpenAI's with all.

    `service` is the name of the service that listens. `health` is a path that answers 200 without a key, once requests
    may come. Without `keyed` nobody is asked for the API key: such an engine listens on the loopback of its node.
    `ready` is a command of its image that ends with 0 once `health` answers; where it is empty, Python can ask.
    `metrics` is the path of its metrics, empty where it has none; `loading` the status of `health` while the model
    loads, 0 where it does not answer by then.
    """

    service: str
    health: str = "/health"
    metrics: str = "/metrics"
    keyed: bool = True
    loading: int = 0
    ready: tuple[str, ...] = ()

    def address(self, cluster: Cluster) -> str:
        """Where it listens on the head."""
        return cluster.api_ip if self.keyed else LOOPBACK


@dataclass(frozen=True)
class Ports:
    """TCP ports: `api` on the client-facing address, `dashboard` on loopback, the others on the fabric."""

    api: int = 8000
    ray: int = 6379
    dashboard: int | None = None
    master: int = 29501


@dataclass(frozen=True)
class ServeSpec:
    """One model to serve, with everything that an engine needs to know and no address of any node.

    `gpu_memory_utilization` is a fraction of the GPU's memory, `weights_share` the loaded weights of one node as such
    a fraction, 0 where unknown. `shm_bytes` is the size of /dev/shm, `hf_cache` the absolute folder of the model
    cache by node name, `store` that of an engine's own store, `rank_secret` the file of the secret of that name.
    `temperature` is that of requests which name none (None: the model's own), `sleeps` whether it can be put to sleep.
    """

    image: str
    model: str
    served_name: str
    tensor_parallel: int
    max_model_len: int
    gpu_memory_utilization: float
    backend: Backend
    hf_cache: Mapping[str, str]
    ports: Ports
    max_num_seqs: int | None = None
    dtype: str = ""
    load_format: str = ""
    revision: str = ""
    trust_remote_code: bool = False
    expert_parallel: bool = False
    shm_bytes: int = 1 << 30
    extra_args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    log_level: str = "INFO"
    nccl_debug: str = "WARN"
    stop_seconds: int = 30
    drop_caches: bool = True
    weights_share: float = 0.0
    temperature: float | None = None
    sleeps: bool = False
    store: Mapping[str, str] = field(default_factory=dict)
    rank_secret: Mapping[str, str] = field(default_factory=dict)


class Engine(Protocol):
    """One engine. A plain module fulfils this: nothing is subclassed, and nothing registers itself.

    `API` is how it answers clients. `STORE` is where it reads models from. `LOOK` tells whether its image is looked
    into for vLLM and Ray before anything starts. `OWNED` are the flags that a profile must
    not pass in `extra_args`, with hyphens, and the variables that it must not set in `env`, each with what to use in
    its place; `*` is every other word. `LACKS` are the keys of a profile that it cannot honour, each with the reason.
    `FAILURES` are its last words and their fixes.
    """

    @property
    def API(self) -> Api: ...
    @property
    def STORE(self) -> Store: ...
    @property
    def LOOK(self) -> bool: ...
    @property
    def OWNED(self) -> Mapping[str, str]: ...
    @property
    def LACKS(self) -> Mapping[str, str]: ...
    @property
    def FAILURES(self) -> Patterns: ...

    def backends(self, wished: str, nodes: int) -> tuple[Backend, ...]:
        """Those that may come to run; Ray and one without it, while only the image can tell.

        `wished` is `engine.backend` of the profile, `nodes` how many nodes share the model. Raises ValueError, which
        says what is accepted, where the engine has no such backend or cannot span as many nodes.
        """
        ...

    def rank_secret(self, backend: Backend) -> str:
        """The name of a secret that every node of the engine must have; empty where there is none."""
        ...

    def services(self, spec: ServeSpec, cluster: Cluster, key_path: str) -> tuple[Service, ...]:
        """Its services in start order, the one that answers clients last."""
        ...
