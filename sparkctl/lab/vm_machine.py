"""One virtual machine: where its files are, what its disk says of it, and how QEMU is started for it. Pure data."""

import os
import uuid
from dataclasses import dataclass
from pathlib import Path

from sparkctl.lab import home
from sparkctl.lab.files import File
from sparkctl.lab.spec import FABRIC_MTU, FABRIC_NIC, MANAGEMENT_NIC, USER, Lab, LabNode
from sparkctl.lab.vm_accel import QEMU, Accelerator
from sparkctl.lab.vm_image import Image

MEMORY = 2048
"""MiB of each machine: a Docker engine and small containers."""
_MAX_CPUS = 4
_UID = 1000
_KERNEL = "console=ttyS0 quiet mitigations=off apparmor=0 audit=0 random.trust_cpu=on"


@dataclass(frozen=True)
class Nic:
    """A NIC of a machine: `tap` is its end on this machine, a port of `bridge`. `mtu` in bytes."""

    name: str
    mac: str
    tap: str
    bridge: str
    address: str
    mtu: int


@dataclass(frozen=True)
class Machine:
    """A node of a lab as QEMU sees it. `index` counts from 1."""

    lab: Lab
    node: LabNode
    index: int

    @property
    def disk(self) -> Path:
        """What the machine has written: a qcow2 layer over the lab's image. The machine exists when this does."""
        return self._file("qcow2")

    @property
    def identity(self) -> Path:
        """The tar archive that the first boot unpacks; holds the private host key."""
        return self._file("tar")

    @property
    def pid_file(self) -> Path:
        """Written by QEMU."""
        return self._file("pid")

    @property
    def console(self) -> Path:
        """What kernel and systemd have printed since QEMU was started."""
        return self._file("console")

    @property
    def nics(self) -> tuple[Nic, Nic]:
        """Management and fabric. Hardware addresses are in QEMU's own range, tap names have 15 bytes at most."""
        lab, mac = self.lab, f"52:54:00:{self.lab.octet:02x}:{{}}:{self.index:02x}"
        management = (lab.management_bridge, self.node.address, 1500)
        fabric = (lab.fabric_bridge, self.node.fabric_ip, FABRIC_MTU)
        return (
            Nic(MANAGEMENT_NIC, mac.format("00"), f"{management[0]}{self.index}", *management),
            Nic(FABRIC_NIC, mac.format("01"), f"{fabric[0]}{self.index}", *fabric),
        )

    def _file(self, suffix: str) -> Path:
        return folder(self.lab) / f"{self.node.name}.{suffix}"


def folder(lab: Lab) -> Path:
    """Where all files of the machines of a lab are."""
    return lab.home.absolute() / "vm"


def image(lab: Lab) -> Image:
    """The lab's own links to the image that its machines were made from: the cache may be emptied meanwhile."""
    return Image(folder(lab))


def machines(lab: Lab) -> tuple[Machine, ...]:
    """The machines of a lab in rank order."""
    return tuple(Machine(lab, node, index) for index, node in enumerate(lab.nodes, 1))


def identity(machine: Machine) -> list[File]:
    """All that tells this machine from the others."""
    lab, name = machine.lab, machine.node.name
    private = lab.host_keys / name
    hosts = {"localhost": "127.0.0.1", name: "127.0.1.1", **lab.names}
    machine_id = uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.{lab.name}.{lab.octet}").hex
    keys = f"{home.public_key(lab)}\n".encode()
    return [
        File("/etc/hostname", f"{name}\n".encode()),
        File("/etc/hosts", "".join(f"{address} {host}\n" for host, address in hosts.items()).encode()),
        File("/etc/machine-id", f"{machine_id}\n".encode()),
        File("/etc/ssh/ssh_host_ed25519_key", private.read_bytes(), mode=0o600),
        File("/etc/ssh/ssh_host_ed25519_key.pub", private.with_name(f"{name}.pub").read_bytes()),
        File(f"/home/{USER}/.ssh/authorized_keys", keys, mode=0o600, owner=_UID, private=True),
        *(file for nic in machine.nics for file in _network(nic, lab.gateway)),
    ]


def _network(nic: Nic, gateway: str) -> list[File]:
    """The files that make udev name a NIC and systemd-networkd address it."""
    link = f"[Match]\nMACAddress={nic.mac}\n\n[Link]\nName={nic.name}\nMTUBytes={nic.mtu}\n"
    network = f"[Match]\nName={nic.name}\n\n[Network]\nAddress={nic.address}/24\nLinkLocalAddressing=no\n"
    if nic.name == MANAGEMENT_NIC:
        network += f"Gateway={gateway}\n"
    path = f"/etc/systemd/network/10-{nic.name}"
    return [File(f"{path}.link", link.encode()), File(f"{path}.network", network.encode())]


def qemu_argv(machine: Machine, accelerator: Accelerator) -> list[str]:
    """The command that starts the machine; it returns when the machine runs, or ends non-zero."""
    boot, lab = image(machine.lab), machine.lab
    cpus = max(1, min(_MAX_CPUS, (os.cpu_count() or 1) // lab.size))
    argv = [QEMU, "-name", lab.resource(machine.node.name), "-daemonize", "-pidfile", str(machine.pid_file)]
    argv += ["-machine", "q35", "-accel", accelerator.accel, "-cpu", accelerator.cpu]
    argv += ["-smp", str(cpus), "-m", str(MEMORY), "-nodefaults", "-no-user-config", "-display", "none"]
    argv += ["-chardev", f"file,id=console,path={_quote(machine.console)}", "-serial", "chardev:console"]
    argv += ["-kernel", str(boot.kernel), "-initrd", str(boot.initrd), "-append", _KERNEL]
    argv += _drive("system", machine.disk, "qcow2,cache=unsafe")
    argv += _drive("identity", machine.identity, "raw,readonly=on")
    for number, nic in enumerate(machine.nics):
        argv += ["-netdev", f"tap,id=net{number},ifname={nic.tap},script=no,downscript=no"]
        argv += ["-device", f"virtio-net-pci,netdev=net{number},mac={nic.mac},host_mtu={nic.mtu}"]
    return argv


def _drive(name: str, path: Path, form: str) -> list[str]:
    """The guest sees drives as /dev/vda, /dev/vdb in this order."""
    drive = f"if=none,id={name},file={_quote(path)},format={form}"
    return ["-drive", drive, "-device", f"virtio-blk-pci,drive={name}"]


def _quote(path: Path) -> str:
    """QEMU doubles a comma inside of a value."""
    return str(path).replace(",", ",,")
