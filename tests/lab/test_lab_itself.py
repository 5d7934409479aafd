"""The lab: what the deploying code relies on, and whether breaking a machine really breaks it."""

import json
import subprocess
from typing import Any

import docker
import pytest
from faults import until
from machines import Machine, TestLab

from sparkctl.lab import depot, host, lifecycle
from sparkctl.lab.driver import NodeState
from sparkctl.lab.spec import LABEL, MANAGEMENT_NIC, LabSpec

pytestmark = pytest.mark.lab
ENGINE = f"registry.lab:5000/{depot.ENGINE}:{depot.ENGINE_TAG}"


def test_nodes_look_like_sparks(lab: TestLab) -> None:
    for machine in lab.nodes:
        assert machine.ssh("hostname; id -un; id -nG; sudo -n id -u").stdout.split("\n")[:2] == [
            machine.name,
            "nvidia",
        ]
        assert "docker" in machine.ssh("id -nG").stdout.split()
        assert machine.ssh("sudo -n id -u").stdout == "0\n"
        assert 'DGX_NAME="DGX Spark"' in machine.ssh("cat /etc/dgx-release").stdout
        assert "rocep1s0f1 port 1 ==> enp1s0f1np1 (Up)" in machine.ssh("ibdev2netdev").stdout
        assert "Speed: 200000Mb/s" in machine.ssh("sudo ethtool enp1s0f1np1").stdout
        assert machine.ssh("getent hosts $(hostname)").stdout.split() == ["127.0.1.1", machine.name]
        booted = machine.root("systemctl", "is-system-running", "--wait", check=False)
        assert booted == "running\n", machine.root("systemctl", "--failed", "--no-legend")
        machine.ssh("python3 -c 'import json, urllib.request, hashlib, concurrent.futures, ssl, http.client'")
        machine.ssh("command -v rsync curl ip ssh flock findmnt")


def test_fabric_carries_jumbo_frames_between_nodes_alone(lab: TestLab) -> None:
    head, worker = lab.nodes[:2]
    ping = f"ping -c 5 -W 5 -M do -s 8972 -I enp1s0f1np1 {worker.fabric_ip}"
    assert head.ssh(ping).returncode == 0
    with worker.link_down():
        assert head.ssh(ping, check=False).returncode != 0
        assert "enp1s0f1np1 (Down)" in worker.ssh("ibdev2netdev").stdout
    assert head.ssh(ping).returncode == 0


def test_nodes_pull_and_run_from_the_registry(lab: TestLab) -> None:
    noray = f"registry.lab:5000/{depot.NORAY}:{depot.PLAIN_TAG}"
    for machine in lab.nodes:
        machine.ssh(f"docker pull -q {noray}")
        probe = "command -v ray || echo none; vllm --version"
        flags = "--rm --network host --gpus all --device /dev/infiniband --cap-add IPC_LOCK --ulimit memlock=-1"
        answer = machine.ssh(f"docker run {flags} --entrypoint bash {noray} -c '{probe}'").stdout
        assert answer == "none\n0.32.0\n"


def test_foreign_image_says_so(lab: TestLab) -> None:
    image = f"registry.lab:5000/{depot.WRONGARCH}:{depot.PLAIN_TAG}"
    lab.head.ssh(f"docker pull -q {image}")
    theirs = lab.head.ssh(f"docker image inspect -f '{{{{.Architecture}}}}' {image}").stdout
    ours = lab.head.ssh("docker version -f '{{.Server.Arch}}'").stdout
    assert theirs != ours


def test_hub_serves_the_model_and_guards_the_gated_one(lab: TestLab) -> None:
    hub = "http://hub.lab:8090"
    facts: dict[str, Any] = json.loads(
        lab.worker.ssh(f"curl -sf '{hub}/api/models/{depot.MODEL}/revision/main?blobs=true'").stdout
    )
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {f["rfilename"] for f in facts["siblings"]}
    gated = f"{hub}/{depot.GATED_MODEL}/resolve/main/config.json"
    codes = "; ".join(
        f"curl -s -o /dev/null -w '%{{http_code}} ' {header} {gated}"
        for header in ("", "-H 'Authorization: Bearer wrong'", f"-H 'Authorization: Bearer {depot.GATE_TOKEN}'")
    )
    assert lab.worker.ssh(codes).stdout.split() == ["401", "403", "200"]


def test_slow_hub_is_slow(lab: TestLab) -> None:
    url = f"http://hub.lab:8090/{depot.MODEL}/resolve/main/model.safetensors"
    with lab.slow_hub(20_000):
        cut = lab.head.ssh(f"curl -s -m 20 -o /dev/null -w '%{{size_download}}' {url}", check=False)
    assert 0 < int(cut.stdout) < 1_000_000
    assert int(lab.head.ssh(f"curl -s -o /dev/null -w '%{{size_download}}' {url}").stdout) > 1_000_000


