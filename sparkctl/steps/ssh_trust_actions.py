"""The actions of SSH trust: let a node's key in on another, pin the other's host keys on the first, and back."""

import ipaddress
import shlex
from dataclasses import dataclass

from sparkctl.core.action import Context
from sparkctl.facts.state import state_path
from sparkctl.topology import Cluster, Node

RESTRICTIONS = 'no-agent-forwarding,no-X11-forwarding,no-pty,permitlisten="127.0.0.1:*",permitopen="127.0.0.1:1"'
"""What a key may not do on another node; commands it may run, and lead a port of that node's loopback to its own.

The one port that it may open there, where nobody listens, stands for none: sshd(8) has no other word for that.
"""


def key_path(cluster: Cluster, node: Node) -> str:
    """The private key of a node, on that node."""
    return state_path(cluster, node, "id_ed25519")


def known_hosts_path(cluster: Cluster, node: Node) -> str:
    """The host keys of the others, on a node."""
    return state_path(cluster, node, "known_hosts")


def mark(cluster: Cluster, source: Node) -> str:
    """The comment that makes the key of a node ours."""
    return f"sparkctl:{cluster.name}" + (f":{source.name}" if source != cluster.head else "")


def host_token(target: Node) -> str:
    """A node's name in known_hosts: `address`, or `[address]:port` where the port is not 22 (sshd(8))."""
    return target.data_ip if target.port == 22 else f"[{target.data_ip}]:{target.port}"


@dataclass(frozen=True)
class Way:
    """From one node to another, each by its address on the fabric."""

    cluster: Cluster
    source: Node
    target: Node

    @property
    def mark(self) -> str:
        """What ends our line in the target's authorized_keys."""
        return mark(self.cluster, self.source)

    @property
    def known_hosts(self) -> str:
        """Our file of host keys, on the source."""
        return known_hosts_path(self.cluster, self.source)

    @property
    def record(self) -> str:
        """Where the target notes which of `~/.ssh` we made."""
        return state_path(self.cluster, self.target, "authorized_keys")


@dataclass(frozen=True)
class Grant:
    """Let the source's key in: one line of our own at the top of authorized_keys, every other byte as it was."""

    way: Way
    public_key: str

    @property
    def line(self) -> str:
        """The line: bound to the source's address where that is an address, to running commands in any case."""
        source = self.way.source.data_ip
        bound = f'from="{source}",' if _is_address(source) else ""
        return f"{bound}{RESTRICTIONS} {self.public_key} {self.way.mark}"

    @property
    def summary(self) -> str:
        """One line of the plan."""
        return f"let the key of {self.way.source.name} in on {self.way.target.name} (~/.ssh/authorized_keys)"

    @property
    def detail(self) -> str:
        """The line that is added."""
        return self.line

    def perform(self, context: Context) -> None:
        """Raises CommandFailed, ConnectionLost."""
        context.session.script(_GRANT.format(**_names(self.way), line=shlex.quote(self.line)))


@dataclass(frozen=True)
class Revoke:
    """Take our line out of authorized_keys again, and the file where we made it and nothing else is in it."""

    way: Way

    @property
    def summary(self) -> str:
        """One line of the plan."""
        return f"take the key of {self.way.source.name} out of ~/.ssh/authorized_keys on {self.way.target.name}"

    @property
    def detail(self) -> str:
        """What marks the line."""
        return f"the line that ends with {self.way.mark}"

    def perform(self, context: Context) -> None:
        """Raises CommandFailed, ConnectionLost."""
        context.session.script(_REVOKE.format(**_names(self.way)))


@dataclass(frozen=True)
class Pin:
    """Write the target's host keys, read from its own disk over our verified connection, into our file on the source.

    No keys at all are: forget them.
    """

    way: Way
    host_keys: tuple[str, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """As known_hosts wants them."""
        return tuple(f"{host_token(self.way.target)} {key}" for key in self.host_keys)

    @property
    def summary(self) -> str:
        """One line of the plan."""
        verb = "pin" if self.host_keys else "forget"
        return f"{verb} the host keys of {self.way.target.name} on {self.way.source.name}"

    @property
    def detail(self) -> str:
        """The lines that are written, or those that go."""
        gone = f"lines of {host_token(self.way.target)} in {self.way.known_hosts}"
        return "\n".join(self.lines) or gone

    def perform(self, context: Context) -> None:
        """Raises CommandFailed, ConnectionLost."""
        context.peers[self.way.source.name].script(_pin_script(self.way, self.lines))


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
if LC_ALL=C grep -aqE {ours} "$file"; then exit 0; fi
if grep -qx file {record} 2>/dev/null && [ ! -s "$file" ]; then rm "$file"; fi
if grep -qx folder {record} 2>/dev/null; then rmdir ~/.ssh 2>/dev/null || true; fi
rm -f {record}
"""


def _names(way: Way) -> dict[str, str]:
    """For sed, the lines of this way's key; for grep, those of any key of the cluster."""
    mine, all_of_ours = (
        "".join(f"\\{c}" if c in r".[]*^$/\\" else c for c in text)
        for text in (way.mark, mark(way.cluster, way.cluster.head))
    )
    return {
        "record": shlex.quote(way.record),
        "mark": shlex.quote(f"/ {mine}$/d"),
        "ours": shlex.quote(f" {all_of_ours}(:[^ ]*)?$"),
    }


def _pin_script(way: Way, lines: tuple[str, ...]) -> str:
    """Replace a target's lines; under a lock, as the trust steps of several targets write at once."""
    path, token = shlex.quote(way.known_hosts), shlex.quote(host_token(way.target))
    added = "".join(f"printf '%s\\n' {shlex.quote(line)}\n" for line in lines)
    return f"""\
set -euo pipefail
umask 077
exec 9<{shlex.quote(way.cluster.state_dir(way.source))}
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
