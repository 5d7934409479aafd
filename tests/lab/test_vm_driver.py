"""The vm driver: its machines boot, look like Sparks, keep what they have over a reboot, and leave nothing behind."""

import io
import os
import signal
import subprocess
import tarfile
import time
from pathlib import Path

import pytest
from virtual import nodes

from sparkctl.errors import SparkctlError
from sparkctl.lab import files, home, vm, vm_accel, vm_image
from sparkctl.lab.driver import NodeState
from sparkctl.lab.progress import Event
from sparkctl.lab.spec import FABRIC_NIC, MANAGEMENT_NIC, Lab
from sparkctl.lab.vm_machine import identity, machines, qemu_argv


@pytest.fixture
def paper_lab(tmp_path: Path) -> Lab:
    """A lab that is only remembered."""
    lab = Lab("papervm", "vm", 99, 16, tmp_path / "a,b")
    home.write(lab)
    return lab


def test_identity_is_complete_and_keeps_secrets_to_root(paper_lab: Lab) -> None:
    machine = machines(paper_lab)[1]
    with tarfile.open(fileobj=io.BytesIO(files.pack(identity(machine)))) as tar:
        key = tar.getmember("etc/ssh/ssh_host_ed25519_key")
        assert (key.mode, key.uid) == (0o600, 0)
        authorized = tar.getmember("home/nvidia/.ssh/authorized_keys")
        assert (authorized.mode, authorized.uid) == (0o600, 1000)
        texts = {m.name: tar.extractfile(m).read().decode() for m in tar.getmembers() if m.isfile()}
    assert texts["etc/hostname"] == "spark-2\n"
    assert "127.0.1.1 spark-2\n" in texts["etc/hosts"] and "10.99.0.2 hub.lab\n" in texts["etc/hosts"]
    assert "MTUBytes=9000" in texts[f"etc/systemd/network/10-{FABRIC_NIC}.link"]
    assert "Gateway" not in texts[f"etc/systemd/network/10-{FABRIC_NIC}.network"]
    assert "Gateway=10.99.0.1\n" in texts[f"etc/systemd/network/10-{MANAGEMENT_NIC}.network"]


def test_machines_differ_in_every_name_of_the_host(paper_lab: Lab) -> None:
    nics = [nic for machine in machines(paper_lab) for nic in machine.nics]
    assert len({nic.tap for nic in nics}) == len({nic.mac for nic in nics}) == 32
    assert max(len(nic.tap) for nic in nics) <= 15


def test_a_comma_in_a_path_is_not_an_option_for_qemu(paper_lab: Lab) -> None:
    argv = qemu_argv(machines(paper_lab)[0], vm_accel.TCG)
    drive = next(arg for arg in argv if "id=system" in arg)
    assert f"file={paper_lab.home.parent}/a,,b/vm/spark-1.qcow2," in drive


def test_stop_spares_a_process_that_has_taken_the_number(paper_lab: Lab) -> None:
    machine = machines(paper_lab)[0]
    machine.pid_file.parent.mkdir()
    with subprocess.Popen(["sleep", "60"]) as other:
        machine.pid_file.write_text(f"{other.pid}\n")
        vm.stop(machine)
        assert vm.find_process(machine) is None
        assert other.poll() is None
        other.terminate()


def test_another_architecture_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "mac", "6", "1", "aarch64")))
    with pytest.raises(SparkctlError, match="this is Linux on aarch64") as refused:
        vm.make().prepare(lambda event: None)
    assert "--driver container" in refused.value.fix


@pytest.mark.vm
def test_ready_machines_are_left_alone(vm_lab: Lab) -> None:
    assert [status.state for status in vm.make().status(vm_lab)] == [NodeState.READY] * 2
    before, events = [vm.find_process(machine) for machine in machines(vm_lab)], list[Event]()
    vm.make().up(vm_lab, events.append)
    assert [vm.find_process(machine) for machine in machines(vm_lab)] == before
    assert not [event for event in events if "KVM" in event.what]


