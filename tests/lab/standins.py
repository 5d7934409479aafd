"""The image of the stand-ins (tests/standins), made on a node of the lab and pushed to its registry."""

from pathlib import Path

from faults import CLUSTER, NORAY, REGISTRY
from machines import Machine

STANDIN = f"{REGISTRY}/sparklab/standin:1"
HERE = Path(__file__).parent.parent / "standins"
COMMANDS = {
    "trtllm-serve": "standin.py",
    "ollama": "standin.py",
    "trtllm-llmapi-launch": "launcher.py",
    "mpirun": "launcher.py",
}
SGLANG = "import sys; sys.path.insert(0, '/opt/standin'); import standin; standin.sglang(sys.argv[1:])"
SSH = "/usr/sbin/sshd /usr/bin/ssh /usr/bin/ssh-keygen"
"""What an image for several nodes has: copied from the node, whose distribution is that of the image."""


def publish(machine: Machine, *, ssh: bool = True) -> None:
    """Make the image and push it; the node keeps nothing of it."""
    name, package = f"{CLUSTER}-standin-maker", "/usr/local/lib/python3.11/dist-packages/sglang"
    machine.ssh(f"docker run -d --name {name} {NORAY} sleep 600")
    try:
        machine.ssh(f"docker exec {name} mkdir -p /opt/standin {package}")
        for source in ("standin.py", "launcher.py", "flags.json"):
            text, target = (HERE / source).read_text(), f"/opt/standin/{source}"
            machine.ssh(f"docker exec -i {name} bash -c 'cat >{target}; chmod 755 {target}'", stdin=text)
        machine.ssh(f"docker exec -i {name} bash -c 'cat >{package}/launch_server.py'", stdin=SGLANG)
        links = "; ".join(f"ln -s /opt/standin/{file} /usr/local/bin/{command}" for command, file in COMMANDS.items())
        machine.ssh(f"docker exec {name} bash -c '{links}'")
        if ssh:
            machine.ssh(
                f"""set -eo pipefail
                libraries=$(ldd {SSH} | awk '/=>/ {{print $3}}' | grep -v /libc.so | sort -u)
                tar -ch {SSH} $libraries 2>/dev/null | docker cp - {name}:/
                docker exec {name} bash -c 'echo sshd:x:105:65534::/run/sshd:/usr/sbin/nologin >>/etc/passwd'"""
            )
        machine.ssh(f"docker commit {name} {STANDIN}; docker push -q {STANDIN}")
    finally:
        machine.ssh(f"docker rm -f {name}; docker rmi -f {STANDIN} {NORAY}", check=False)
