"""Ollama as one plain service on one node; its models are pulled and loaded by a step (`sparkctl/steps/ollama.py`).

It asks nobody for a key, and whoever reaches it may pull and delete models. Its image has no interpreter that could
run the door: so it listens on the loopback of its node, where a gateway, an agent or a tunnel finds it.
Variables: facts of Ollama's `envconfig`; those of document 5 that are not there do not exist.
"""

from sparkctl.core.service import Gpus, Mount, Service
from sparkctl.engines import failures
from sparkctl.engines.container import merged
from sparkctl.engines.engine import Api, Backend, ServeSpec, Store
from sparkctl.topology import LOOPBACK, Cluster

API = Api("ollama", health="/", metrics="", keyed=False, ready=("ollama", "list"))
STORE = Store.OLLAMA
LOOK = False
LACKS: dict[str, str] = {
    "engine.dtype": "a model of Ollama's comes quantized: name another tag in model.id",
    "engine.load_format": "Ollama knows one format",
    "engine.trust_remote_code": "a model of Ollama's brings no code",
    "engine.expert_parallel": "Ollama runs on one node",
    "role.temperature": "Ollama has it in the Modelfile: name a model that was made with it",
    "role.sleep": "only vLLM sleeps: leave it out, and the role is stopped instead",
    "model.revision": "a tag of Ollama's is a part of model.id",
    "model.allow": "Ollama pulls a model whole",
}
FAILURES = failures.OLLAMA
OWNED: dict[str, str] = {
    "*": "engine.env: ollama serve has no arguments",
    "OLLAMA_HOST": "ports.api: it asks nobody for a key, and so listens on loopback alone",
}
STORE_IN_CONTAINER = "/root/.ollama"
FOREVER = "-1"
"""Of `keep_alive`: a model stays loaded until it is unloaded."""


def backends(wished: str, nodes: int) -> tuple[Backend, ...]:
    """One process on one node. Raises ValueError."""
    if wished != "auto":
        raise ValueError("auto")
    if nodes > 1:
        raise ValueError("auto, on one node: Ollama does not share a model between nodes")
    return (Backend.MP,)


def rank_secret(_backend: Backend) -> str:
    """None: it has no ranks."""
    return ""


def services(spec: ServeSpec, cluster: Cluster, _key_path: str) -> tuple[Service, ...]:
    """The one server. It loads nothing by itself."""
    node = cluster.head
    return (
        Service(
            name="ollama",
            node=node.name,
            image=spec.image,
            command=("serve",),
            entrypoint=("ollama",),
            env=_env(spec),
            mounts=(Mount(spec.store[node.name], STORE_IN_CONTAINER),),
            gpus=Gpus.ALL,
            shm_bytes=spec.shm_bytes,
            ports=((LOOPBACK, spec.ports.api),),
            stop_seconds=spec.stop_seconds,
            drop_caches_on=(node.name,) if spec.drop_caches else (),
        ),
    )


def _env(spec: ServeSpec) -> tuple[tuple[str, str], ...]:
    own = {
        "OLLAMA_HOST": f"{LOOPBACK}:{spec.ports.api}",
        "OLLAMA_KEEP_ALIVE": FOREVER,
        "OLLAMA_MAX_LOADED_MODELS": "1",
        "OLLAMA_FLASH_ATTENTION": "1",
    }
    parallel = {"OLLAMA_NUM_PARALLEL": str(spec.max_num_seqs)} if spec.max_num_seqs else {}
    return merged(own | parallel, spec)
