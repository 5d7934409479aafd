"""KVM or software emulation: decided by booting a machine, since /dev/kvm may be there and not work."""

import subprocess
from dataclasses import dataclass

from sparkctl.lab.progress import Event, Report
from sparkctl.lab.vm_image import Image

QEMU = "qemu-system-x86_64"
TRIAL_LIMIT = 15.0
"""Seconds that the trial machine may take; under a working KVM it is done in about one."""
_MARK = b"lab.probe: the machine runs"


@dataclass(frozen=True)
class Accelerator:
    """What QEMU is told of it."""

    accel: str
    cpu: str


KVM = Accelerator("kvm", "host")
TCG = Accelerator("tcg,thread=multi,tb-size=512", "max")


def choose(image: Image, report: Report) -> Accelerator:
    """KVM where a machine really runs with it, else TCG, QEMU's emulation; says so in that case."""
    trouble = try_out(KVM, image, TRIAL_LIMIT)
    if not trouble:
        return KVM
    report(Event(f"no KVM ({trouble}): the machines are emulated in software, and slow"))
    return TCG


def try_out(accelerator: Accelerator, image: Image, limit: float) -> str:
    """Boot kernel and initial RAM disk as far as their first program; empty when it ran, else what went wrong."""
    argv = [QEMU, "-machine", "q35", "-accel", accelerator.accel, "-cpu", accelerator.cpu, "-m", "256"]
    argv += ["-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio", "-no-reboot"]
    argv += ["-kernel", str(image.kernel), "-initrd", str(image.initrd), "-append", "console=ttyS0 quiet lab.probe"]
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        return f"a machine does not start within {limit:.0f} s"
    if _MARK in done.stdout:
        return ""
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    return lines[0].removeprefix(f"{QEMU}: ") if lines else f"QEMU ended with status {done.returncode}"
