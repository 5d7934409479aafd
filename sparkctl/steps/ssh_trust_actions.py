"""The actions of SSH trust: let the head's key in on a worker, pin the worker's host keys on the head, and back."""

import ipaddress
import shlex
from dataclasses import dataclass

from sparkctl.core.action import Context
from sparkctl.facts.state import state_path
from sparkctl.topology import Cluster, Node

RESTRICTIONS = "no-agent-forwarding,no-port-forwarding,no-X11-forwarding,no-pty"
"""What the key may not do on a worker; commands it may run."""


def key_path(cluster: Cluster) -> str:
    """The private key on the head."""
    return state_path(cluster, cluster.head, "id_ed25519")


def known_hosts_path(cluster: Cluster) -> str:
    """The host keys of all workers, on the head."""
    return state_path(cluster, cluster.head, "known_hosts")


def mark(cluster: Cluster) -> str:
    """The comment that makes a key ours."""
    return f"sparkctl:{cluster.name}"


def host_token(worker: Node) -> str:
    """A worker's name in known_hosts: `address`, or `[address]:port` where the port is not 22 (sshd(8))."""
    return worker.data_ip if worker.port == 22 else f"[{worker.data_ip}]:{worker.port}"


@dataclass(frozen=True)
class Grant:
    """Let the head's key in: one line of our own at the top of authorized_keys, every other byte as it was."""

    cluster: Cluster
    worker: Node
    public_key: str

    @property
    def line(self) -> str:
        """The line: bound to the head's address where that is an address, to running commands in any case."""
        source = self.cluster.head.data_ip
        bound = f'from="{source}",' if _is_address(source) else ""
        return f"{bound}{RESTRICTIONS} {self.public_key} {mark(self.cluster)}"

    @property
    def summary(self) -> str:
        """One line of the plan."""
        return f"let the key of {self.cluster.head.name} in on {self.worker.name} (~/.ssh/authorized_keys)"

    @property
    def detail(self) -> str:
        """The line that is added."""
        return self.line

    def perform(self, context: Context) -> None:
        """Raises CommandFailed, ConnectionLost."""
        record = state_path(self.cluster, self.worker, "authorized_keys")
        context.session.script(_GRANT.format(**_names(self.cluster, record), line=shlex.quote(self.line)))


@dataclass(frozen=True)
class Revoke:
    """Take our line out of authorized_keys again, and the file where we made it and nothing else is in it."""

    cluster: Cluster
    worker: Node

    @property
    def summary(self) -> str:
        """One line of the plan."""
        return f"take the key of {self.cluster.head.name} out of ~/.ssh/authorized_keys on {self.worker.name}"

    @property
    def detail(self) -> str:
        """What marks the line."""
        return f"the line that ends with {mark(self.cluster)}"

    def perform(self, context: Context) -> None:
        """Raises CommandFailed, ConnectionLost."""
        record = state_path(self.cluster, self.worker, "authorized_keys")
        context.session.script(_REVOKE.format(**_names(self.cluster, record)))


@dataclass(frozen=True)
class Pin:
    """Write a worker's host keys, read from its own disk over our verified connection, into our file on the head."""

    cluster: Cluster
    worker: Node
    host_keys: tuple[str, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """As known_hosts wants them."""
        return tuple(f"{host_token(self.worker)} {key}" for key in self.host_keys)

    @property
    def summary(self) -> str:
        """One line of the plan."""
        return f"pin the host keys of {self.worker.name} on {self.cluster.head.name}"

    @property
    def detail(self) -> str:
        """The lines that are written."""
        return "\n".join(self.lines)

    def perform(self, context: Context) -> None:
        """Raises CommandFailed, ConnectionLost."""
        context.peers[self.cluster.head.name].script(_pin_script(self.cluster, self.worker, self.lines))


@dataclass(frozen=True)
class Unpin:
    """Forget a worker's host keys."""

    cluster: Cluster
    worker: Node

    @property
    def summary(self) -> str:
        """One line of the plan."""
        return f"forget the host keys of {self.worker.name} on {self.cluster.head.name}"

    @property
    def detail(self) -> str:
        """Where."""
        return f"lines of {host_token(self.worker)} in {known_hosts_path(self.cluster)}"

    def perform(self, context: Context) -> None:
        """Raises CommandFailed, ConnectionLost."""
        context.peers[self.cluster.head.name].script(_pin_script(self.cluster, self.worker, ()))


_GRANT = """\
set -euo pipefail
umask 077
[ -d ~/.ssh ] || {{ mkdir -m 700 ~/.ssh; echo folder >>{record}; }}
file=$(readlink -m ~/.ssh/authorized_keys)
[ -e "$file" ] || {{ : >"$file"; echo file >>{record}; }}
new=$(mktemp "$file.XXXXXX")
trap 'rm -f "$new"' EXIT
cp -p "$file" "$new"
{{ printf '%s\\n' {line}; LC_ALL=C sed {mark} "$file"; }} >"$new"
mv "$new" "$file"
"""
"""GNU sed keeps a missing newline at the end, and our line stands first: what was there stays, byte for byte."""

_REVOKE = """\
set -euo pipefail
file=$(readlink -m ~/.ssh/authorized_keys)
[ -e "$file" ] || exit 0
new=$(mktemp "$file.XXXXXX")
trap 'rm -f "$new"' EXIT
cp -p "$file" "$new"
LC_ALL=C sed {mark} "$file" >"$new"
mv "$new" "$file"
if grep -qx file {record} 2>/dev/null && [ ! -s "$file" ]; then rm "$file"; fi
if grep -qx folder {record} 2>/dev/null; then rmdir ~/.ssh 2>/dev/null || true; fi
rm -f {record}
"""


def _names(cluster: Cluster, record: str) -> dict[str, str]:
    escaped = "".join(f"\\{c}" if c in r".[]*^$/\\" else c for c in mark(cluster))
    return {"record": shlex.quote(record), "mark": shlex.quote(f"/ {escaped}$/d")}


def _pin_script(cluster: Cluster, worker: Node, lines: tuple[str, ...]) -> str:
    """Replace a worker's lines; under a lock, as the trust steps of several workers write at once."""
    path, token = shlex.quote(known_hosts_path(cluster)), shlex.quote(host_token(worker))
    added = "".join(f"printf '%s\\n' {shlex.quote(line)}\n" for line in lines)
    return f"""\
set -euo pipefail
umask 077
exec 9<{shlex.quote(cluster.state_dir(cluster.head))}
flock 9
touch {path}
{{ token={token} awk '$1 != ENVIRON["token"]' {path}
{added}}} >{path}.new
if [ -s {path}.new ]; then mv {path}.new {path}; else rm -f {path} {path}.new; fi
"""


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
