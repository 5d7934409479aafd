"""TensorRT-LLM as plain services: `trtllm-serve` behind the door; on several nodes launched by MPI.

Flags: nvidia.github.io/TensorRT-LLM, "trtllm-serve"; layout: NVIDIA's TRT-LLM playbook for DGX Spark.
"""

import json

from sparkctl.core.service import Secret, Service
from sparkctl.engines import door, failures, mpi
from sparkctl.engines.container import FOLDER, container, fabric_env, merged, words
from sparkctl.engines.engine import Api, Backend, ServeSpec, Store
from sparkctl.topology import LOOPBACK, Cluster, Node, inner_port

API = Api("trtllm", loading=503)
STORE = Store.HUB
LOOK = False
LACKS: dict[str, str] = {
    "engine.dtype": "trtllm-serve takes the type that the checkpoint has",
    "engine.load_format": "trtllm-serve knows one format",
    "model.served_name": "trtllm-serve calls the model by its id",
    "role.temperature": "trtllm-serve takes a request's temperature, or its own default",
    "role.sleep": "only vLLM sleeps: leave it out, and the role is stopped instead",
}
FAILURES = failures.TRTLLM
OPTIONS = f"{FOLDER}/llm-api-options.yml"
OWNED: dict[str, str] = {
    "--host": "CONTROL_PLANE_API_IP",
    "--port": "ports.api",
    "--backend": "nothing: the PyTorch backend is the one that sparkctl knows",
    "--tp-size": "engine.tensor_parallel",
    "--tensor-parallel-size": "engine.tensor_parallel",
    "--ep-size": "engine.expert_parallel",
    "--moe-expert-parallel-size": "engine.expert_parallel",
    "--gpus-per-node": "nothing: a Spark has one",
    "--max-seq-len": "engine.max_model_len",
    "--max-batch-size": "engine.max_num_seqs",
    "--free-gpu-memory-fraction": "engine.gpu_memory_utilization",
    "--kv-cache-free-gpu-memory-fraction": "engine.gpu_memory_utilization",
    "--trust-remote-code": "engine.trust_remote_code",
    "--revision": "model.revision",
    "--extra-llm-api-options": "the other keys of engine: sparkctl renders that file",
    "--config": "the other keys of engine: sparkctl renders that file",
}
MOST_TOKENS = 32768
"""Of a batch after padding: NVIDIA's playbook for two Sparks; a longer prompt is refused."""
UNKNOWN_WEIGHTS_FRACTION = 0.5
"""Of the memory that the weights leave: with 0.8 of a GPU allowed that is safe for weights of up to 0.6 of it."""


def backends(wished: str, nodes: int) -> tuple[Backend, ...]:
    """One node needs no launcher. Raises ValueError."""
    if wished not in ("auto", Backend.MPI):
        raise ValueError("mpi or auto")
    return (Backend.MPI,) if nodes > 1 else (Backend.MP,)


def rank_secret(backend: Backend) -> str:
    """The SSH key by which the head reaches the ranks."""
    return mpi.KEY if backend is Backend.MPI else ""


def services(spec: ServeSpec, cluster: Cluster, key_path: str) -> tuple[Service, ...]:
    """The workers' containers, which wait for the launcher, then the head's, which launches and answers clients."""
    workers = [_worker(spec, node, rank) for rank, node in enumerate(cluster.workers, 1)]
    port, many = spec.ports.api, bool(workers)
    launcher = (*mpi.launch(cluster), "trtllm-llmapi-launch") if many else ()
    head = container(
        spec,
        cluster.head,
        name="trtllm",
        entrypoint=door.entrypoint(_options(spec) + (mpi.head(cluster, spec.ports.master) if many else "")),
        command=door.command(cluster, port, spec.model, *launcher, *_serve(spec)),
        env=_env(spec, cluster.head),
        secrets=(door.secret(key_path), *_key(spec, cluster.head)),
        drop_caches_on=(cluster.head.name,) if spec.drop_caches else (),
        ports=door.ports(cluster, port),
    )
    return (*workers, head)


def _worker(spec: ServeSpec, node: Node, rank: int) -> Service:
    return container(
        spec,
        node,
        name=f"trtllm-rank{rank}",
        command=(),
        entrypoint=mpi.worker(node, spec.ports.master),
        env=_env(spec, node),
        secrets=_key(spec, node),
        drop_caches_on=(node.name,) if spec.drop_caches else (),
        ports=((node.data_ip, spec.ports.master),),
    )


def kv_fraction(spec: ServeSpec) -> float:
    """What the KV cache may take of the memory that is free once the weights are loaded.

    That is what `free_gpu_memory_fraction` means, so that weights of share w and a limit u leave (u - w) / (1 - w):
    u itself, as the documents have it, takes w + u (1 - w), which is more than u. On a Spark that freezes the host.
    """
    limit, weights = spec.gpu_memory_utilization, spec.weights_share
    if not weights:
        return UNKNOWN_WEIGHTS_FRACTION
    return round(max(0.01, (limit - weights) / (1 - weights)), 3)


def _options(spec: ServeSpec) -> str:
    """Lines that write the file of options; JSON is YAML, too."""
    options = {
        "print_iter_log": False,
        "kv_cache_config": {"dtype": "auto", "free_gpu_memory_fraction": kv_fraction(spec)},
        "cuda_graph_config": {"enable_padding": True},
    }
    return f"cat >{OPTIONS} <<'END'\n{json.dumps(options, indent=1)}\nEND\n"


def _serve(spec: ServeSpec) -> tuple[str, ...]:
    flags: dict[str, object] = {
        "--host": LOOPBACK,
        "--port": inner_port(spec.ports.api),
        "--backend": "pytorch",
        "--tp_size": spec.tensor_parallel,
        "--ep_size": spec.tensor_parallel if spec.expert_parallel else "",
        "--max_seq_len": spec.max_model_len,
        "--max_batch_size": spec.max_num_seqs,
        "--max_num_tokens": min(spec.max_model_len, MOST_TOKENS),
        "--revision": spec.revision,
        "--log_level": spec.log_level.lower(),
        "--extra_llm_api_options": OPTIONS,
    }
    switches = {"--trust_remote_code": spec.trust_remote_code}
    return ("trtllm-serve", spec.model, *words(flags, switches), *spec.extra_args)


def _key(spec: ServeSpec, node: Node) -> tuple[Secret, ...]:
    path = spec.rank_secret.get(node.name)
    return (Secret(mpi.KEY, path),) if path else ()


def _env(spec: ServeSpec, node: Node) -> tuple[tuple[str, str], ...]:
    interface = node.fabric_interface
    own = {"OMPI_MCA_oob_tcp_if_include": interface} if interface else {}
    return merged(fabric_env(spec, node) | own, spec)
