"""unified-config.local.env as `sparkctl init` writes it, the nodes that it names, and the writing."""

import io
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sparkctl.config.discovery import Fabric
from sparkctl.config.laptop import login_name
from sparkctl.config.nodes import UserOn
from sparkctl.config.values import parse_target
from sparkctl.topology import Cluster, Node, Role

LISTS = ("WORKER_IPS", "WORKER_NODE_NAMES")
"""Lists with one item for each worker; what they hold may stay where their length fits."""
Values = Mapping[str, str | None]
"""Name to value: an empty one hides what a lower layer says, None is not set at all."""
_HEAD = "# Written by: sparkctl init. Values here win over those of unified-config.env; empty means the default.\n"
_SET = re.compile(r"\s*(?:export\s+)?([A-Za-z_]\w*)\s*=")
_SECRETS = "# Secrets, where they are needed. This file is for you alone (mode 0600).\n#HF_TOKEN=\n#NGC_API_KEY=\n"


@dataclass(frozen=True)
class Login:
    """How a node is reached: `target` is [user@]host[:port], `user` the login where the target names none."""

    target: str
    user: str


def cluster(logins: Sequence[Login], environ: Mapping[str, str], user_on: UserOn, key_file: str) -> Cluster:
    """The nodes of these logins, head first, as the file that is written for them will name them.

    There are addresses and logins alone; `key_file` is a path, empty for the keys that SSH itself would offer.
    """
    nodes = []
    for rank, login in enumerate(logins):
        own_user, host, port = parse_target(login.target)
        user = own_user or login.user or user_on(host) or login_name(environ)
        role = Role.WORKER if rank else Role.HEAD
        nodes.append(Node(f"spark-{rank + 1}", role, host, user, port or 22, identity_file=key_file))
    return Cluster("init", nodes[0], tuple(nodes[1:]))


def assignments(api_ip: str, logins: Sequence[Login], fabric: Fabric | None, so_far: Mapping[str, str]) -> Values:
    """Every variable that says where these nodes are, head first.

    `so_far` are the values of LISTS and of WORKER_NODE_IP. Without a `fabric` they stay, where their number fits.
    """
    head, *workers = logins
    lengths = {name: len(so_far.get(name, "").replace(",", " ").split()) for name in LISTS}
    unfit = {name: "" for name, length in lengths.items() if length not in (0, len(workers))}
    known = lengths["WORKER_IPS"] == len(workers) or (len(workers) == 1 and bool(so_far.get("WORKER_NODE_IP")))
    addresses = _fabric(fabric, len(workers), known=known)
    return {**_management(api_ip, head, workers), **unfit, **addresses}


def text(old: str, values: Values) -> str:
    """The file with these values: in the place of those of an old one, of which all else stays, or a new one."""
    if not old.strip():
        return f"{_HEAD}\n{_lines(values)}\n{_SECRETS}"
    lines, left = [], dict(values)
    for line in io.StringIO(old, newline=None).read().rstrip("\n").split("\n"):
        match = _SET.match(line)
        name = match[1] if match else ""
        if name not in values:
            lines.append(line)
        elif name in left:
            lines += _lines({name: left.pop(name)}).splitlines()
    return "".join(f"{line}\n" for line in lines) + _lines(left)


def _management(api_ip: str, head: Login, workers: Sequence[Login]) -> dict[str, str]:
    users = {worker.user for worker in workers if worker.user}
    own = len(users) > 1
    targets = [f"{worker.user}@{worker.target}" if own and worker.user else worker.target for worker in workers]
    one = len(workers) == 1
    return {
        "CONTROL_PLANE_API_IP": api_ip,
        "HEAD_SSH_TARGET": "" if head.target == api_ip else head.target,
        "HEAD_SSH_USER": head.user,
        "HEAD_SSH_PORT": "",
        "WORKER_NODE_SSH_TARGET": targets[0] if one else "",
        "WORKER_SSH_TARGETS": "" if one else ",".join(targets),
        "WORKER_NODE_SSH_USER": "" if own else min(users, default=""),
        "WORKER_USER": "",
        "WORKER_NODE_SSH_PORT": "",
    }


def _fabric(fabric: Fabric | None, workers: int, *, known: bool) -> Values:
    """The fabric addresses, where they are not `known` already; one worker may have that of a lower layer."""
    if not fabric and known and workers:
        return {}
    if not fabric:
        return {"WORKER_NODE_IP": None if workers == 1 else "", "WORKER_IPS": ""}
    head_ip, *ips = fabric.addresses
    one = len(ips) == 1
    return {
        "FABRIC_CTRL_IP": head_ip,
        "FABRIC_CTRL_INTERFACE": fabric.interface,
        "FABRIC_CTRL_CIDR": "/24",
        "WORKER_NODE_IP": ips[0] if one else "",
        "WORKER_IPS": "" if one else ",".join(ips),
        "WORKER_NODE_INTERFACE": fabric.interface,
        "WORKER_NODE_CIDR": "",
        "WORKER_NODE_NETWORK": "",
    }


def _lines(values: Values) -> str:
    return "".join(f"{name}={value}\n" for name, value in values.items() if value is not None)


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
