"""Figures of a deployed lab: the first `up`, the second one, its peers, and memory."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.bench.measure import BIN, Figure, medians, peak_mib, run

NAME = "sparkbench"
PEERS = ("ansible-core==2.19.*", "pyinfra==3.*")
HERE = Path(__file__).parent
ROUNDS = 5


def figures() -> Iterator[Figure]:
    """Deploys from nothing, then measures what a run costs that changes nothing."""
    program = BIN / "sparkctl"
    with bench_lab(program) as env:
        first = json.loads(run([program, "up", "--profile", "lab", "--yes", "--json", "--quiet"], env).stdout)
        timings = first["timings"]
        wall, path = timings["seconds"], timings["critical_path"]["seconds"]
        yield Figure("first `up` against its critical path", wall / path, 1.1, note=f"{wall:.0f} s, {path:.0f} s")

        second: list[str | Path] = [program, "up", "--profile", "lab", "--json", "--quiet"]
        seen = json.loads(run(second, env).stdout)
        transport = seen["transport"].values()
        trips, opened = sum(t["round_trips"] for t in transport), max(t["connections"] for t in transport)
        yield Figure("round trips of a second `up`", trips, 10, unit="", note=f"result: {seen['result']}")
        yield Figure("connections per node of a second `up`", opened, 1, unit="")
        yield Figure("peak memory of a second `up`", peak_mib(second, env), 150, unit="MiB")
        yield from _against_peers(second, env)


def _against_peers(second: Sequence[str | Path], env: dict[str, str]) -> Iterator[Figure]:
    venv = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "sparkctl" / "bench-venv"
    if not (venv / "bin" / "pyinfra").exists():
        run([sys.executable, "-m", "venv", venv])
        run([venv / "bin" / "pip", "install", "-q", *PEERS])
    hosts = _inventory(env)
    inventory = Path(env["SPARKCTL_LAB_HOME"]) / NAME / "inventory.yml"  # goes with the lab
    inventory.write_text(json.dumps({"all": {"children": {"head": {}, "worker": {}}, "hosts": {}}, **hosts}))
    script = inventory.with_name("inventory.py")
    script.write_text(f"nodes = {[(n, v) for group in hosts.values() for n, v in group['hosts'].items()]!r}\n")
    quiet = {**os.environ, **env, "ANSIBLE_PIPELINING": "1", "ANSIBLE_HOST_KEY_CHECKING": "0"}
    ansible: list[str | Path] = [venv / "bin" / "ansible-playbook", "-i", inventory, HERE / "peers" / "site.yml"]
    pyinfra: list[str | Path] = [venv / "bin" / "pyinfra", "-y", script, HERE / "peers" / "deploy.py"]
    taken = medians(
        {
            "sparkctl": lambda: run(second, env),
            "Ansible": lambda: run(ansible, quiet),
            "pyinfra": lambda: run(pyinfra, quiet),
        },
        ROUNDS,
    )
    own = taken.pop("sparkctl")
    for name, seconds in taken.items():
        note = f"{seconds:.2f} s, `sparkctl up` {own:.2f} s"
        yield Figure(f"{name} against a second `up`", seconds / own, 5, True, note=note)


def _inventory(env: dict[str, str]) -> dict[str, dict[str, dict[str, dict[str, object]]]]:
    """The lab's two nodes, as both peers want to know them."""
    home = Path(env["SPARKCTL_LAB_HOME"]) / NAME
    lab = dict(line.split("=", 1) for line in (home / "lab.env").read_text().splitlines() if "=" in line)
    common = {
        "ansible_user": "nvidia",
        "ansible_ssh_private_key_file": lab["SSH_KEY_FILE"],
        "ansible_python_interpreter": "/usr/bin/python3",
        "ssh_user": "nvidia",
        "ssh_key": lab["SSH_KEY_FILE"],
        "ssh_strict_host_key_checking": "off",
        "ssh_known_hosts_file": lab["SSH_KNOWN_HOSTS_FILE"],
        "cluster": NAME,
        "image": "registry.lab:5000/sparklab/vllm-cpu:0.32.0",
        "model": "sparklab/tiny-llama",
        "api": lab["CONTROL_PLANE_API_IP"],
    }
    prefix = f"sparkctl-{NAME}"
    head = {"head": True, "peer": lab["WORKER_IPS"], "containers": f"{prefix}-ray-head {prefix}-vllm"}
    worker = {"head": False, "peer": lab["FABRIC_CTRL_IP"], "containers": f"{prefix}-ray-worker"}
    return {
        "head": {"hosts": {lab["CONTROL_PLANE_API_IP"]: {**common, **head}}},
        "worker": {"hosts": {lab["WORKER_SSH_TARGETS"]: {**common, **worker}}},
    }


@contextmanager
def bench_lab(program: Path, name: str = NAME) -> Iterator[dict[str, str]]:
    """A lab of its own, with nothing deployed."""
    state = Path(os.environ.get("XDG_STATE_HOME", Path.home() / ".local/state")) / "sparkctl" / "lab"
    env = {"SPARKCTL_LAB": name, "SPARKCTL_LAB_HOME": str(state)}
    run([program, "lab", "up"], env)
    try:
        yield env
    finally:
        subprocess.run([program, "lab", "down"], env={**os.environ, **env}, capture_output=True, check=False)
