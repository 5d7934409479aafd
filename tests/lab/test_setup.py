"""`sparkctl setup` on nodes that lack everything, on a network that cuts itself off, and all the way back."""

import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from admin import Admin, write_profile
from machines import Machine, TestLab
from snapshot import Snapshot, differences, take

from sparkctl.lab.spec import FABRIC_NIC, MANAGEMENT_NIC, USER

SECOND_NIC = "enP2p1s0f1np1"
PASSWORD = "to-be-asked-once"
ENGINE = "/etc/docker/daemon.json"
RULE = "/etc/sudoers.d/90-nvidia"
WRAPPER = "/usr/local/sbin/netplan"
RESTART = "systemctl reset-failed docker.socket docker.service || true; systemctl restart docker"

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def bare(lab: TestLab) -> Iterator[None]:
    """Nodes as out of the box, and worse: sudo asks, the login is not in the group docker, Docker knows no GPU.

    Both halves of the port are cabled, and the second one has no address.
    """
    with second_half(lab), without_rights(lab):
        yield


@pytest.fixture
def admin(lab: TestLab, tmp_path: Path) -> Admin[TestLab]:
    return Admin(lab, tmp_path, env={"SPARKCTL_SUDO_PASSWORD": PASSWORD})


@contextmanager
def second_half(lab: TestLab) -> Iterator[None]:
    """A second cable between the first two nodes."""
    for machine in lab.nodes:
        machine.container.reload()  # an earlier test may have taken its power: it is another process now
    ends = [(str(machine.container.attrs["State"]["Pid"]), machine) for machine in lab.nodes[:2]]
    (first, _), (second, _) = ends
    pair = ("type", "veth", "peer", "name", SECOND_NIC, "mtu", "9000", "netns", second)
    as_root("ip", "link", "add", SECOND_NIC, "mtu", "9000", "netns", first, *pair)
    try:
        for _, machine in ends:
            machine.root("ip", "link", "set", SECOND_NIC, "up")
        yield
    finally:
        lab.head.root("ip", "link", "del", SECOND_NIC)


def as_root(*argv: str) -> None:
    """On this machine, where the containers' network namespaces are."""
    subprocess.run([*(() if os.geteuid() == 0 else ("sudo", "-n")), *argv], check=True)


@contextmanager
def without_rights(lab: TestLab) -> Iterator[None]:
    """Take away what an image of the lab gives in advance."""
    for machine in lab.nodes:
        script = f"""
cp -p {ENGINE} /root/engine.json; cp -p {RULE} /root/rule; cp -p /etc/shadow /root/shadow
echo '{USER}:{PASSWORD}' | chpasswd
echo '{USER} ALL=(ALL) ALL' >{RULE}
gpasswd -d {USER} docker
printf '{{"insecure-registries": ["registry.lab:5000"]}}' >{ENGINE}
{RESTART}
"""
        machine.root("bash", "-ec", script)
    try:
        yield
    finally:
        for machine in lab.nodes:
            back = f"mv /root/engine.json {ENGINE}; mv /root/rule {RULE}; mv /root/shadow /etc/shadow"
            machine.root("bash", "-ec", f"{back}; usermod -aG docker {USER}; {RESTART}")
            machine.wait()


def outcomes(document: dict[str, object]) -> dict[str, str]:
    """What became of each step, by its id."""
    run = document["run"]
    assert isinstance(run, dict)
    return {step["id"]: step["outcome"] for step in run["steps"]}


def look(lab: TestLab) -> list[Snapshot]:
    """The machines, but for who ran sparkctl last, for sudo's own mark of a first password, and for Docker's networks.

    Those a restart of Docker makes anew.
    """
    others = (f"/run/lock/sparkctl-{lab.lab.name}.lock", f"/home/{USER}/.sudo_as_admin_successful")
    return [take(machine).without(*others).less("networks") for machine in lab.nodes]


def network(machine: Machine) -> str:
    """Addresses and routes."""
    return machine.root("bash", "-c", "ip -br -4 addr; ip route; ls /etc/netplan")


def test_bare_nodes_are_made_ready_and_given_back(lab: TestLab, admin: Admin[TestLab], bare: None) -> None:
    before = look(lab)
    done = outcomes(admin.json("setup", "--sudoers", "--yes"))
    nodes = [machine.name for machine in lab.nodes]
    changed = ("sudoers", "state", "docker", "toolkit", "netplan", "ssh-key")
    wished = {f"{step}@{node}" for step in changed for node in nodes}
    wished |= {f"ssh-trust-{a}@{b}" for a in nodes for b in nodes if a != b}
    assert {key for key in wished if done.get(key) != "changed"} == set()
    assert admin.json("setup", "--sudoers", "--yes")["result"] == "no changes"
    _works(lab)
    for machine in lab.nodes:
        assert PASSWORD not in machine.root("journalctl", "-q", "--no-pager", "--boot")
    admin.json("setup", "--undo", "--purge", "--yes")
    assert differences(before, look(lab)) == []


