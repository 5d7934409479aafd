"""Nodes whose home is a folder of the test, so that steps write there and nowhere else."""

from dataclasses import dataclass, fields
from pathlib import Path

from sshd import Sshd

from sparkctl.core.action import Context
from sparkctl.topology import Cluster, Role
from sparkctl.topology import Node as PlainNode
from sparkctl.transport.session import Session


@dataclass(frozen=True)
class HomeNode(PlainNode):
    """A node that lives in `root`."""

    root: str = ""

    @property
    def home(self) -> str:
        return self.root


def pair(head: Sshd, worker: Sshd) -> Cluster:
    """A head and a worker, each a server of its own on loopback."""
    nodes = [
        HomeNode(**{f.name: getattr(server.node(), f.name) for f in fields(PlainNode)}, root=str(server.home))
        for server in (head, worker)
    ]
    first = HomeNode(**{**vars(nodes[0]), "name": "spark-1", "role": Role.HEAD, "fabric_ip": "127.0.0.1"})
    second = HomeNode(**{**vars(nodes[1]), "name": "spark-2", "role": Role.WORKER, "fabric_ip": "127.0.0.1"})
    return Cluster("lab", first, (second,), "127.0.0.1")


def context(session: Session, **peers: Session) -> Context:
    """A context that reports to nobody; peers by name with `_` for `-`."""
    return Context(session, {name.replace("_", "-"): peer for name, peer in peers.items()}, lambda _: None)


def snapshot(folder: Path) -> dict[str, tuple[str, bytes]]:
    """Every path below a folder with its mode, owner and content or target."""
    found = {}
    for path in sorted(folder.rglob("*")):
        info = path.lstat()
        content = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        found[str(path.relative_to(folder))] = (f"{info.st_mode:o} {info.st_uid}:{info.st_gid}", content)
    return found
