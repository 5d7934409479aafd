"""Taps: the ends, on this machine, of the NICs of virtual machines. They are ports of the lab's bridges."""

import os
from pathlib import Path

from sparkctl.lab import host
from sparkctl.lab.vm_machine import Machine, Nic

_INTERFACES = Path("/sys/class/net")


def attach(nic: Nic) -> None:
    """Make the tap where it is missing, open to this user, and plug it into its bridge. Raises SparkctlError."""
    interface = _INTERFACES / nic.tap
    if not interface.exists():
        _ip("tuntap", "add", "dev", nic.tap, "mode", "tap", "user", str(os.getuid()))
    if (interface / "master").resolve().name != nic.bridge:
        _ip("link", "set", "dev", nic.tap, "mtu", str(nic.mtu), "master", nic.bridge, "up")


def remove(machine: Machine) -> None:
    """Remove the machine's taps, as far as they are there. Raises SparkctlError."""
    for nic in machine.nics:
        if (_INTERFACES / nic.tap / "tun_flags").exists():
            _ip("link", "delete", "dev", nic.tap)


def _ip(*arguments: str) -> None:
    host.run_as_root(["ip", *arguments])
