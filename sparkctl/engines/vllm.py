"""vLLM as plain services: a Ray head and workers with `vllm serve` beside them, or one rank per node without Ray.

Environment and flags follow NVIDIA's stacked-Sparks playbook and what was missing there (docs/how-it-works.md).
"""

import json

from sparkctl.core.service import Mount, Secret, Service
from sparkctl.engines import api_guard, failures, sleep_guard, vllm_flags
from sparkctl.engines.container import cache, container, fabric_env, merged, words
from sparkctl.engines.engine import API_KEY as API_KEY
from sparkctl.engines.engine import Api, Backend, ServeSpec, Store
from sparkctl.topology import Cluster, Node

API = Api("vllm")
STORE = Store.HUB
LOOK = True
OWNED = vllm_flags.OWNED
LACKS: dict[str, str] = {}
FAILURES = failures.VLLM
RAY_TOKEN = "ray-token"  # noqa: S105 - the name of a file
RAY_AUTH = (("RAY_AUTH_MODE", "token"), ("RAY_AUTH_TOKEN_PATH", f"/run/secrets/{RAY_TOKEN}"))
"""Ray listens on all addresses of a node, whatever --node-ip-address says: without the token it answers nobody.

Ray has this since 2.52 (docs.ray.io, Ray token authentication); an older one ignores it and is open to the network.
"""
SHARED_TMP = "/tmp"
RAY_STOP_SECONDS = 5
"""Ray holds nothing that wants draining; the API server before it is what drains."""
WITH_KEY = f"""\
{api_guard.INSTALL}\
export VLLM_API_KEY="$(cat /run/secrets/api-key)"
rm -f /dev/shm/psm_*
exec "$@"
"""
"""The key reaches the server through its environment, which neither argv nor `docker inspect` shows.

A server that was killed leaves its message queues, 250 MB each, in the shared memory that the Ray head keeps.
"""


def backends(wished: str, nodes: int) -> tuple[Backend, ...]:
    """One node needs no Ray; with `auto` on several the image decides. Raises ValueError."""
    if wished not in ("auto", Backend.RAY, Backend.MP):
        raise ValueError("ray, mp or auto")
    if nodes == 1:
        return (Backend.MP,)
    return (Backend.RAY, Backend.MP) if wished == "auto" else (Backend(wished),)


def rank_secret(backend: Backend) -> str:
    """Ray's token, without which it would obey anybody."""
    return RAY_TOKEN if backend is Backend.RAY else ""


def services(spec: ServeSpec, cluster: Cluster, key_path: str) -> tuple[Service, ...]:
    """The services in start order; the last is the API server."""
    if spec.backend is Backend.RAY and cluster.workers:
        return _with_ray(spec, cluster, key_path)
    ranks = [_rank(spec, cluster, rank, key_path) for rank in range(len(cluster.nodes))]
    return (*ranks[1:], ranks[0])


def _with_ray(spec: ServeSpec, cluster: Cluster, key_path: str) -> tuple[Service, ...]:
    head = _ray(spec, cluster, cluster.head)
    workers = [_ray(spec, cluster, node, head) for node in cluster.workers]
    api = container(
        spec,
        cluster.head,
        name="vllm",
        command=("sparkctl", *_serve(spec, cluster), *_guards(spec)),
        entrypoint=("/bin/bash", "-c", _start(spec)),
        env=(*_ray_env(spec, cluster.head), ("RAY_ADDRESS", f"{cluster.head.data_ip}:{spec.ports.ray}")),
        mounts=(cache(spec, cluster.head), _tmp_volume(cluster)),
        secrets=(Secret(API_KEY, key_path), *_ray_token(spec, cluster.head)),
        ports=((cluster.api_ip, spec.ports.api),),
        joins="ray-head",
        drop_caches_on=tuple(node.name for node in cluster.nodes) if spec.drop_caches else (),
        stands_on=tuple((s.name, s.node) for s in (head, *workers)),
    )
    return (head, *workers, api)


def _ray(spec: ServeSpec, cluster: Cluster, node: Node, head: Service | None = None) -> Service:
    at = f"{cluster.head.data_ip}:{spec.ports.ray}"
    role = (f"--address={at}",) if head else ("--head", f"--port={spec.ports.ray}", *_dashboard(spec))
    return container(
        spec,
        node,
        name="ray-worker" if head else "ray-head",
        command=(
            *("start", "--block", *role, f"--node-ip-address={node.data_ip}"),
            *("--num-gpus=1", "--disable-usage-stats", f"--object-store-memory={spec.shm_bytes // 4}"),
        ),
        entrypoint=("ray",),
        env=_ray_env(spec, node),
        secrets=_ray_token(spec, node),
        stop_seconds=RAY_STOP_SECONDS,
        mounts=(cache(spec, node),) if head else (cache(spec, node), _tmp_volume(cluster)),
        volumes=() if head else (_tmp_volume(cluster).source,),
        ports=() if head else _ray_ports(spec, node),
        stands_on=((head.name, head.node),) if head else (),
    )


