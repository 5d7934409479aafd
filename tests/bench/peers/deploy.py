"""The same for pyinfra: what it has an operation for is one, the rest are commands."""

from pyinfra import host
from pyinfra.operations import files, server

data = host.data
home = "/home/nvidia"
state, cache = f"{home}/.sparkctl/{data.cluster}", f"{home}/.cache/huggingface"


def look(name: str, command: str) -> None:
    server.shell(name=name, commands=[command])


look("hardware", "nvidia-smi --query-gpu=name,driver_version --format=csv,noheader")
look("Docker runs", "docker info --format '{{.ServerVersion}}'")
look("packages", "dpkg-query -W rsync iproute2 iputils-ping")
files.directory(name="state folder", path=state, mode="700")
files.directory(name="cache folder", path=f"{cache}/hub")
look("fabric reaches the peer", f"ping -n -q -c 1 -W 1 -I enp1s0f1np1 {data.peer}")
look("image", f"docker image inspect -f '{{{{.Id}}}}' {data.image}")
look("model", f"find {cache}/hub -printf '%s %P\n'")
look("containers", f"docker inspect -f '{{{{.State.Status}}}}' {data.containers}")
if data.head:
    files.file(name="secret", path=f"{state}/secrets/api-key", mode="600")
    key = f"-F none -i {state}/id_ed25519 -o BatchMode=yes -o UserKnownHostsFile={state}/known_hosts"
    look("worker lets the head in", f"ssh {key} nvidia@{data.peer} true")
    look("ports", "ss -Hltn")
    look("health", f"curl -sf http://{data.api}:8000/health")
    bearer = f'-H "Authorization: Bearer $(cat {state}/secrets/api-key)" -H "Content-Type: application/json"'
    ask = f'{{"model":"{data.model}","prompt":"1","max_tokens":1}}'
    look("token", f"curl -sf {bearer} -d '{ask}' http://{data.api}:8000/v1/completions")
