"""What is wrong before any node can be worked on: values, keys, users, host keys, power."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from faults import CLUSTER, Deployment, assert_clear, assert_ok, nothing_left, untouched

from sparkctl.lab.spec import MANAGEMENT_NIC

pytestmark = pytest.mark.lab


def test_unknown_variable_names_file_line_and_nearest(deploy: Deployment) -> None:
    env = deploy.env_file(WORKER_IP="10.0.0.1")
    line = env.read_text().splitlines().index("WORKER_IP=10.0.0.1") + 1
    assert_clear(
        deploy("plan", env=env), 3, f"{env}:{line}", "WORKER_IP: unknown variable", "did you mean WORKER_IPS?"
    )


def test_malformed_values_are_named_all_at_once(deploy: Deployment) -> None:
    env = deploy.env_file(FABRIC_CTRL_IP="10.0.0.300", VLLM_PORT="80000")
    result = deploy("up", "-y", env=env)
    assert_clear(result, 3, "2 problems", "FABRIC_CTRL_IP", "10.0.0.300", "VLLM_PORT", "1 to 65535")


def test_two_nodes_with_one_address(deploy: Deployment) -> None:
    head = deploy.lab.head
    ssh = deploy("up", "-y", env=deploy.env_file(WORKER_SSH_TARGETS=head.address))
    assert_clear(ssh, 3, "WORKER_SSH_TARGETS", head.address)
    fabric = deploy("up", "-y", env=deploy.env_file(WORKER_IPS=head.fabric_ip))
    assert_clear(fabric, 3, "WORKER_IPS", head.fabric_ip)


def test_profile_asks_for_more_than_there_is(deploy: Deployment) -> None:
    gpus = deploy("plan", profile=deploy.profile(engine={"tensor_parallel": 4}))
    assert_clear(gpus, 3, "engine.tensor_parallel", "one GPU on each of 2 nodes", "broken.yaml:")
    weights = deploy("plan", profile=deploy.profile(engine={"weights_gib": 400.0}))
    assert_clear(weights, 3, "engine.weights_gib", "400 GiB on 2 nodes need 200 GiB each")
    with untouched(*deploy.lab.nodes):
        memory = deploy("up", "-y", profile=deploy.profile(host={"reserve_gib": 500}))
        assert_clear(memory, 1, "memory@spark-1", "reserve 500.0 GiB", "choose a smaller model")


def test_wrong_key(deploy: Deployment, tmp_path: Path) -> None:
    key = tmp_path / "stranger"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    result = deploy("up", "-y", env=deploy.env_file(SSH_KEY_FILE=str(key)))
    assert_clear(result, 4, "refuses user nvidia", str(key), "ssh-copy-id", deploy.lab.head.address)


def test_wrong_user(deploy: Deployment) -> None:
    result = deploy("up", "-y", env=deploy.env_file(WORKER_NODE_SSH_USER="nobody-here"))
    assert_clear(result, 4, "spark-2", "refuses user nobody-here", "ssh-copy-id nobody-here@")


def test_unknown_host_key_is_not_trusted_unasked(deploy: Deployment, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    env = deploy.env_file(SSH_KNOWN_HOSTS_FILE=str(known))
    assert_clear(deploy("plan", env=env), 4, "SHA256:", "--accept-new-host-keys")
    assert not known.exists()
    assert_ok(deploy("plan", "--accept-new-host-keys", env=env))
    assert deploy.lab.head.address in known.read_text()
    assert_ok(deploy("plan", env=env))


def test_changed_host_key_is_refused_whatever_the_flag(deploy: Deployment, tmp_path: Path) -> None:
    """Somebody else's key on file for the head: what a machine in the middle looks like."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "other")], check=True)
    kind, blob, *_ = (tmp_path / "other.pub").read_text().split()
    known, head = tmp_path / "known_hosts", deploy.lab.head.address
    known.write_text(f"{head} {kind} {blob}\n")
    result = deploy("up", "-y", "--accept-new-host-keys", env=deploy.env_file(SSH_KNOWN_HOSTS_FILE=str(known)))
    assert_clear(result, 4, f"host key of {head} has changed", f"{known}:1", f"ssh-keygen -f {known} -R '{head}'")
    assert head + " " + kind + " " + blob in known.read_text()


def test_node_is_down_before(deploy: Deployment) -> None:
    """up changes nothing on the others, down takes nothing from them, status shows them."""
    lab, worker = deploy.lab, deploy.lab.worker
    assert_ok(deploy("up", "-y", "--until", "host"))
    silent = ("spark-2", worker.address, "is it switched on and on this network?")
    with untouched(*lab.nodes):
        with worker.link_down(MANAGEMENT_NIC), ThreadPoolExecutor(3) as pool:
            up, down, status = pool.map(deploy, ("up", "down", "status"))
        assert_clear(up, 4, *silent)
        assert_clear(down, 4, *silent, "nothing was removed on any node", "sparkctl down")
        assert_clear(status, 2, "spark-1", *silent)
    with nothing_left(lab):
        assert_ok(deploy("down", "-y"))
    for machine in lab.nodes:
        assert not machine.ssh(f"ls -d ~/.sparkctl/{CLUSTER}", check=False).stdout
