"""`Settings`: every variable of unified-config.env that has an effect, with its one default, meaning and unit.

A field's name in upper case is the variable's name; document 1's names are kept. The layers (files, environment,
flags) are merged in `layers.py`, because every value is shown with where it came from.
"""

import shlex
from typing import Annotated, Any

from pydantic import Field, JsonValue, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from sparkctl.config import values
from sparkctl.config.values import IMAGE_REF, MODEL_ID


def _field(default: Any, description: str, accepts: str, *, group: str, unit: str = "", **limits: Any) -> Any:
    extra: dict[str, JsonValue] = {"accepts": accepts, "group": group, "unit": unit}
    return Field(default=default, description=description, json_schema_extra=extra, **limits)


def _where(default: Any, description: str, accepts: str, **limits: Any) -> Any:
    """A field of *where*: an address, a login, a key. A lab's own file replaces all of them."""
    return _field(default, description, accepts, group="where", **limits)


def _what(description: str, accepts: str, **limits: Any) -> Any:
    """An override of one value of the profile, unset by default."""
    return _field(None, description, accepts, group="what", **limits)


FILE = "a file on this machine; ~/ is your home"
IPV4, TARGET, PORT = "an IPv4 address", "[user@]host[:port]: a host name, an alias or an address", "1 to 65535"
LIST = "separated by commas or spaces, in rank order"
LOGIN, INTERFACE = "a login name", "the name of a network interface, such as enp1s0f1np1"
NAME, FLAG = "a host name: letters, digits and -", "1 or 0, true or false"
LEVEL = "DEBUG, INFO, WARNING or ERROR"
CIDR = "an address with its prefix such as 192.168.100.10/24, or the prefix alone"
SERVED = "a model that is served, by its name in the profile or on the hub; the organisation may be left out"
ONE_WORD = "one line of printable ASCII without spaces"