@pytest.mark.vm
def test_looks_like_a_spark(vm_lab: Lab) -> None:
    _, worker = vm_lab.nodes
    assert _in(vm_lab, 2, "hostname; id -un; sudo -n id -un").split() == ["spark-2", "nvidia", "root"]
    links = _in(vm_lab, 2, f"ip -br -4 addr show dev {MANAGEMENT_NIC}; ip -br -4 addr show dev {FABRIC_NIC}")
    assert f"{worker.address}/24" in links and f"{worker.fabric_ip}/24" in links
    assert _in(vm_lab, 2, f"cat /sys/class/net/{FABRIC_NIC}/mtu").strip() == "9000"
    _in(vm_lab, 2, f"ping -c 5 -W 5 -M do -s 8972 -I {FABRIC_NIC} {vm_lab.nodes[0].fabric_ip}")
    assert "NVIDIA GB10" in _in(vm_lab, 2, "nvidia-smi -L")
    assert f"{FABRIC_NIC} (Up)" in _in(vm_lab, 2, "ibdev2netdev")
    assert "DGX Spark" in _in(vm_lab, 2, "cat /etc/dgx-release")


@pytest.mark.vm
def test_kernel_nfs_is_there_and_its_packages_can_be_installed_offline(vm_lab: Lab) -> None:
    _in(vm_lab, 1, "sudo modprobe nfsd && sudo modprobe nfsv4")
    assert not _in(vm_lab, 1, "command -v exportfs mount.nfs || true")
    plan = _in(vm_lab, 1, "sudo apt-get install --print-uris -qq --no-install-recommends nfs-kernel-server")
    assert {"nfs-kernel-server", "nfs-common"} <= {line.rsplit("/", 1)[1].split("_")[0] for line in plan.splitlines()}
    assert all(line.startswith("'file:") for line in plan.splitlines())


@pytest.mark.vm
def test_a_reboot_keeps_addresses_files_and_mounts(vm_lab: Lab) -> None:
    _in(vm_lab, 2, "echo '/srv /mnt none bind 0 0' | sudo tee -a /etc/fstab && echo kept | sudo tee /srv/mark")
    _in(vm_lab, 2, "echo '# another key' >>.ssh/authorized_keys")
    pid = vm.find_process(machines(vm_lab)[1])
    assert "failed" not in nodes(vm_lab)[1].reboot()
    assert vm.find_process(machines(vm_lab)[1]) == pid
    assert _in(vm_lab, 2, "cat /mnt/mark") == "kept\n"
    assert "# another key" in _in(vm_lab, 2, "cat .ssh/authorized_keys")
    assert vm_lab.nodes[1].fabric_ip in _in(vm_lab, 2, f"ip -br -4 addr show dev {FABRIC_NIC}")


@pytest.mark.vm
def test_up_starts_a_machine_whose_qemu_was_killed(vm_lab: Lab) -> None:
    _in(vm_lab, 1, "echo kept | sudo tee /srv/mark && sync")
    pid = vm.find_process(machines(vm_lab)[0])
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    while vm.find_process(machines(vm_lab)[0]):
        time.sleep(0.05)
    assert vm.make().status(vm_lab)[0].state is NodeState.STOPPED
    vm.make().up(vm_lab, _ignore)
    assert [status.state for status in vm.make().status(vm_lab)] == [NodeState.READY] * 2
    assert _in(vm_lab, 1, "cat /srv/mark") == "kept\n"


@pytest.mark.vm
def test_an_accelerator_is_judged_by_a_machine_that_boots() -> None:
    image = vm_image.make(_ignore)
    assert vm_accel.try_out(vm_accel.TCG, image, 300) == ""
    assert "invalid accelerator" in vm_accel.try_out(vm_accel.Accelerator("none-such", "max"), image, 300)
    assert "does not start within" in vm_accel.try_out(vm_accel.TCG, image, 0.1)


def _ignore(event: Event) -> None:
    """Nobody reads the progress of a test."""


def _in(lab: Lab, number: int, command: str) -> str:
    """What a command prints on spark-<number>; it must succeed."""
    return nodes(lab)[number - 1].ssh(command)
