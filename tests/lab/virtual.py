"""The machines of a lab of the driver vm as tests see them, and such a lab made by the program itself."""

import io
import os
import shlex
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker
from admin import PROGRAM

from sparkctl.lab import depot, host, lifecycle, login, vm
from sparkctl.lab.spec import REGISTRY_NAME, REGISTRY_PORT, Lab, LabNode
from sparkctl.lab.vm_machine import folder, machines

NAME = "vmtest"
BOOT_LIMIT = 600.0


@dataclass(frozen=True)
class VirtualMachine:
    """One node: a machine with a kernel of its own."""

    lab: Lab
    node: LabNode

    @property
    def name(self) -> str:
        return self.node.name

    @property
    def fabric_ip(self) -> str:
        return self.node.fabric_ip

    def ssh(self, command: str, *, timeout: float = 300) -> str:
        """What a shell command prints, run as the user of the node; it must succeed."""
        argv = [*login.ssh_argv(self.lab, self.node), command]
        done = subprocess.run(
            argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=timeout, check=False
        )
        assert done.returncode == 0, f"{self.name}: {command} ended with {done.returncode}: {done.stderr}"
        return done.stdout

    def root(self, script: str, *, timeout: float = 300) -> str:
        """What a shell script prints, run as root; it must succeed."""
        return self.ssh(shlex.join(("sudo", "-n", "bash", "-euc", script)), timeout=timeout)

    def reboot(self) -> str:
        """Restart, and return what the order printed once another boot answers."""
        before = self._try("cat /proc/sys/kernel/random/boot_id")
        said = self._try("sudo -n systemctl reboot 2>&1")
        deadline = time.monotonic() + BOOT_LIMIT
        while self._try("cat /proc/sys/kernel/random/boot_id") in ("", before):
            assert time.monotonic() < deadline, f"{self.name} has not come back within {BOOT_LIMIT:.0f} s"
            time.sleep(0.5)
        return said

    def _try(self, command: str) -> str:
        """What a command prints; empty while nobody answers."""
        patience = ("-o", "ConnectTimeout=20", "-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=6")
        client, *where = login.ssh_argv(self.lab, self.node)
        argv = [client, *patience, *where, command]
        return subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False).stdout


def nodes(lab: Lab) -> tuple[VirtualMachine, ...]:
    """The head and its workers."""
    return tuple(VirtualMachine(lab, node) for node in lab.nodes)


@contextmanager
def running() -> Iterator[Lab]:
    """Two machines, booted by the program and taken away by it; nothing of them stays.

    SPARKCTL_TEST_VM_LAB names a running lab to use instead, which is left as it is.
    """
    if name := os.environ.get("SPARKCTL_TEST_VM_LAB"):
        yield lifecycle.find(name)
        return
    try:
        _call("lab", "up", "--driver", "vm", "--name", NAME)
        lab = lifecycle.find(NAME)
        left = _remains(lab)
        yield lab
    finally:
        _call("lab", "down", "--name", NAME)
    assert [trace for trace, is_there in left if is_there()] == []


def publish_small_image(lab: Lab) -> str:
    """An engine image of two megabytes in the lab's registry: emulated machines take minutes to unpack a real one."""
    name, tag = "sparklab/small", "1"
    client = docker.from_env(timeout=host.CALL_LIMIT)
    try:
        client.api.import_image_from_data(_small_image(), repository=name, tag=tag)
        depot.publish(client, lab, f"{name}:{tag}", name, tag, lambda event: None)
    finally:
        client.images.remove(f"{name}:{tag}")
        client.close()
    return f"{REGISTRY_NAME}:{REGISTRY_PORT}/{name}:{tag}"


def _small_image() -> bytes:
    """A root file system for `docker import`: busybox, and a vllm that knows its version."""
    scripts = {"bin/bash": '#!/bin/sh\nexec /bin/busybox sh "$@"\n', "bin/vllm": "#!/bin/sh\necho 0.32.0\n"}
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        tar.add("/bin/busybox", "bin/busybox")
        for name in ("sh", "tail"):
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        for path, text in scripts.items():
            script = tarfile.TarInfo(path)
            script.mode, script.size = 0o755, len(text)
            tar.addfile(script, io.BytesIO(text.encode()))
    return data.getvalue()


def _call(*arguments: str) -> None:
    done = subprocess.run([str(PROGRAM), *arguments], stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0, arguments


def _remains(lab: Lab) -> list[tuple[str, Callable[[], bool]]]:
    """What the lab is made of, each with the way to tell whether it is still there."""
    found: list[tuple[str, Callable[[], bool]]] = [(str(folder(lab)), folder(lab).exists)]
    for machine in machines(lab):
        pid = vm.find_process(machine)
        found.append((f"process {pid}", lambda path=Path(f"/proc/{pid}/cmdline"): _has_arguments(path)))
        found += [(nic.tap, Path("/sys/class/net", nic.tap).exists) for nic in machine.nics]
    return found


def _has_arguments(path: Path) -> bool:
    """Whether a process runs; one that has ended has none, also when nobody has asked after it yet."""
    try:
        return bool(path.read_bytes())
    except FileNotFoundError:
        return False
