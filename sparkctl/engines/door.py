"""How a container starts behind the door (`sparkctl/node/api_door.py`), for engines that ask nobody for a key.

TensorRT-LLM knows no key at all. SGLang knows one, and writes it into its log at every start
(github.com/sgl-project/sglang/issues/37457): it is not told, and the door asks for it in its place. Both answer a
request for any model (sglang/issues/31404): the door refuses those for others than the served one.
"""

from sparkctl.core.service import Secret
from sparkctl.data import node_program
from sparkctl.engines.container import FOLDER
from sparkctl.engines.engine import API_KEY
from sparkctl.topology import LOOPBACK, Cluster, inner_port


def entrypoint(before: str = "") -> tuple[str, ...]:
    """Put the program in place, run the lines `before`, then become it with the container's command."""
    program = f"mkdir -p {FOLDER}\ncat >{FOLDER}/api_door.py <<'END'\n{node_program('api_door')}END\n"
    return ("/bin/bash", "-c", f'{program}{before}exec python3 {FOLDER}/api_door.py "$@"\n')


def command(cluster: Cluster, port: int, model: str, *engine: str) -> tuple[str, ...]:
    """The arguments of the door, and what it starts; `model` is what clients call the served one."""
    listen = ("--listen", f"{cluster.api_ip}:{port}", "--to", str(inner_port(port)))
    return ("sparkctl", *listen, "--key", f"/run/secrets/{API_KEY}", "--model", model, "--", *engine)


def ports(cluster: Cluster, port: int) -> tuple[tuple[str, int], ...]:
    """What door and engine listen on."""
    return ((cluster.api_ip, port), (LOOPBACK, inner_port(port)))


def secret(key_path: str) -> Secret:
    """The key that the door asks for."""
    return Secret(API_KEY, key_path)
