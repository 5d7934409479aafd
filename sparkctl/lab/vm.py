"""The second driver: a node is a QEMU machine with a kernel of its own, for kernel NFS, mounts and reboots."""

import os
import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sparkctl.errors import SparkctlError
from sparkctl.lab import files, host, login, vm_accel, vm_image, vm_taps
from sparkctl.lab.driver import NodeState, NodeStatus
from sparkctl.lab.progress import Report, stage
from sparkctl.lab.spec import Lab
from sparkctl.lab.vm_accel import QEMU, Accelerator
from sparkctl.lab.vm_machine import Machine, folder, identity, image, machines, qemu_argv

BOOT_LIMIT = 300.0
"""Seconds that a machine may take from start to `docker info`; about 25 emulated on two idle cores."""
_STOP_LIMIT = 10.0
_PATIENCE = 20.0
"""Seconds for each part of a look at a machine: emulated on a busy host, the keys alone take more than three."""


class VmDriver:
    """Nodes as processes of QEMU."""

    def prepare(self, report: Report) -> None:
        """Install QEMU where it is missing, and make the image."""
        _require_host()
        host.ensure_command(QEMU, ("qemu-system-x86",), report)
        host.ensure_command("qemu-img", ("qemu-utils",), report)
        host.ensure_command("ip", ("iproute2",), report)
        vm_image.make(report)

    def up(self, lab: Lab, report: Report) -> None:
        """Make missing machines, start stopped ones, wait for SSH and `docker info` of all."""
        _link(vm_image.make(report), lab)
        every = machines(lab)
        stopped = [machine for machine in every if find_process(machine) is None]
        if stopped:
            accelerator = vm_accel.choose(image(lab), report)
            for machine in stopped:
                _start(machine, accelerator)
        with stage(report, f"boot {', '.join(node.name for node in lab.nodes)}"), ThreadPoolExecutor() as pool:
            list(pool.map(_wait, every))

    def status(self, lab: Lab) -> tuple[NodeStatus, ...]:
        """Every machine, as its process and SSH tell."""
        with ThreadPoolExecutor() as pool:
            return tuple(pool.map(_look, machines(lab)))

    def down(self, lab: Lab) -> None:
        """End the QEMU processes of this lab, remove their taps and disks."""
        for machine in machines(lab):
            stop(machine)
            vm_taps.remove(machine)
        shutil.rmtree(folder(lab), ignore_errors=True)

    def drop_images(self) -> None:
        """Remove the image from the cache."""
        vm_image.drop()


def make() -> VmDriver:
    """The driver."""
    return VmDriver()


def find_process(machine: Machine) -> int | None:
    """The id of the machine's QEMU, or None. A pid file that outlived its process is seen through."""
    try:
        pid = int(machine.pid_file.read_text())
        argv = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return pid if str(machine.pid_file).encode() in argv or _is_ending(Path(f"/proc/{pid}")) else None
    except (OSError, ValueError):
        return None


def _is_ending(process: Path) -> bool:
    """Whether this is a QEMU that has lost its memory, and so its arguments, but still holds its disk and taps.

    What its parent has not asked after (a zombie without threads) holds nothing. Raises OSError when it is gone.
    """
    name, _, rest = (process / "stat").read_text().partition("(")[2].rpartition(") ")
    empty = not (process / "cmdline").read_bytes()
    threads = len(list((process / "task").iterdir()))
    return name == QEMU[:15] and empty and (rest[0] != "Z" or threads > 1)


def stop(machine: Machine) -> None:
    """End the machine as if its power failed; nothing to end is fine. Raises SparkctlError when it cannot be ended."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        pid = find_process(machine)
        if pid is None:
            return
        os.kill(pid, number)
        deadline = time.monotonic() + _STOP_LIMIT
        while find_process(machine) is not None and time.monotonic() < deadline:
            time.sleep(0.05)
    if find_process(machine) is not None:
        raise SparkctlError(f"QEMU (process {pid}) does not end", where=machine.node.name, fix=f"kill -9 {pid}")


def _require_host() -> None:
    system = os.uname()
    if (system.sysname, system.machine) != ("Linux", "x86_64"):
        raise SparkctlError(
            f"virtual machines of the lab need Linux on x86_64; this is {system.sysname} on {system.machine}",
            where="lab",
            fix="use the containers: sparkctl lab up --driver container",
        )


def _link(made: vm_image.Image, lab: Lab) -> None:
    """Give the lab its own name for the image, without a copy where the file system can."""
    folder(lab).mkdir(parents=True, exist_ok=True, mode=0o700)
    for path in (made.kernel, made.initrd, made.disk):
        target = folder(lab) / path.name
        if target.exists():
            continue
        try:
            os.link(path, target)
        except OSError:
            partial = target.with_suffix(".partial")
            _call(["cp", "--sparse=always", "--", str(path), str(partial)], lab, str(target))
            partial.rename(target)


def _start(machine: Machine, accelerator: Accelerator) -> None:
    if not machine.disk.exists():
        _create(machine)
    for nic in machine.nics:
        vm_taps.attach(nic)
    _call(qemu_argv(machine, accelerator), machine.lab, machine.node.name)


def _create(machine: Machine) -> None:
    """The disk comes last, and at once: it says that the machine is complete."""
    machine.identity.touch(mode=0o600)
    machine.identity.write_bytes(files.pack(identity(machine)))
    partial = machine.disk.with_suffix(".partial")
    base = str(image(machine.lab).disk)
    argv = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", str(partial)]
    _call(argv, machine.lab, machine.node.name)
    partial.rename(machine.disk)


def _call(argv: list[str], lab: Lab, where: str) -> None:
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SparkctlError(
            f"{argv[0]} ended with status {done.returncode}",
            where=where,
            fix=f"see its output; then: sparkctl lab down --name {lab.name}, and lab up again",
            output=done.stderr.strip(),
        )


def _wait(machine: Machine) -> None:
    deadline = time.monotonic() + BOOT_LIMIT
    while trouble := login.try_docker(machine.lab, machine.node, _PATIENCE):
        if find_process(machine) is None:
            trouble = "its QEMU has ended"
        elif time.monotonic() < deadline:
            time.sleep(0.5)
            continue
        raise SparkctlError(
            f"the machine does not become ready: {trouble}",
            where=machine.node.name,
            fix=f"read its console: {machine.console}",
            output="\n".join(machine.console.read_text(errors="replace").splitlines()[-15:]),
        )


def _look(machine: Machine) -> NodeStatus:
    if not machine.disk.exists():
        return NodeStatus(machine.node, NodeState.ABSENT)
    if find_process(machine) is None:
        return NodeStatus(machine.node, NodeState.STOPPED, "its QEMU does not run")
    trouble = login.try_docker(machine.lab, machine.node, _PATIENCE)
    return NodeStatus(machine.node, NodeState.BOOTING if trouble else NodeState.READY, trouble)
