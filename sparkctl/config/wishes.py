"""How each model of a profile is wished, in the words of the memory planner."""

import re

from sparkctl.config import engine_args
from sparkctl.config.served import Served
from sparkctl.memory.demand import FASTSAFETENSORS, GIB, KV_TYPES, PREFILL, Wish
from sparkctl.memory.formats import is_format


def wish_of(served: Served) -> Wish:
    """What its engine is asked for, `extra_args` included; names there that the planner does not know are left out."""
    engine = served.engine
    ways = engine_args.ways(engine.extra_args)
    kv = engine_args.value(engine.extra_args, "--kv-cache-dtype")
    quantization = engine_args.value(engine.extra_args, "--quantization", "-q")
    prefill = engine_args.value(engine.extra_args, "--max-num-batched-tokens", "--chunked-prefill-size")
    fast = FASTSAFETENSORS if engine.load_format == "fastsafetensors" else 0
    return Wish(
        max_model_len=engine.max_model_len,
        tensor_parallel=served.tensor_parallel,
        pipeline_parallel=ways.get("pipeline stages") or 1,
        spread=(ways.get("replicas") or 1) if engine.expert_parallel else 1,
        utilization=engine.gpu_memory_utilization,
        kv_dtype=kv if kv.startswith("fp8") or kv in KV_TYPES else "auto",
        quantization=quantization if is_format(quantization) else "",
        dtype=engine.dtype or "",
        overhead=round(engine.overhead_gib * GIB) + fast,
        fills=not engine_args.tagged(engine.name),
        prefill=int(prefill) if re.fullmatch(r"[1-9]\d{0,7}", prefill, re.ASCII) else PREFILL,
    )


def weights_of(served: Served) -> int:
    """The bytes of its loaded weights as the profile states them; 0 where it does not."""
    return round((served.engine.weights_gib or 0.0) * GIB)
