"""Variables of document 1 that have no effect here, and why; so that its file works as it is."""

from collections.abc import Iterable, Mapping

_KUBERNETES = "sparkctl runs containers without Kubernetes"
_NETWORK = "sparkctl checks the network and does not configure connections of the LAN"
_MESH = "the agents run in one gateway"
_UI = "the port of the web UI is the profile's `agents.ui_port`"
_DATABASE = "PostgreSQL has no port, and a user and a database of sparkctl's own"
_MILVUS = "Milvus runs as one container, its etcd and its files inside"
_PASSWORDS = "passwords are generated on the head, and none is taken from a file"
_AGENT_MODELS = "SUPERVISOR_MODEL, RAG_AGENT_MODEL, CODE_AGENT_MODEL and IMAGE_AGENT_MODEL name the models of agents"
_MULTIMODAL = "image generation is a component that this version does not deploy"
_TRACES = "traces are a component that this version does not deploy"
_LOG = "the gateway logs each request, the engine by VLLM_LOG_LEVEL"
_STORAGE = "the only folder on the nodes is HF_CACHE; containers mount it directly"
_LIMITS = "the profile says how much of a node is used"

INERT: dict[str, str] = {
    **dict.fromkeys(
        ("ENABLE_K8S_DASHBOARD", "ENABLE_LONGHORN", "ENABLE_WORKER_JOIN", "SERVICE_STATUS_NAMESPACES"), _KUBERNETES
    ),
    **dict.fromkeys(("AGENTS_NAMESPACE", "COMFYUI_NAMESPACE", "PVC_STORAGE_CLASS", "VLLM_REPLICAS"), _KUBERNETES),
    **dict.fromkeys(("CONTROL_PLANE_API_CIDR", "CONTROL_PLANE_INTERFACE", "CONTROL_PLANE_CONNECTION"), _NETWORK),
    "FABRIC_CTRL_CONNECTION": _NETWORK,
    **dict.fromkeys(("GPU_STATUS_MAX_RETRIES", "GPU_STATUS_RETRY_DELAY"), "`sparkctl up` waits as the profile says"),
    "SECONDARY_MODELS": "a profile names every model that it serves, under `models`",
    "RAY_VERSION": "Ray comes with the image; its version is probed",
    "SWAP_SPACE": "vLLM has no swap space since 0.18",
    **dict.fromkeys(("ENABLE_DISTRIBUTED_AGENTS", "ENABLE_AGENT_MESH", "ENABLE_CROSS_MODAL_SEARCH"), _MESH),
    "AGENT_FRONTEND_PORT": _UI,
    **dict.fromkeys(("AGENT_LOG_LEVEL", "LOG_LEVEL"), _LOG),
    **dict.fromkeys(("POSTGRES_DB", "POSTGRES_USER", "POSTGRES_PORT"), _DATABASE),
    **dict.fromkeys(("POSTGRES_PASSWORD", "MINIO_ACCESS_KEY", "MINIO_SECRET_KEY"), _PASSWORDS),
    **dict.fromkeys(("ETCD_PORT", "MINIO_PORT"), _MILVUS),
    **dict.fromkeys(("RAG_MODEL", "CODING_MODEL", "IMAGE_MODEL"), _AGENT_MODELS),
    **dict.fromkeys(("ENABLE_MULTIMODAL", "ENABLE_COMFYUI", "ENABLE_FLUX_MODEL", "ENABLE_SDXL_MODEL"), _MULTIMODAL),
    **dict.fromkeys(("ENABLE_TENSORRT_OPTIMIZATION", "COMFYUI_PORT", "TENSORRT_PRECISION"), _MULTIMODAL),
    **dict.fromkeys(("ENABLE_JAEGER", "JAEGER_PORT"), _TRACES),
    **dict.fromkeys(("MODEL_CACHE", "AGENT_DATA", "MULTIMODAL_CACHE"), _STORAGE),
    **dict.fromkeys(("HF_CACHE_SIZE", "MODEL_CACHE_SIZE", "AGENT_DATA_SIZE"), _STORAGE),
    **dict.fromkeys(("DEPLOYMENT_MODE", "DEV_CPU_LIMIT", "DEV_MEMORY_LIMIT", "DEV_GPU_LIMIT"), _LIMITS),
    **dict.fromkeys(("PROD_CPU_REQUEST", "PROD_MEMORY_REQUEST", "PROD_GPU_REQUEST"), _LIMITS),
}
"""Name of a variable of document 1 to the reason why setting it changes nothing."""

_ON = ("1", "true", "yes", "on")


def notes(values: Mapping[str, str]) -> tuple[str, ...]:
    """One sentence for each reason that applies to the variables that are set (name to value).

    Switches that are on for what cannot be deployed come first; switches that are off, and empty values, say nothing.
    """
    on = {n: v for n, v in values.items() if n.startswith("ENABLE_") and v.lower() in _ON}
    others = [name for name, value in values.items() if value and not name.startswith("ENABLE_")]
    loud = (
        f"{', '.join(f'{name}={on[name]}' for name in names)} deploy{'s' * (len(names) == 1)} nothing: {reason}"
        for reason, names in _by_reason(on).items()
    )
    quiet = (f"without effect: {', '.join(names)}: {reason}" for reason, names in _by_reason(others).items())
    return (*loud, *quiet)


def _by_reason(names: Iterable[str]) -> dict[str, list[str]]:
    reasons: dict[str, list[str]] = {}
    for name in names:
        reasons.setdefault(INERT[name], []).append(name)
    return reasons