class Settings(BaseSettings):
    """Where the nodes are and how they are reached, and what of the profile is overridden."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    cluster_name: str = _where(
        "spark",
        "Name of the cluster; marks everything that sparkctl makes on the nodes.",
        "up to 31 of a-z, 0-9 and -, starting with a letter",
        pattern=r"^[a-z][a-z0-9-]{0,30}$",
    )
    control_plane_api_ip: values.Ip = _where(
        "", "The head's address on the network where clients of the model are; the API listens there.", IPV4
    )
    head_ssh_target: values.Target = _where(
        "", "Where the laptop speaks SSH to the head. Empty: CONTROL_PLANE_API_IP.", TARGET
    )
    head_ssh_user: values.User = _where(
        "", "Login on the head. Empty: as ~/.ssh/config says, else your own login name.", LOGIN
    )
    head_ssh_port: values.Port = _where(22, "SSH port of the head.", PORT)
    head_node_name: values.NodeName = _where("spark-1", "What the head is called in plans and reports.", NAME)
    fabric_ctrl_ip: values.FabricIp = _where("", "The head's address on the QSFP cable.", IPV4)
    fabric_ctrl_cidr: values.Cidr = _where("", "Prefix of the head's fabric address; checks the workers'.", CIDR)
    fabric_ctrl_interface: values.Interface = _where(
        "enp1s0f1np1", "The head's NIC on the QSFP cable; f1 is the port far from the RJ45 socket.", INTERFACE
    )
    worker_node_name: values.NodeName = _where("spark-2", "What the one worker is called.", NAME)
    worker_node_ip: values.FabricIp = _where("", "The one worker's fabric address. Empty: no worker.", IPV4)
    worker_node_cidr: values.Cidr = _where("", "Prefix of the worker's fabric address.", CIDR)
    worker_node_network: values.Cidr = _where("", "Subnet of the fabric; checks all fabric addresses.", CIDR)
    worker_node_interface: values.Interface = _where(
        "", "The workers' NIC on the QSFP cable. Empty: FABRIC_CTRL_INTERFACE.", INTERFACE
    )
    worker_node_ssh_target: values.Target = _where("", "Where the laptop speaks SSH to the one worker.", TARGET)
    worker_node_ssh_user: values.User = _where("", "Login on the workers. Empty: WORKER_USER.", LOGIN)
    worker_user: values.User = _where("", "Login on the workers, second spelling. Empty: HEAD_SSH_USER.", LOGIN)
    worker_node_ssh_port: values.Port = _where(22, "SSH port of the workers.", PORT)
    worker_ips: Annotated[tuple[values.FabricIp, ...], values.Items] = _where(
        (), "Fabric addresses of all workers; wins over WORKER_NODE_IP.", f"IPv4 addresses {LIST}"
    )
    worker_ssh_targets: Annotated[tuple[values.Target, ...], values.Items] = _where(
        (), "Where the laptop speaks SSH to each worker.", f"one [user@]host[:port] for each worker, {LIST}"
    )
    worker_node_names: Annotated[tuple[values.NodeName, ...], values.Items] = _where(
        (), "What the workers are called. Empty: spark-2, spark-3, ...", f"one host name for each worker, {LIST}"
    )
    worker_api_ips: Annotated[tuple[values.Ip, ...], values.Items] = _where(
        (),
        "The workers' addresses on the network of the clients; a model on one worker alone listens there. Empty: on "
        "its fabric address.",
        f"IPv4 addresses {LIST}",
    )
    ssh_key_file: values.LaptopPath = _where(
        "", "Private key on the laptop. Empty: your SSH agent and configuration.", FILE
    )
    ssh_known_hosts_file: values.LaptopPath = _where("", "Host keys of the nodes. Empty: ~/.ssh/known_hosts.", FILE)
    hf_cache: values.NodePath = _where(
        "~/.cache/huggingface",
        "Folder of the model cache on every node; ~ is the home of the node's login.",
        "an absolute folder, or one below ~/, of letters, digits and _ @ % + = . -",
    )
    hf_endpoint: values.Url = _where("", "Model hub. Empty: the public one.", "http:// or https:// and a host")
    hf_token: Annotated[SecretStr, values.Secret] = _where(SecretStr(""), "Token for gated models.", ONE_WORD)
    ngc_api_key: Annotated[SecretStr, values.Secret] = _where(
        SecretStr(""), "Key for the image registry; the login name is the profile's image.registry_user.", ONE_WORD
    )
    registry_user: str = _where("", "Login at the image registry.", ONE_WORD, pattern=r"^[!-~]*$")
    registry_password: Annotated[SecretStr, values.Secret] = _where(
        SecretStr(""), "Password at the image registry; wins over NGC_API_KEY.", ONE_WORD
    )
    vllm_api_key: Annotated[SecretStr, values.Secret] = _where(
        SecretStr(""), "Key that clients of the model send. Empty: generated on the head.", ONE_WORD
    )

    model: str | None = _what("The model to serve.", "ORG/NAME as on the model hub", pattern=MODEL_ID)
    tensor_parallel: int | None = _what("GPUs that share every layer; one per Spark.", "1 or more", ge=1, le=1024)
    gpu_memory_util: float | None = _what(
        "Part of the memory that the engine may take; beyond 0.90 a Spark freezes.",
        "more than 0 and at most 0.90",
        gt=0,
        le=0.90,
        allow_inf_nan=False,
        unit="fraction",
    )
    max_model_len: int | None = _what("Context window.", "1 to 10000000", ge=1, le=10_000_000, unit="tokens")
    vllm_port: values.Port | None = _what("Port of the API.", PORT)
    ray_port: values.Port | None = _what("Port of Ray on the head's fabric address.", PORT)
    ray_dashboard_port: values.Port | None = _what("Port of Ray's dashboard.", PORT)
    vllm_image: str | None = _what(
        "The engine's image.", "an image reference such as nvcr.io/nvidia/vllm:25.11-py3", pattern=IMAGE_REF
    )
    shm_size: values.Size | None = _what(
        "Shared memory of the containers.", "a size such as 16g, at least 64m", ge=0.0625, le=128, unit="GiB"
    )
    enable_expert_parallel: bool | None = _what("Spread the experts of a mixture model over the GPUs.", FLAG)
    trust_remote_code: bool | None = _what("Run Python code that comes with the model.", FLAG)
    load_format: str | None = _what("How vLLM reads the weights.", "a --load-format of vLLM", pattern=r"^[a-z_]+$")
    nccl_debug: str | None = _what(
        "How much NCCL says.", "VERSION, WARN, INFO or TRACE", pattern="^(VERSION|WARN|INFO|TRACE)$"
    )
    extra_args: values.Words | None = _what(
        "More arguments of vllm serve, after the profile's.", "words with closed quotes"
    )
    vllm_log_level: str | None = _what("How much vLLM says.", LEVEL, pattern="^(DEBUG|INFO|WARNING|ERROR)$")
    enable_vllm: bool | None = _what("Serve the model.", FLAG)
    enable_multi_agent: bool | None = _what("Deploy the agents, their database and the web UI.", FLAG)
    agent_backend_port: values.Port | None = _what("Port of the gateway; wins over VLLM_PORT.", PORT)
    supervisor_model: str | None = _what("Model of the supervisor.", SERVED, pattern=MODEL_ID)
    rag_agent_model: str | None = _what("Model of the RAG agent.", SERVED, pattern=MODEL_ID)
    code_agent_model: str | None = _what("Model of the coding agent.", SERVED, pattern=MODEL_ID)
    image_agent_model: str | None = _what("Model of the image agent.", SERVED, pattern=MODEL_ID)
    enable_rag_system: bool | None = _what("0: no RAG agent.", FLAG)
    enable_code_generation: bool | None = _what("0: no coding agent.", FLAG)
    enable_image_understanding: bool | None = _what("0: no image agent.", FLAG)
    enable_prometheus: bool | None = _what("Deploy Prometheus with the agents.", FLAG)
    enable_grafana: bool | None = _what("Deploy Grafana with Prometheus.", FLAG)
    milvus_port: values.Port | None = _what("Port of Milvus on the head's loopback.", PORT)
    prometheus_port: values.Port | None = _what("Port of Prometheus on the head's loopback.", PORT)
    grafana_port: values.Port | None = _what("Port of Grafana on the head's loopback.", PORT)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The merged layers alone: nothing is read behind the back of `origins`."""
        return (init_settings,)

    def extra_words(self) -> tuple[str, ...]:
        """EXTRA_ARGS as a shell splits it."""
        return tuple(shlex.split(self.extra_args or ""))

    @property
    def fabric_prefix(self) -> int:
        """Length of the fabric's network prefix in bits; 24 where the head's address names none."""
        return int(self.fabric_ctrl_cidr.rpartition("/")[2] or 24)

    def hf_cache_at(self, home: str) -> str:
        """The model cache on a node with that home folder, absolute."""
        return self.hf_cache.replace("~", home, 1) if self.hf_cache.startswith("~/") else self.hf_cache
