"""What engines say when they fail, and what to do about it: patterns of their logs, most telling first.

Sources: the logs collected in docs/troubleshooting.md from vLLM's and Ray's own messages.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Diagnosis:
    """A known failure: the line that gave it away, and the fix."""

    line: str
    fix: str


Patterns = tuple[tuple[str, str], ...]
"""Regular expressions of log lines, each with what to do about it, the most telling first."""

VLLM: Patterns = (
    (
        r"Free memory on device .* is less than desired GPU memory utilization",
        "other programs hold memory: stop them, drop the page cache on every node, or lower GPU_MEMORY_UTIL",
    ),
    (
        r"To serve at least one request .* KV cache is needed, which is larger than the available",
        "lower MAX_MODEL_LEN to the estimate in this line, or raise GPU_MEMORY_UTIL",
    ),
    (r"No available memory for the cache blocks", "raise GPU_MEMORY_UTIL, or serve a smaller model"),
    (
        r"(?:Tensor parallel size|World size) \(\d+\) (?:exceeds|is larger than) .*available GPUs",
        "a worker is absent, or the backend is not named: sparkctl status, then sparkctl up",
    ),
    (r"current platform \w+ does not support ray", "the image's platform cannot run on Ray: set engine.backend to mp"),
    (r"ray: (?:command )?not found|No module named 'ray'", "the image lacks Ray: set engine.backend to mp or auto"),
    (r"unrecognized arguments?: .*", "this vLLM does not know that flag: mend engine.extra_args or EXTRA_ARGS"),
    (r"error: argument .*", "vLLM refuses a flag's value: mend the profile's engine section or EXTRA_ARGS"),
    (
        r"must be divisible by tensor parallel size|is not divisible by .*tensor",
        "choose TENSOR_PARALLEL so that it divides the model's heads",
    ),
    (r"max_model_len .* is greater than the derived max_model_len", "lower MAX_MODEL_LEN to what the model allows"),
    (r"InvalidCxxCompiler|No working C\+\+ compiler", "the image lacks g++: add --enforce-eager to engine.extra_args"),
)

GENERAL: Patterns = (
    (r"NV_ERR_NO_MEMORY", "the node is out of memory: stop at once, lower GPU_MEMORY_UTIL or MAX_MODEL_LEN"),
    (r"CUDA error: out of memory|CUDA out of memory|OutOfMemoryError", "lower GPU_MEMORY_UTIL or MAX_MODEL_LEN"),
    (
        r"(?:401|403) Client Error|GatedRepoError|Access to model .* is restricted",
        "accept the model's licence on the hub and set HF_TOKEN",
    ),
    (
        r"LocalEntryNotFoundError|does not appear to have a file named|outgoing traffic has been disabled",
        "a file of the model is missing on this node: sparkctl up fetches it again",
    ),
    (
        r"Gloo connectFullMesh failed|connectFullMesh.*Connection refused",
        "ranks found each other on the wrong address: check FABRIC_CTRL_INTERFACE and WORKER_NODE_INTERFACE",
    ),
    (r"Failed to get the IP address, using 0\.0\.0\.0", "the fabric address is missing on this node: sparkctl doctor"),
    (r"Address already in use", "another program listens on the port: sparkctl plan names it"),
    (r"No space left on device", "free disk space on the node: docker system df"),
)
"""What any engine may say: it stands on the same GPU, hub, network and disk."""


def diagnose(lines: Iterable[str], own: Patterns = VLLM) -> Diagnosis | None:
    """The first pattern that any line holds: of the engine's own, then of the general ones."""
    text = [strip(line) for line in lines]
    for pattern, fix in (*own, *GENERAL):
        for line in text:
            if re.search(pattern, line, re.IGNORECASE):
                return Diagnosis(line[:400], fix)
    return None


def telling(lines: Iterable[str], count: int = 8) -> list[str]:
    """What a reader wants to see of a log: the first errors that were raised, else how it ends.

    vLLM ends with "Engine core initialization failed. See root cause above.", and clean-up after a failure raises
    errors of its own: the cause is what came first.
    """
    kept = [strip(line) for line in lines if line.strip()]
    raised = [line for line in kept if re.match(r"[\w.]*(?:Error|Exception|Failure|Exit)\b: ?\S", line)]
    return list(dict.fromkeys(raised))[:count] or kept[-count:]


def strip(line: str) -> str:
    """A log line without colours, and without the prefixes of processes, levels and times."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", line).strip()
    return re.sub(r"^(?:\([^)]*\) ?)*(?:[A-Z]+ \d\d-\d\d \d\d:\d\d:\d\d \[[^\]]*\] ?)?", "", plain)


PROGRESS = (
    r"Resolved architecture: \w+",
    r"Initializing a V1 LLM engine",
    r"Connecting to existing Ray cluster",
    r"Connected to Ray cluster",
    r"Creating a new placement group",
    r"Loading safetensors checkpoint shards: +\d+%",
    r"Model loading took .*",
    r"Available KV cache memory: .*",
    r"GPU KV cache size: .*",
    r"CPU KV cache size: .*",
    r"Maximum concurrency for .*",
    r"Capturing CUDA graphs.*",
    r"Starting vLLM (?:API )?server.*",
    r"Application startup complete",
)


def loading(lines: Iterable[str]) -> str:
    """What the engine is doing, in its own words; empty when the log shows nothing known."""
    found = (match[0] for line in lines for pattern in PROGRESS if (match := re.search(pattern, line)))
    return "".join([*found][-1:])[:100]
