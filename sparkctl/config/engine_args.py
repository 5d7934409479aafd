"""Arguments of `vllm serve` that a profile must not pass by itself, and what to use instead."""

import re
from collections.abc import Iterator, Sequence

OWNED: dict[str, str] = {
    "--api-key": "VLLM_API_KEY: arguments are visible to everybody on the node",
    "--hf-token": "HF_TOKEN: arguments are visible to everybody on the node",
    "--model": "model.id",
    "--served-model-name": "model.served_name",
    "--revision": "model.revision",
    "--host": "CONTROL_PLANE_API_IP",
    "--port": "ports.api",
    "--tensor-parallel-size": "engine.tensor_parallel",
    "-tp": "engine.tensor_parallel",
    "--distributed-executor-backend": "engine.backend",
    "--nnodes": "engine.backend: mp",
    "--node-rank": "engine.backend: mp",
    "--master-addr": "engine.backend: mp",
    "--master-port": "ports.master",
    "--headless": "engine.backend: mp",
    "--max-model-len": "engine.max_model_len",
    "--gpu-memory-utilization": "engine.gpu_memory_utilization",
    "--max-num-seqs": "engine.max_num_seqs",
    "--dtype": "engine.dtype",
    "--load-format": "engine.load_format",
    "--trust-remote-code": "engine.trust_remote_code",
    "--enable-expert-parallel": "engine.expert_parallel",
    "--swap-space": "nothing: vLLM has no swap space since 0.18",
    "--worker-use-ray": "engine.backend: ray",
    "--disable-log-requests": "--no-enable-log-requests",
}
"""Flag to what is used in its place; the last three are gone from vLLM (facts of 2026-11)."""

_WAYS = {
    "pipeline stages": "-pp|--pipeline[-_]parallel[-_]size",
    "context shards": "-pcp|--prefill[-_]context[-_]parallel[-_]size",
    "replicas": "-dp|--data[-_]parallel[-_]size",
}
"""Flags that multiply the GPUs: vLLM takes TP x PP x PCP for each replica (ParallelConfig.world_size_across_dp)."""


def faults(arguments: Sequence[str]) -> Iterator[str]:
    """One sentence for each argument that is not the profile's to pass."""
    for argument in arguments:
        flag = argument.partition("=")[0].replace("_", "-")
        if flag in OWNED:
            yield f"arguments without {flag}; use {OWNED[flag]}"


def ways(arguments: Sequence[str]) -> dict[str, int]:
    """How many ways the arguments split the work beside tensor parallelism, by kind; the last of a flag counts."""
    text = " ".join(arguments)
    found = {kind: re.findall(rf"(?<!\S)(?:{flag})[\s=](\d{{1,4}})(?!\S)", text) for kind, flag in _WAYS.items()}
    return {kind: int(counts[-1]) for kind, counts in found.items() if counts}
