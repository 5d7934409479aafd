"""What the container of every engine has in common: the GPU, the fabric for every library, the model cache."""

import re

from sparkctl.core.service import Gpus, Mount, Service
from sparkctl.engines.engine import ServeSpec
from sparkctl.topology import Node

CACHE = "/root/.cache/huggingface"
"""The hub's cache in the container."""

FOLDER = "/run/sparkctl"
"""Where programs and files of ours lie in the container: no image has to be built for them."""

Env = dict[str, str]


def container(spec: ServeSpec, node: Node, **fields: object) -> Service:
    """A service on that node; `fields` come on top."""
    common: dict[str, object] = {
        "node": node.name,
        "image": spec.image,
        "env": merged(fabric_env(spec, node), spec),
        "mounts": (cache(spec, node),),
        "gpus": Gpus.ALL,
        "devices": ("/dev/infiniband",) if roce_devices(node.fabric_interface) else (),
        "capabilities": ("IPC_LOCK",),
        "ulimits": (("memlock", -1), ("stack", 67108864)),
        "shm_bytes": spec.shm_bytes,
        "stop_seconds": spec.stop_seconds,
    }
    return Service(**{**common, **fields})  # type: ignore[arg-type]


def cache(spec: ServeSpec, node: Node) -> Mount:
    """The model cache of the node, which no engine writes to."""
    return Mount(spec.hf_cache[node.name], CACHE, read_only=True)


def fabric_env(spec: ServeSpec, node: Node) -> Env:
    """The fabric for every library that opens sockets, and no network for the model hub."""
    interface, hca = node.fabric_interface, roce_devices(node.fabric_interface)
    names = ("NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME", "TP_SOCKET_IFNAME", "UCX_NET_DEVICES")
    env = dict.fromkeys((*names, "OMPI_MCA_btl_tcp_if_include"), interface) if interface else {}
    env |= {"NCCL_IB_HCA": hca, "NCCL_IB_DISABLE": "0", "NCCL_IGNORE_CPU_AFFINITY": "1"} if hca else {}
    return env | {"NCCL_DEBUG": spec.nccl_debug, "HF_HUB_OFFLINE": "1", "HF_MODULES_CACHE": "/var/tmp/hf-modules"}


def merged(env: Env, spec: ServeSpec) -> tuple[tuple[str, str], ...]:
    """Variables of an engine with those of the profile over them, by name."""
    return tuple(sorted({**env, **dict(spec.env)}.items()))


def words(flags: dict[str, object], switches: dict[str, bool]) -> tuple[str, ...]:
    """Flags with their values, without those that have none, and the switches that are on."""
    pairs = [part for flag, value in flags.items() if value not in (None, "") for part in (flag, str(value))]
    return (*pairs, *(switch for switch, on in switches.items() if on))


def roce_devices(interface: str) -> str:
    """Both RoCE halves of the CX7 port that an interface belongs to, for NCCL_IB_HCA; empty for other names.

    The digit after `f` is the port: `enp1s0f1np1` and `enP2p1s0f1np1` are the halves of port 1.
    """
    port = re.fullmatch(r"en(?:p1|P2p1)s0f([01])np[01]", interface)
    return f"rocep1s0f{port[1]},roceP2p1s0f{port[1]}" if port else ""
