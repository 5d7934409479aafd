"""What every engine gets to know and answers with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Backend(StrEnum):
    """How the ranks of one engine find each other."""

    RAY = "ray"
    MP = "mp"


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

    `gpu_memory_utilization` is a fraction of the GPU's memory, `shm_bytes` the size of /dev/shm, `hf_cache` the
    absolute folder of the model cache by node name, `ray_token` the file of Ray's token by node name.
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
    ray_token: Mapping[str, str] = field(default_factory=dict)
