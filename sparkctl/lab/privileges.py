"""What a container needs to be a machine: --privileged, or as much of it as this kernel lets go of."""

from pathlib import Path
from typing import Any

_NAMES = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE "
    "NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT "
    "SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL "
    "SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
)
CAPABILITIES = tuple(_NAMES.split())
"""By bit number, see capabilities(7)."""


def withheld(bounding: int, last: int) -> tuple[str, ...]:
    """The capabilities up to bit `last` that a bounding set lacks."""
    return tuple(name for i, name in enumerate(CAPABILITIES) if i <= last and not bounding >> i & 1)


def withheld_here() -> tuple[str, ...]:
    """The capabilities that this machine gives to nobody, as far as our own bounding set tells."""
    status = Path("/proc/self/status").read_text()
    bounding = int(status.split("CapBnd:")[1].split()[0], 16)
    return withheld(bounding, int(Path("/proc/sys/kernel/cap_last_cap").read_text()))


def host_config(missing: tuple[str, ...]) -> dict[str, Any]:
    """Arguments of `create_host_config` for a container that is a machine.

    `--privileged` asks for every capability, and the engine refuses to start it where the kernel withholds one.
    """
    if not missing:
        return {"privileged": True}
    return {
        "cap_add": ["ALL"],
        "cap_drop": list(missing),
        "security_opt": ["seccomp=unconfined", "apparmor=unconfined"],
        "device_cgroup_rules": ["a *:* rwm"],
        "devices": ["/dev/fuse:/dev/fuse:rwm", "/dev/net/tun:/dev/net/tun:rwm"],
    }


def unmask(config: dict[str, Any]) -> dict[str, Any]:
    """The same host configuration with all of /proc and /sys in reach, for which the SDK has no argument."""
    return {**config, "MaskedPaths": [], "ReadonlyPaths": []}
