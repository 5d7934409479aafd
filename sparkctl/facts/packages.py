"""Which commands a node has, and which packages sparkctl installed there."""

import shlex
from collections.abc import Iterable
from dataclasses import dataclass

from sparkctl.facts.lines import values
from sparkctl.facts.probe import Answer, Probe


@dataclass(frozen=True)
class PackagesFact:
    """The commands found, whether the node is one of apt's, and the packages on our own record.

    `half` are those on record that dpkg was kept from installing to the end.
    """

    commands: frozenset[str]
    apt: bool
    recorded: tuple[str, ...]
    half: tuple[str, ...]


_HALF = ("half-installed", "unpacked", "half-configured")
"""The states of dpkg(1) that an interrupted installation leaves."""


def packages_probe(commands: Iterable[str], record: str, name: str = "packages") -> Probe[PackagesFact]:
    """Look for commands in PATH and the system folders; `record` is the file that holds what was installed by us.

    Probes of other commands have another `name`.
    """
    names = " ".join(map(shlex.quote, sorted({*commands, "apt-get"})))
    script = f"""\
for name in {names}; do command -v "$name" >/dev/null && echo "command=$name"; done
sed 's/^/recorded=/' {shlex.quote(record)} || exit
grep -v '^#' {shlex.quote(record)} | xargs -r dpkg-query -W -f '${{db:Status-Status}}=${{Package}}\\n'
"""
    return Probe(name, script, _packages)


def _packages(answer: Answer) -> PackagesFact:
    found = values(answer.stdout)
    commands = frozenset(found.get("command", ()))
    recorded = tuple(name for name in found.get("recorded", ()) if name and not name.startswith("#"))
    half = tuple(name for state in _HALF for name in found.get(state, ()))
    return PackagesFact(commands, "apt-get" in commands, recorded, half)
