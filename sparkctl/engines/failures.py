"""What engines say when they fail, and what to do about it: patterns of their logs, most telling first.

Sources: the logs collected in docs/troubleshooting.md from vLLM's and Ray's own messages; the others' say their own.
"""

import re
from collections.abc import Iterable, Sequence
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

SGLANG: Patterns = (
    (
        r"Not enough memory\. Please try to increase --mem-fraction-static",
        "the weights leave no room for the KV cache: raise GPU_MEMORY_UTIL, or serve a smaller model",
    ),
    (
        r"memory capacity is unbalanced",
        "other programs hold memory on one of the nodes: stop them, then sparkctl up",
    ),
    (
        r"DistNetworkError|DistStoreError|client socket has timed out",
        "a rank is absent or not reached on the fabric: sparkctl status, then sparkctl up",
    ),
    (r"unrecognized arguments?: .*", "this SGLang does not know that flag: mend engine.extra_args or EXTRA_ARGS"),
    (r"error: argument .*", "SGLang refuses a flag's value: mend the profile's engine section or EXTRA_ARGS"),
)
"""SGLang's own messages (`srt/model_executor`, `srt/server_args.py`) and those of torch.distributed."""

TRTLLM: Patterns = (
    (
        r"sparkctl: the MPI rank at .* does not answer",
        "that node's container has ended, or the fabric is cut: sparkctl status, sparkctl logs --node NODE",
    ),
    (
        r"sparkctl: the image lacks sshd, and .*",
        "several nodes need sshd in the image: build one from it that installs openssh-server, and name it in image",
    ),
    (
        r"(?:ORTE|PRTE) (?:has lost comm|was unable to reliably start)|mpirun (?:detected|noticed) that",
        "an MPI rank ended or was cut off: sparkctl logs --node NODE tells which, then sparkctl up",
    ),
    (r"not enough slots available", "a node is missing from the MPI job: sparkctl status, then sparkctl up"),
    (r"No such option:? .*", "this TensorRT-LLM does not know that flag: mend engine.extra_args or EXTRA_ARGS"),
    (r"Invalid value for .*", "trtllm-serve refuses a flag's value: mend the profile's engine section or EXTRA_ARGS"),
    (r"Failed to bind socket to", "another program listens on the port: sparkctl plan names it"),
    (
        r"CUDA out of memory|OutOfMemoryError|\[TRT-LLM\].*out of memory",
        "lower engine.max_num_seqs or GPU_MEMORY_UTIL; if it happens while weights are loaded, set "
        "TRT_LLM_DISABLE_LOAD_WEIGHTS_IN_PARALLEL: '1' in engine.env",
    ),
)
"""TensorRT-LLM's own messages, Open MPI's, and the table of NVIDIA's TRT-LLM playbook for DGX Spark."""

OLLAMA: Patterns = (
    (
        r"model requires more system memory \(.*\) than is available \(.*\)",
        "stop what else holds memory, lower MAX_MODEL_LEN, or name a smaller model or quantization",
    ),
    (r"pull model manifest: file does not exist", "the library has no model of that name: mend model.id"),
    (r"model .* not found", "Ollama has not pulled it: sparkctl up"),
    (r"llama runner process has terminated", "read the lines before it: sparkctl logs"),
)
"""Ollama's own messages (`server/`, `llm/server.go`)."""

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
    (
        r"ended with status 255\b",
        "most likely its node, or Docker there, was restarted: that is how Docker marks what it finds ended; "
        "sparkctl up goes on",
    ),
    (
        r"ended with status 137\b",
        "it was killed: for want of memory (on the node: sudo dmesg | grep -i oom), by docker stop or kill, "
        "or by a reboot (uptime -s)",
    ),
)
"""What any engine may say: it stands on the same GPU, hub, network and disk. The last two are our words of its end."""


DIED = r"(?:died|exited) unexpectedly|EngineDeadError|EngineCore encountered a fatal error"
"""vLLM, whose API server ends with status 0 when its engine is dead (seen with 0.32.0)."""


def diagnose(lines: Iterable[str], own: Patterns = VLLM) -> Diagnosis | None:
    """The first pattern that any line holds: of the engine's own, then of the general ones."""
    text = [strip(line) for line in lines]
    for pattern, fix in (*own, *GENERAL):
        for line in text:
            if re.search(pattern, line, re.IGNORECASE):
                return Diagnosis(line[:400], fix)
    return None


def died(lines: Iterable[str]) -> str:
    """The line that says that the engine behind the API server is dead; empty where none does."""
    return next((strip(line)[:400] for line in lines if re.search(DIED, line)), "")


def telling(lines: Iterable[str], count: int = 8) -> list[str]:
    """What a reader wants to see of a log: the first errors that were raised, else how it ends.

    vLLM ends with "Engine core initialization failed. See root cause above.", and clean-up after a failure raises
    errors of its own: the cause is what came first.
    """
    kept = [strip(line) for line in lines if line.strip()]
    raised = [line for line in kept if re.match(r"[\w.]*(?:Error|Exception|Failure|Exit)\b: ?\S", line)]
    return list(dict.fromkeys(raised))[:count] or kept[-count:]


def shown(lines: Sequence[str], known: Diagnosis | None) -> str:
    """The telling lines, with the one that is known where it is another one of them."""
    also = [known.line] if known and known.line in {strip(line)[:400] for line in lines} else []
    return "\n".join(dict.fromkeys([*telling(lines), *also]))


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