def _works(lab: TestLab) -> None:
    """What the steps say, seen from outside."""
    head, worker = lab.head, lab.worker
    for machine, peer in ((head, worker), (worker, head)):
        assert "docker" in machine.ssh("id -nG").stdout.split()
        assert "nvidia" in machine.ssh("docker info -f '{{json .Runtimes}}'").stdout
        machine.ssh("sudo -n visudo -cq")
        assert machine.root("stat", "-c", "%a %U", "/etc/netplan/40-sparkctl.yaml").strip() == "600 root"
        state = f"~/.sparkctl/{lab.lab.name}.setup"
        ssh = f"ssh -F none -o BatchMode=yes -o UserKnownHostsFile={state}/known_hosts -i {state}/id_ed25519"
        assert machine.ssh(f"{ssh} {peer.fabric_ip} hostname").stdout.strip() == peer.name
        for nic, address in ((FABRIC_NIC, peer.fabric_ip), (SECOND_NIC, _second(peer))):
            machine.ssh(f"ping -c 1 -W 2 -M do -s 8972 -I {nic} {address}")


def _second(machine: Machine) -> str:
    """The address of the second half: the next subnet."""
    one, two, three, four = machine.fabric_ip.split(".")
    return f"{one}.{two}.{int(three) + 1}.{four}"


def test_a_netplan_that_cuts_the_node_off_is_taken_back(
    lab: TestLab, admin: Admin[TestLab], bare: None, tmp_path: Path
) -> None:
    # The second half takes the laptop's part of the management network: answers leave by the wrong cable.
    management = re.sub(r"\.\d+$", ".0/28", lab.head.address)
    cut = {"netplan": {"second_subnet": management, "confirm_s": 8}}
    profile = write_profile(tmp_path, "cut", setup=cut)
    before = [network(machine) for machine in lab.nodes]
    try:
        said = admin.serving(profile)("setup", "--sudoers", "--yes", code=1).text
        assert "spark-1 did not answer over SSH within 8 s of its new netplan, so it went back to what it had" in said
        assert "no fabric address may belong to the network by which you reach the node" in said
        assert "netplan@spark-2" not in said.partition("Plan:")[2], "the worker is not cut off, too"
        assert [network(machine) for machine in lab.nodes] == before
        assert _left_over(lab.head) == ""
    finally:
        admin("setup", "--undo", "--purge", "--yes")


def test_a_netplan_that_cannot_be_applied_goes_back_before_its_time(
    lab: TestLab, admin: Admin[TestLab], bare: None, tmp_path: Path
) -> None:
    profile = write_profile(tmp_path, "refused", setup={"netplan": {"confirm_s": 300}})
    before = [network(machine) for machine in lab.nodes]
    broken = 'if [ "$1" = apply ]; then echo "no such renderer" >&2; exit 1; fi; exec /usr/sbin/netplan "$@"'
    lab.head.root("install", "-m", "755", "/dev/null", WRAPPER)
    lab.head.root("bash", "-c", f'printf "#!/bin/sh\\n%s\\n" "$0" >{WRAPPER}', broken)
    try:
        began = time.monotonic()
        said = admin.serving(profile)("setup", "--sudoers", "--yes", code=1).text
        assert time.monotonic() < began + 300, "nobody waits for the timer"
        assert "netplan failed on spark-1, which went back to what it had" in said and "no such renderer" in said
        assert [network(machine) for machine in lab.nodes] == before
        assert _left_over(lab.head) == ""
    finally:
        lab.head.root("rm", WRAPPER)
        admin("setup", "--undo", "--purge", "--yes")


def _left_over(machine: Machine) -> str:
    """Of a change of netplan that was not kept."""
    return machine.root(
        "bash", "-c", "ls /run | grep sparkctl; systemctl list-units | grep sparkctl-netplan", check=False
    )


def test_a_laptop_that_vanishes_leaves_the_network_as_it_was(
    lab: TestLab, admin: Admin[TestLab], bare: None, tmp_path: Path
) -> None:
    profile = write_profile(tmp_path, "vanish", setup={"netplan": {"confirm_s": 8}})
    before = [network(machine) for machine in lab.nodes]
    argv = admin.serving(profile).argv("setup", "--sudoers", "--yes")
    try:
        with subprocess.Popen(argv, env=admin.environment, cwd=admin.home, stdout=subprocess.DEVNULL) as laptop:
            until(lambda: "sparkctl-netplan-back" in _timers(lab.head))
            laptop.kill()
        until(lambda: "sparkctl-netplan-back" not in _timers(lab.head))
        until(lambda: [network(machine) for machine in lab.nodes] == before)
    finally:
        admin("setup", "--undo", "--purge", "--yes")


def _timers(machine: Machine) -> str:
    return machine.root("systemctl", "list-units", "--no-legend", "sparkctl-*")


def until(seen: Callable[[], bool], limit: float = 90) -> None:
    """Return once something is seen."""
    deadline = time.monotonic() + limit
    while not seen():
        assert time.monotonic() < deadline, f"not seen within {limit} s"
        time.sleep(0.2)


def test_the_network_by_which_a_node_is_reached_is_left_alone(
    lab: TestLab, admin: Admin[TestLab], tmp_path: Path
) -> None:
    profile = write_profile(tmp_path, "entry", setup={"netplan": {"interfaces": [MANAGEMENT_NIC]}})
    said = admin.serving(profile)("setup", "--dry-run", code=1).text
    assert f"{MANAGEMENT_NIC} is how spark-1 is reached ({lab.head.address}); its address must stay" in said
