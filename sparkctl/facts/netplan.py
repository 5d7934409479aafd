"""The netplan of a node: our own file, files of others that name the same interfaces, and how we came in."""

import shlex
from dataclasses import dataclass

from sparkctl.facts.lines import pairs, values
from sparkctl.facts.probe import Answer, Probe

FILE = "/etc/netplan/40-sparkctl.yaml"
"""The one file that sparkctl writes; netplan lays files over each other by their names."""
BACK = "sparkctl-netplan-back"
"""The units of `sparkctl/node/netplan.py` that take a change back, while it may still go."""

_SCRIPT = """\
command -v netplan >/dev/null && echo tool=yes
[ -d /run/systemd/system ] && echo systemd=yes
set -- $SSH_CONNECTION; echo "came=$3"
if as_root test -e {file}; then
  echo "mode=$(as_root stat -c %a {file})"
  echo "sha256=$(as_root sha256sum {file} | cut -d ' ' -f 1)"
fi
as_root test -e {record} && echo recorded=yes
systemctl is-active --quiet {back}.timer {back}.service && echo provisional=yes
for nic in /sys/class/net/*; do
  key="^[[:space:]]*[\\"']?${{nic##*/}}[\\"']?:"
  for file in /etc/netplan/*.yaml /lib/netplan/*.yaml /run/netplan/*.yaml; do
    [ "$file" != {file} ] && as_root grep -qE "$key" "$file" && echo "other=${{nic##*/}} $file"
  done
done
exit 0
"""


@dataclass(frozen=True)
class NetplanFact:
    """What netplan is told on a node.

    `mode` and `sha256` are those of our own file, empty where there is none; `recorded` says that we keep what was
    there before, `provisional` that a change waits to be kept, and goes back by itself otherwise. `others` are the
    files of others by the interface that they name. `came` is the address of the node at which this connection
    arrived.
    """

    tool: bool
    systemd: bool
    mode: str
    sha256: str
    recorded: bool
    provisional: bool
    others: dict[str, str]
    came: str


def netplan_probe(record: str) -> Probe[NetplanFact]:
    """Ask about netplan; `record` is the file in which we keep what was there before us."""
    return Probe("netplan", _SCRIPT.format(file=FILE, record=shlex.quote(record), back=BACK), _netplan)


def _netplan(answer: Answer) -> NetplanFact:
    found = pairs(answer.stdout)
    named = (line.partition(" ") for line in values(answer.stdout).get("other", ()))
    return NetplanFact(
        tool=found.get("tool") == "yes",
        systemd=found.get("systemd") == "yes",
        mode=found.get("mode", ""),
        sha256=found.get("sha256", ""),
        recorded=found.get("recorded") == "yes",
        provisional=found.get("provisional") == "yes",
        others={nic: file for nic, _, file in named},
        came=found.get("came", ""),
    )
