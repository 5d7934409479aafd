"""The layouts of every engine on two Sparks of the documentation's addresses, for golden files and stand-ins."""

from dataclasses import dataclass, replace
from typing import Any

from sparkctl.core.service import Service
from sparkctl.engines.engine import Backend, Ports, ServeSpec
from sparkctl.engines.registry import engine
from sparkctl.topology import Cluster, Node, Role

HEAD = Node("spark-1", Role.HEAD, "spark-1.local", "nvidia", 22, "192.168.100.10", "enp1s0f1np1")
WORKER = Node("spark-2", Role.WORKER, "spark-2.local", "nvidia", 22, "192.168.100.11", "enp1s0f1np1")
CLUSTER = Cluster("sparks", HEAD, (WORKER,), "192.168.1.10")
KEY = "/home/nvidia/.sparkctl/sparks/secrets/api-key"
SPEC = ServeSpec(
    image="registry.example/engine:1",
    model="openai/gpt-oss-120b",
    served_name="gpt-oss-120b",
    tensor_parallel=2,
    max_model_len=131072,
    gpu_memory_utilization=0.8,
    backend=Backend.MP,
    hf_cache={node.name: f"{node.home}/.cache/huggingface" for node in CLUSTER.nodes},
    ports=Ports(),
    max_num_seqs=64,
    store={node.name: f"{node.home}/.cache/ollama" for node in CLUSTER.nodes},
)


@dataclass(frozen=True)
class Layout:
    """One engine on one or two nodes, with its backend and what else its spec has."""

    name: str
    backend: Backend
    nodes: int
    changes: tuple[tuple[str, Any], ...] = ()
    variant: str = ""

    def __str__(self) -> str:
        return "-".join(filter(None, (self.name, self.backend, str(self.nodes), self.variant)))

    @property
    def cluster(self) -> Cluster:
        return CLUSTER.part(CLUSTER.nodes[: self.nodes])

    @property
    def spec(self) -> ServeSpec:
        secret = engine(self.name).rank_secret(self.backend)
        paths = {node.name: f"/home/nvidia/.sparkctl/sparks/secrets/{secret}" for node in self.cluster.nodes}
        made = replace(SPEC, backend=self.backend, tensor_parallel=self.nodes, rank_secret=paths if secret else {})
        return replace(made, **dict(self.changes))

    def services(self) -> tuple[Service, ...]:
        """What it runs."""
        return engine(self.name).services(self.spec, self.cluster, KEY)


EVERYTHING = (
    ("revision", "a1b2c3d4"),
    ("dtype", "bfloat16"),
    ("load_format", "auto"),
    ("trust_remote_code", True),
    ("expert_parallel", True),
    ("extra_args", ("--seed", "7")),
    ("env", (("NCCL_DEBUG", "INFO"), ("OMP_NUM_THREADS", "4"))),
    ("ports", Ports(api=8001, ray=6380, dashboard=8265, master=29777)),
    ("drop_caches", False),
)
"""Everything that a profile may set."""

LAYOUTS = (
    Layout("vllm", Backend.RAY, 2),
    Layout("vllm", Backend.MP, 2),
    Layout("vllm", Backend.MP, 1),
    Layout("vllm", Backend.RAY, 2, EVERYTHING, "everything"),
    Layout("vllm", Backend.MP, 2, EVERYTHING, "everything"),
    Layout("vllm", Backend.MP, 1, (("temperature", 0.1), ("sleeps", True)), "role"),
    Layout("vllm", Backend.RAY, 2, (("temperature", 0.0), ("sleeps", True)), "role"),
    Layout("sglang", Backend.MP, 1),
    Layout("sglang", Backend.MP, 2),
    Layout("sglang", Backend.MP, 2, EVERYTHING, "everything"),
    Layout("trtllm", Backend.MP, 1),
    Layout("trtllm", Backend.MPI, 2),
    Layout("trtllm", Backend.MPI, 2, (*EVERYTHING, ("weights_share", 0.5)), "everything"),
    Layout("ollama", Backend.MP, 1),
    Layout("ollama", Backend.MP, 1, EVERYTHING, "everything"),
)