def test_stopped_engine_does_not_answer(lab: TestLab) -> None:
    with lab.worker.docker_stopped():
        failed = lab.worker.ssh("docker info", check=False)
        assert failed.returncode != 0
        until(lambda: states(lab) == {"spark-1": NodeState.READY, "spark-2": NodeState.BOOTING}, 60)
    lab.worker.ssh("docker info")


def states(lab: TestLab) -> dict[str, NodeState]:
    """What `lab status` says of each node."""
    return {item.node.name: item.state for item in lifecycle.status(lab.lab.name).nodes}


def test_paused_node_does_not_answer(lab: TestLab) -> None:
    with lab.worker.paused():
        with pytest.raises(subprocess.TimeoutExpired):
            lab.worker.ssh("true", timeout=2)
        assert not lifecycle.status(lab.lab.name).ready
    until(lambda: lifecycle.status(lab.lab.name).ready, 60)


def test_killed_node_comes_back_with_its_images(lab: TestLab) -> None:
    before = lab.worker.ssh("docker images -q; cat /etc/ssh/ssh_host_ed25519_key.pub").stdout
    with lab.worker.killed():
        assert not lifecycle.status(lab.lab.name).ready
    assert lab.worker.ssh("docker images -q; cat /etc/ssh/ssh_host_ed25519_key.pub").stdout == before


def test_reboot_from_inside(lab: TestLab) -> None:
    before = lab.worker.ssh("stat -c %Z /proc/1").stdout
    tried(lab.worker, "sudo systemctl reboot", 120)
    until(lambda: tried(lab.worker, "stat -c %Z /proc/1", 15) not in ("", before), 180)
    lab.worker.wait()
    assert lab.worker.ssh("ip -o -4 addr show enp1s0f1np1").stdout.split()[3].startswith(lab.worker.fabric_ip)


def tried(machine: Machine, command: str, seconds: float) -> str:
    """What a command prints; nothing where nobody answers, or the connection died."""
    try:
        return machine.ssh(command, check=False, timeout=seconds).stdout
    except subprocess.TimeoutExpired:
        return ""


def test_management_link_down(lab: TestLab) -> None:
    with lab.worker.link_down(MANAGEMENT_NIC):
        assert not lifecycle.status(lab.lab.name).ready
    lab.worker.wait()
    assert lab.worker.ssh("ip route show default").stdout.startswith(f"default via {lab.lab.gateway} dev enP7s7")


def test_full_disk(lab: TestLab) -> None:
    lab.worker.ssh("mkdir /home/nvidia/full")
    with lab.worker.full("/home/nvidia/full"):
        failed = lab.worker.ssh("head -c 100000 /dev/zero > /home/nvidia/full/file", check=False)
        assert "No space left on device" in failed.stderr
    lab.worker.ssh("head -c 100000 /dev/zero > /home/nvidia/full/file && rm -r /home/nvidia/full")


def test_gpu_held_by_somebody(lab: TestLab) -> None:
    query = "nvidia-smi --query-compute-apps=pid,process_name,used_memory --format=csv,noheader"
    assert lab.worker.ssh(query).stdout == ""
    with lab.worker.holding_gpu(pid=7, name="ollama", mebibytes=300):
        assert lab.worker.ssh(query).stdout == "7, ollama, 300 MiB\n"


def test_second_lab_beside_the_first_and_gone_without_a_trace(lab: TestLab) -> None:
    client, name = docker.from_env(timeout=host.CALL_LIMIT), "sparktest-two"
    try:
        small = lifecycle.up(LabSpec(name, nodes=1), lambda event: None)
        assert small.octet != lab.lab.octet
        grown = lifecycle.up(LabSpec(name, nodes=2), lambda event: None)
        assert grown.octet == small.octet
        until(lambda: lifecycle.status(name).ready, 60)
        client.containers.get(grown.resource("spark-2")).remove(force=True, v=True)
        lifecycle.up(LabSpec(name, nodes=1), lambda event: None)
        until(lambda: lifecycle.status(name).ready, 60)
        assert len(lifecycle.status(name).nodes) == 2
    finally:
        lifecycle.down(name, lambda event: None)
    label: dict[str, str | list[str] | bool] = {"label": f"{LABEL}={name}"}
    assert client.containers.list(all=True, filters=label) == []
    assert client.networks.list(filters=label) == []
    assert client.volumes.list(filters=label) == []
    assert not grown.home.exists()
    until(lambda: lifecycle.status(lab.lab.name).ready, 60)
