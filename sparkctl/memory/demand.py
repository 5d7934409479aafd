"""How a model is to be served, and what that takes of every node."""

import math
from dataclasses import dataclass

from sparkctl.errors import ConfigError, Problem
from sparkctl.memory.checkpoint import Checkpoint
from sparkctl.memory.shape import Cache

GIB = 2**30
GB10_GIB = 121.7
"""MemTotal of a Spark in GiB, measured on several."""
OVERHEAD = 4 * GIB
"""What an engine takes on each node beside weights and cache: CUDA, graphs, activations. 2 to 6 GiB were seen."""
FASTSAFETENSORS = round(4.4 * GIB)
"""What `--load-format fastsafetensors` takes beyond that while it loads."""
PREFILL = 8192
"""Tokens that an engine computes at a time: vLLM's default of --max-num-batched-tokens on a GPU of 70 GiB or more."""
MOST_UTILIZATION = 0.90
"""A larger share freezes a node whose CPU and GPU have one memory; there is no force beyond it."""
KV_TYPES = {"auto": 2.0, "bfloat16": 2.0, "float16": 2.0, "float32": 4.0, "int8": 1.0, "nvfp4": 4.5 / 8}
"""Bytes of a number of the cache by vLLM's names; every other name of a kind of fp8 is one byte."""


@dataclass(frozen=True)
class Wish:
    """How a model is to be served. `max_model_len` is in tokens, `overhead` in bytes on each node.

    `concurrency` is how many requests of that length the cache must hold at once; an engine starts with room for
    one. `utilization` is the part of a node's memory that the engine takes; one that `fills` it up with cache takes
    all of that part, another one what it needs. `spread` is over how many replicas a mixture's experts lie,
    `prefill` how many tokens are computed at a time.
    """

    max_model_len: int
    concurrency: int = 1
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    utilization: float = 0.80
    kv_dtype: str = "auto"
    quantization: str = ""
    dtype: str = ""
    overhead: int = OVERHEAD
    fills: bool = True
    spread: int = 1
    prefill: int = PREFILL

    @property
    def ranks(self) -> int:
        """Nodes that hold one copy of the model together."""
        return self.tensor_parallel * self.pipeline_parallel

    @property
    def cache_type(self) -> str:
        """The type of keys and values: by itself that of the weights as they are computed with."""
        return "float32" if (self.kv_dtype, self.dtype) == ("auto", "float32") else self.kv_dtype


@dataclass(frozen=True)
class Demand:
    """What one node must hold, in bytes."""

    weights: int
    kv: int
    overhead: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.kv + self.overhead


def demand(checkpoint: Checkpoint, wish: Wish) -> Demand:
    """What each rank takes. Raises ConfigError for names that are unknown.

    Of several replicas each has its own of everything but the experts.
    """
    form, parts = checkpoint.loaded(wish.quantization, wish.dtype), wish.tensor_parallel
    experts = checkpoint.experts(form, parts)
    weights = checkpoint.weights(form, parts) - experts + experts / wish.spread
    one = sequence_bytes(checkpoint, wish, wish.max_model_len)
    return Demand(math.ceil(weights / wish.ranks), wish.concurrency * one, wish.overhead)


def sequence_bytes(checkpoint: Checkpoint, wish: Wish, tokens: int) -> int:
    """Bytes of cache that one request of so many tokens takes on each node. Raises ConfigError.

    KV bytes per token = layers x KV heads / TP (1 at least) x 2 x head_dim x bytes; a window caps the tokens.
    """
    each = kv_bytes(wish.cache_type)
    numbers = (
        cache.layers * rank_heads(cache, wish.tensor_parallel) * cache.width * min(tokens, kept(cache, wish) or tokens)
        for cache in checkpoint.shape.caches
    )
    return math.ceil(sum(numbers) * each / wish.pipeline_parallel)


def kept(cache: Cache, wish: Wish) -> int:
    """Tokens that a layer with a window keeps at most, 0 for all: the window, and what is computed at a time.

    vllm/v1/kv_cache_interface.py, SlidingWindowSpec.
    """
    return cache.window - 1 + wish.prefill if cache.window else 0


def rank_heads(cache: Cache, parts: int) -> int:
    """KV heads that each of so many parts keeps: where there are fewer heads than parts, heads are kept twice."""
    return max(1, math.ceil(cache.heads / parts))


def kv_bytes(dtype: str) -> float:
    """Bytes of one number of the cache; every kind of fp8 has one. Raises ConfigError."""
    found = 1.0 if dtype.startswith("fp8") else KV_TYPES.get(dtype)
    if found is None:
        accepted = ", ".join((*KV_TYPES, "fp8"))
        raise ConfigError((Problem("--kv-dtype", "type of the cache", repr(dtype), accepted),), place="in the wish")
    return found


def check_split(checkpoint: Checkpoint, parts: int) -> None:
    """Whether the heads can be shared by so many GPUs. Raises ConfigError.

    KV heads that are fewer than the GPUs are repeated, in equal numbers on each.
    """
    shape = checkpoint.shape
    problems = [
        Problem(checkpoint.name, name, f"{count} heads by tensor parallelism {parts}", _accepted(count))
        for name, count, repeats in (
            ("attention heads", shape.heads, False),
            ("KV heads", shape.kv_heads, True),
        )
        if count % parts and not (repeats and count and parts % count == 0)
    ]
    if problems:
        raise ConfigError(
            tuple(problems),
            place="in how the model is to be split",
            fix="choose a tensor_parallel that divides the heads; -pp splits by layers instead",
        )


def _accepted(count: int) -> str:
    return "a divisor: " + ", ".join(str(n) for n in range(1, min(count, 64) + 1) if count % n == 0)
