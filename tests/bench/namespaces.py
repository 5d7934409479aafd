"""Many simulated nodes on one machine: a real sshd in each of N network namespaces, behind one bridge.

Each has a home of its own and shares all other files of this machine, so that they show what reaching many nodes
costs, not what deploying to them does.
"""

import getpass
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

SUBNET = "10.118.0"
BRIDGE = "sparkbench"


@dataclass(frozen=True)
class Nodes:
    """The nodes' addresses, and the env file that describes them."""

    addresses: tuple[str, ...]
    folder: Path

    def env_file(self, count: int) -> Path:
        """A configuration of the first `count` nodes: one head, the others workers."""
        head, *workers = self.addresses[:count]
        lines = {
            "CLUSTER_NAME": "bench",
            "CONTROL_PLANE_API_IP": head,
            "HEAD_SSH_USER": getpass.getuser(),
            "FABRIC_CTRL_IP": head,
            "FABRIC_CTRL_INTERFACE": "eth0",
            "WORKER_IPS": ",".join(workers),
            "WORKER_SSH_TARGETS": ",".join(workers),
            "SSH_KEY_FILE": str(self.folder / "key"),
            "SSH_KNOWN_HOSTS_FILE": str(self.folder / "known_hosts"),
        }
        path = self.folder / f"nodes-{count}.env"
        path.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
        return path


@contextmanager
def namespaces(count: int) -> Iterator[Nodes]:
    """So many nodes, until the block ends. Needs root."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sparkbench-")))
        folder.chmod(0o755)
        _keys(folder)
        stack.callback(_ip, "link", "del", BRIDGE, check=False)
        _ip("link", "add", BRIDGE, "type", "bridge")
        _ip("addr", "add", f"{SUBNET}.1/24", "dev", BRIDGE)
        _ip("link", "set", BRIDGE, "up")
        addresses = tuple(f"{SUBNET}.{100 + number}" for number in range(count))
        for number, address in enumerate(addresses):
            _node(stack, folder, f"sparkbench{number}", address)
        yield Nodes(addresses, folder)


def _keys(folder: Path) -> None:
    for name in ("key", "host"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    host = " ".join((folder / "host.pub").read_text().split()[:2])
    (folder / "known_hosts").write_text("".join(f"{SUBNET}.{100 + number} {host}\n" for number in range(100)))


def _node(stack: ExitStack, folder: Path, name: str, address: str) -> None:
    _ip("netns", "add", name)
    stack.callback(_ip, "netns", "del", name, check=False)
    _ip("link", "add", f"{name}h", "type", "veth", "peer", "name", "eth0", "netns", name)
    stack.callback(_ip, "link", "del", f"{name}h", check=False)
    _ip("link", "set", f"{name}h", "master", BRIDGE, "up")
    _ip("-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
    for interface in ("eth0", "lo"):
        _ip("-n", name, "link", "set", interface, "up")
    sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin") or "/usr/sbin/sshd"
    options = {"HostKey": folder / "host", "AuthorizedKeysFile": folder / "key.pub", "StrictModes": "no"}
    options |= {"UsePAM": "no", "PidFile": "none", "MaxStartups": "100", "MaxSessions": "50", "PermitRootLogin": "yes"}
    flags = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    # A home of its own: what this machine's shell does at every login is no work of ours.
    home = folder / name
    home.mkdir(mode=0o700)
    settle = f"mount --bind {home} ~ && exec " + shlex.join([sshd, "-D", "-f", "/dev/null", *flags])
    server = subprocess.Popen(["ip", "netns", "exec", name, "sh", "-c", settle])
    stack.callback(server.wait)
    stack.callback(server.terminate)


def _ip(*words: str, check: bool = True) -> None:
    subprocess.run(["ip", *words], check=check, capture_output=not check)
