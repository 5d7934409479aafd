"""Our own folder on a node, and what it records."""

import shlex
from dataclasses import dataclass

from sparkctl.facts.lines import pairs, values
from sparkctl.facts.probe import Answer, Probe
from sparkctl.topology import Cluster, Node

README = "README"
PACKAGES = "packages"
GROUP = "docker-group"
COPIES = "copies"
"""Records in the folder: packages that we installed, the group that we joined, model copies."""


@dataclass(frozen=True)
class StateFact:
    """`mode` is octal text such as 700, empty where the folder is missing; `entries` are the names in it."""

    mode: str
    owned: bool
    entries: frozenset[str]
    readme: str


def state_path(cluster: Cluster, node: Node, name: str) -> str:
    """A file of the state folder."""
    return f"{cluster.state_dir(node)}/{name}"


def state_probe(cluster: Cluster, node: Node) -> Probe[StateFact]:
    """Look at the state folder of a cluster."""
    folder = shlex.quote(cluster.state_dir(node))
    script = f"""\
cd {folder} || exit 3
echo "mode=$(stat -c %a .)"
[ -O . ] && echo owned=yes
ls -A | sed 's/^/entry=/'
printf 'readme=%s\\n' "$(tr '\\n' '|' <{README})"
"""
    return Probe("state", script, _state)


def _state(answer: Answer) -> StateFact:
    found = pairs(answer.stdout)
    entries = frozenset(values(answer.stdout).get("entry", ()))
    return StateFact(
        found.get("mode", ""), found.get("owned") == "yes", entries, found.get("readme", "").replace("|", "\n")
    )
