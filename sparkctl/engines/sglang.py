"""SGLang as plain services: one rank per node, the first behind the door, which asks for the key in its place.

Flags: docs.sglang.io, "Server Arguments"; layout: NVIDIA's SGLang playbook for DGX Spark.
"""

from sparkctl.core.service import Service
from sparkctl.engines import door, failures
from sparkctl.engines.container import container, fabric_env, merged, words
from sparkctl.engines.engine import Api, Backend, ServeSpec, Store
from sparkctl.topology import LOOPBACK, Cluster, Node, inner_port

API = Api("sglang", loading=503)
STORE = Store.HUB
LOOK = False
LACKS: dict[str, str] = {
    "role.temperature": "SGLang takes a request's temperature, or the model's own",
    "role.sleep": "only vLLM sleeps: leave it out, and the role is stopped instead",
}
FAILURES = failures.SGLANG
OWNED: dict[str, str] = {
    "--api-key": "VLLM_API_KEY: SGLang writes its own into the log",
    "--admin-api-key": "nothing: SGLang writes it into the log",
    "--config": "extra_args: a file would name what sparkctl sets",
    "--model-path": "model.id",
    "--model": "model.id",
    "--served-model-name": "model.served_name",
    "--revision": "model.revision",
    "--host": "CONTROL_PLANE_API_IP",
    "--port": "ports.api",
    "--tensor-parallel-size": "engine.tensor_parallel",
    "--tp-size": "engine.tensor_parallel",
    "--tp": "engine.tensor_parallel",
    "--expert-parallel-size": "engine.expert_parallel",
    "--ep-size": "engine.expert_parallel",
    "--ep": "engine.expert_parallel",
    "--nnodes": "nodes",
    "--node-rank": "nodes",
    "--dist-init-addr": "ports.master",
    "--nccl-init-addr": "ports.master",
    "--context-length": "engine.max_model_len",
    "--mem-fraction-static": "engine.gpu_memory_utilization",
    "--max-running-requests": "engine.max_num_seqs",
    "--dtype": "engine.dtype",
    "--load-format": "engine.load_format",
    "--trust-remote-code": "engine.trust_remote_code",
    "--enable-metrics": "nothing: metrics are on",
    "SGLANG_HOST_IP": "FABRIC_CTRL_IP and WORKER_IPS",
}


def backends(wished: str, nodes: int) -> tuple[Backend, ...]:
    """One rank per node, whatever their number. Raises ValueError."""
    if wished not in ("auto", Backend.MP) or not nodes:
        raise ValueError("mp or auto")
    return (Backend.MP,)


def rank_secret(_backend: Backend) -> str:
    """None: its ranks trust the fabric."""
    return ""


def services(spec: ServeSpec, cluster: Cluster, key_path: str) -> tuple[Service, ...]:
    """The ranks in start order; the last is the API server."""
    ranks = [_rank(spec, cluster, rank, key_path) for rank in range(len(cluster.nodes))]
    return (*ranks[1:], ranks[0])


def _rank(spec: ServeSpec, cluster: Cluster, rank: int, key_path: str) -> Service:
    node, port, many = cluster.nodes[rank], spec.ports.api, len(cluster.nodes) > 1
    serve = _serve(spec, cluster, rank)
    return container(
        spec,
        node,
        name=f"sglang-rank{rank}" if rank else "sglang",
        entrypoint=("/bin/bash", "-c", 'exec "$@"') if rank else door.entrypoint(),
        command=("sparkctl", *serve) if rank else door.command(cluster, port, spec.served_name, *serve),
        env=_env(spec, node),
        secrets=() if rank else (door.secret(key_path),),
        drop_caches_on=(node.name,) if spec.drop_caches else (),
        ports=((LOOPBACK, inner_port(port)),)
        if rank
        else (*door.ports(cluster, port), *(((node.data_ip, spec.ports.master),) * many)),
    )


def _serve(spec: ServeSpec, cluster: Cluster, rank: int) -> tuple[str, ...]:
    """The server and its flags; every rank but the first listens for looks at its health alone."""
    flags: dict[str, object] = {
        "--model-path": spec.model,
        "--served-model-name": spec.served_name,
        "--revision": spec.revision,
        "--host": LOOPBACK,
        "--port": inner_port(spec.ports.api),
        "--tp-size": spec.tensor_parallel,
        "--ep-size": spec.tensor_parallel if spec.expert_parallel else "",
        "--context-length": spec.max_model_len,
        "--mem-fraction-static": spec.gpu_memory_utilization,
        "--max-running-requests": spec.max_num_seqs,
        "--dtype": spec.dtype,
        "--load-format": spec.load_format,
        "--log-level": spec.log_level.lower(),
    }
    if len(cluster.nodes) > 1:
        address = f"{cluster.head.data_ip}:{spec.ports.master}"
        flags |= {"--nnodes": len(cluster.nodes), "--node-rank": rank, "--dist-init-addr": address}
    switches = {"--trust-remote-code": spec.trust_remote_code, "--enable-metrics": True}
    return ("python3", "-m", "sglang.launch_server", *words(flags, switches), *spec.extra_args)


def _env(spec: ServeSpec, node: Node) -> tuple[tuple[str, str], ...]:
    return merged(fabric_env(spec, node) | {"SGLANG_HOST_IP": node.data_ip}, spec)
