"""Which commands a node has, and which packages sparkctl installed there."""

import shlex
from collections.abc import Iterable
from dataclasses import dataclass

from sparkctl.facts.lines import values
from sparkctl.facts.probe import Answer, Probe


@dataclass(frozen=True)
class PackagesFact:
    """The commands found, whether the node is one of apt's, and the packages on our own record."""

    commands: frozenset[str]
    apt: bool
    recorded: tuple[str, ...]


def packages_probe(commands: Iterable[str], record: str) -> Probe[PackagesFact]:
    """Look for commands in PATH and the system folders; `record` is the file that holds what was installed by us."""
    names = " ".join(map(shlex.quote, sorted({*commands, "apt-get"})))
    script = f"""\
for name in {names}; do command -v "$name" >/dev/null && echo "command=$name"; done
sed 's/^/recorded=/' {shlex.quote(record)}
"""
    return Probe("packages", script, _packages)


def _packages(answer: Answer) -> PackagesFact:
    found = values(answer.stdout)
    commands = frozenset(found.get("command", ()))
    recorded = tuple(name for name in found.get("recorded", ()) if name and not name.startswith("#"))
    return PackagesFact(commands, "apt-get" in commands, recorded)
