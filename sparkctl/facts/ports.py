"""Which processes listen on which TCP ports of a node."""

import re
from dataclasses import dataclass

from sparkctl.facts.docker import ALLOWED
from sparkctl.facts.lines import number, values
from sparkctl.facts.probe import Answer, Probe
from sparkctl.facts.processes import CGROUPS_SCRIPT, container_ids

_SCRIPT = """\
all=$(as_root ss -Hltnp)
printf '%s\\n' "$all" | sed 's/^/listen=/'
pids=$(printf '%s\\n' "$all" | grep -o 'pid=[0-9]*' | cut -d= -f2 | sort -u)
case $all in *'"docker-proxy"'*)
  $ask docker ps --no-trunc --format '{{.ID}} {{.Ports}}' | sed 's/^/published=/' ;;
esac
"""
_USER = re.compile(r'\("([^"]*)",pid=([0-9]{1,10})')
_PUBLISHED = re.compile(r":([0-9]+)->")


@dataclass(frozen=True)
class Listener:
    """A socket in state LISTEN; `pid` 0 and an empty `process` where the kernel does not say whose."""

    address: str
    port: int
    process: str
    pid: int
    container: str

    def clashes(self, address: str, port: int) -> bool:
        """True when a server that binds to `address` (empty or 0.0.0.0: to all) would find the port taken."""
        every = {"", "*", "0.0.0.0", "::"}  # noqa: S104 - compared, not bound
        return port == self.port and (self.address in every or address in every or address == self.address)


LISTENERS: Probe[tuple[Listener, ...] | None] = Probe(
    "listeners", ALLOWED + _SCRIPT + CGROUPS_SCRIPT + "exit 0", lambda answer: _listeners(answer)
)
"""Every listener with its process and container; None when `ss` did not answer."""


def _listeners(answer: Answer) -> tuple[Listener, ...] | None:
    found = values(answer.stdout)
    if "listen" not in found:
        return None
    containers = dict(container_ids(found.get("cgroup", ())))
    published = _published(found.get("published", ()))
    listeners = []
    for line in found["listen"]:
        words = line.split()
        address, _, last = words[3].rpartition(":") if len(words) > 3 else ("", "", "")
        port = number(last)
        if port is None:
            continue
        user = _USER.search(line)
        pid = int(user[2]) if user else 0
        container = containers.get(pid) or published.get(port, "")
        listeners.append(Listener(_bare(address), port, user[1] if user else "", pid, container))
    return tuple(listeners)


def _bare(address: str) -> str:
    """`[::1]%lo` and `127.0.0.53%lo` without brackets and zone."""
    return address.partition("%")[0].strip("[]")


def _published(lines: list[str] | tuple[str, ...]) -> dict[int, str]:
    """The container behind each port that the engine's own proxy listens on."""
    found = {}
    for line in lines:
        container, _, ports = line.partition(" ")
        found.update({int(port): container for port in _PUBLISHED.findall(ports) if len(port) < 6})
    return found
