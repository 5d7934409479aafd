"""Which container a process of the host lives in, read from its control group."""

import re
from collections.abc import Iterable, Mapping

from sparkctl.facts.lines import number

CGROUPS_SCRIPT = """\
for pid in $pids; do
  echo "cgroup=$pid $(tr '\\n' ' ' <"/proc/$pid/cgroup")"
done
"""
"""Prints the control groups of every process in `$pids`."""

_ID = re.compile(r"[0-9a-f]{64}")


def container_ids(lines: Iterable[str]) -> Mapping[int, str]:
    """The container of each process: the last 64 hexadecimal digits of its control group's path.

    The last, as an engine inside a container (a lab, docker-in-docker) nests one id under the other. Processes that
    live in no container are left out.
    """
    found = {}
    for line in lines:
        pid, _, path = line.partition(" ")
        ids = _ID.findall(path)
        key = number(pid)
        if ids and key is not None:
            found[key] = ids[-1]
    return found