def _ray_ports(spec: ServeSpec, node: Node) -> tuple[tuple[str, int], ...]:
    dashboard = spec.ports.dashboard
    return ((node.data_ip, spec.ports.ray), *((("127.0.0.1", dashboard),) if dashboard else ()))


def _dashboard(spec: ServeSpec) -> tuple[str, ...]:
    """On loopback: whoever reaches Ray's dashboard may run code."""
    if spec.ports.dashboard is None:
        return ("--include-dashboard=false",)
    return ("--include-dashboard=true", "--dashboard-host=127.0.0.1", f"--dashboard-port={spec.ports.dashboard}")


def _ray_token(spec: ServeSpec, node: Node) -> tuple[Secret, ...]:
    path = spec.rank_secret.get(node.name)
    return (Secret(RAY_TOKEN, path),) if path else ()


def _ray_env(spec: ServeSpec, node: Node) -> tuple[tuple[str, str], ...]:
    return (*_env(spec, node), *(RAY_AUTH if node.name in spec.rank_secret else ()))


def _rank(spec: ServeSpec, cluster: Cluster, rank: int, key_path: str) -> Service:
    """One node's part of an engine that needs no Ray: rank 0 answers clients, the others are headless."""
    node, many = cluster.nodes[rank], len(cluster.nodes) > 1
    group = ("--nnodes", str(len(cluster.nodes)), "--node-rank", str(rank)) if many else ()
    master = ("--master-addr", cluster.head.data_ip, "--master-port", str(spec.ports.master)) if many else ()
    face = ("--headless",) if rank else _guards(spec)
    return container(
        spec,
        node,
        name=f"vllm-rank{rank}" if rank else "vllm",
        command=("sparkctl", *_serve(spec, cluster), *group, *master, *face),
        entrypoint=("/bin/bash", "-c", 'exec "$@"' if rank else _start(spec)),
        env=_env(spec, node),
        secrets=() if rank else (Secret(API_KEY, key_path),),
        drop_caches_on=(node.name,) if spec.drop_caches else (),
        ports=() if rank else ((cluster.api_ip, spec.ports.api), *(((node.data_ip, spec.ports.master),) * many)),
    )


def _serve(spec: ServeSpec, cluster: Cluster) -> tuple[str, ...]:
    """`vllm serve` and its flags; the backend is always named, since newer defaults do not pick Ray."""
    flags: dict[str, object] = {
        "--served-model-name": spec.served_name,
        "--revision": spec.revision,
        "--host": cluster.api_ip,
        "--port": spec.ports.api,
        "--tensor-parallel-size": spec.tensor_parallel,
        "--distributed-executor-backend": str(spec.backend) if len(cluster.nodes) > 1 else "",
        "--max-model-len": spec.max_model_len,
        "--gpu-memory-utilization": spec.gpu_memory_utilization,
        "--max-num-seqs": spec.max_num_seqs,
        "--dtype": spec.dtype,
        "--load-format": spec.load_format,
        "--override-generation-config": _sampling(spec),
    }
    switches = {"--trust-remote-code": spec.trust_remote_code, "--enable-expert-parallel": spec.expert_parallel}
    return ("vllm", "serve", spec.model, *words(flags, switches), *spec.extra_args)


def _sampling(spec: ServeSpec) -> str:
    """What vLLM lays over the model's own generation_config.json; what a request says wins over both."""
    return "" if spec.temperature is None else json.dumps({"temperature": spec.temperature})


def _guards(spec: ServeSpec) -> tuple[str, ...]:
    return (*api_guard.FLAGS, *(sleep_guard.FLAGS if spec.sleeps else ()))


def _start(spec: ServeSpec) -> str:
    return sleep_guard.INSTALL * spec.sleeps + WITH_KEY


def _tmp_volume(cluster: Cluster) -> Mount:
    """Where Ray and vLLM keep their Unix sockets: the API server's container meets the head's Ray through them."""
    return Mount(f"sparkctl-{cluster.name}-tmp", SHARED_TMP)


def _env(spec: ServeSpec, node: Node) -> tuple[tuple[str, str], ...]:
    own = {
        "VLLM_HOST_IP": node.data_ip,
        "VLLM_LOGGING_LEVEL": spec.log_level,
        "VLLM_NO_USAGE_STATS": "1",
        "RAY_memory_monitor_refresh_ms": "0",
    }
    return merged(fabric_env(spec, node) | own | (sleep_guard.ENV if spec.sleeps else {}), spec)
