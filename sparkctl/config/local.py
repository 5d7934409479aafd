"""The text of unified-config.local.env as `sparkctl init` writes it, and the writing."""

import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sparkctl.config.discovery import Fabric

_HEAD = "# Written by: sparkctl init. Values here win over those of unified-config.env; empty means the default.\n"
_SET = re.compile(r"^\s*(?:export\s+)?([A-Za-z_]\w*)\s*=", re.MULTILINE)
_SECRETS = "# Secrets, where they are needed. This file is for you alone (mode 0600).\n#HF_TOKEN=\n#NGC_API_KEY=\n"


@dataclass(frozen=True)
class Login:
    """How a node is reached: `target` is [user@]host[:port], `user` the login where the target names none."""

    target: str
    user: str


def text(api_ip: str, head: Login, workers: Sequence[Login], fabric: Fabric | None) -> str:
    """The file. Without a `fabric`, its addresses stay those of unified-config.env."""
    return (
        _HEAD
        + "\n"
        + _lines(_management(api_ip, head, workers))
        + "\n"
        + _lines(_fabric(workers, fabric))
        + "\n"
        + _SECRETS
    )


def kept(old: str, new: str) -> str:
    """The lines of an old file that set what the new one does not, under a heading; empty where there are none."""
    again = {match[1] for match in _SET.finditer(new)}
    lines = [line for line in old.splitlines() if (match := _SET.match(line)) and match[1] not in again]
    return "\n# Kept from before.\n" + "".join(f"{line}\n" for line in lines) if lines else ""


def _management(api_ip: str, head: Login, workers: Sequence[Login]) -> dict[str, str]:
    targets, users = [worker.target for worker in workers], {worker.user for worker in workers if worker.user}
    one = len(workers) == 1
    return {
        "CONTROL_PLANE_API_IP": api_ip,
        "HEAD_SSH_TARGET": "" if head.target == api_ip else head.target,
        "HEAD_SSH_USER": head.user,
        "WORKER_NODE_SSH_TARGET": targets[0] if one else "",
        "WORKER_SSH_TARGETS": "" if one else ",".join(targets),
        "WORKER_NODE_SSH_USER": min(users, default=""),
    }


def _fabric(workers: Sequence[Login], fabric: Fabric | None) -> dict[str, str]:
    if not workers:
        return {"WORKER_NODE_IP": "", "WORKER_IPS": ""}
    if not fabric:
        return {}
    head_ip, *ips = fabric.addresses
    one = len(ips) == 1
    return {
        "FABRIC_CTRL_IP": head_ip,
        "FABRIC_CTRL_INTERFACE": fabric.interface,
        "FABRIC_CTRL_CIDR": "/24",
        "WORKER_NODE_IP": ips[0] if one else "",
        "WORKER_IPS": "" if one else ",".join(ips),
        "WORKER_NODE_INTERFACE": fabric.interface,
    }


def _lines(values: Mapping[str, str]) -> str:
    return "".join(f"{name}={value}\n" for name, value in values.items())


def write(path: Path, content: str) -> None:
    """Put the file in place at once, mode 0600. Raises OSError."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(content)
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
