"""The Docker engine as a service of the node: installed, running, open to our user, able to hand out GPUs."""

import json
from dataclasses import dataclass
from typing import Any

from sparkctl.facts.lines import number, pairs
from sparkctl.facts.probe import Answer, Probe

_SCRIPT = """\
command -v docker >/dev/null && echo client=yes
for place in dockerd /usr/bin/dockerd /usr/local/bin/dockerd; do
  command -v "$place" >/dev/null && echo engine=yes && break
done
for hook in nvidia-container-runtime-hook nvidia-ctk nvidia-container-runtime; do
  command -v "$hook" >/dev/null && echo toolkit=yes && break
done
if [ "$EUID" = 0 ]; then echo root=yes; else
  echo "session=$(id -nG)"
  echo "member=$(id -nG "$(id -un)")"
fi
ask() { "$@" timeout -k 1 15 docker info --format '{{json .}}'; }
if [ -w /var/run/docker.sock ]; then echo open=yes; info=$(engine /info || ask env); else info=$(ask as_root); fi
echo "info=$info"
folder='"DockerRootDir":"([^"]+)'
[[ $info =~ $folder ]] && root=${BASH_REMATCH[1]}
[ -z "$root" ] || {
  echo "free=$(timeout 2 df -B1 --output=avail "$root" | tail -n 1)"
  echo "device=$(timeout 2 stat -c %d "$root")"
}
"""


@dataclass(frozen=True)
class DockerdFact:
    """The engine of one node.

    `version` is empty while it does not answer. `in_group` says that our user may speak to it by the membership on
    record, `in_session` by the one that this connection was opened with; both hold where the socket is open to us
    anyway. `free` is room in bytes under the engine's folder, `device` the number of its filesystem; None where
    unknown.
    """

    client: bool
    engine: bool
    version: str
    root: str
    runtimes: tuple[str, ...]
    toolkit: bool
    in_group: bool
    in_session: bool
    free: int | None
    device: int | None


DOCKERD: Probe[DockerdFact] = Probe("dockerd", _SCRIPT, lambda answer: _dockerd(answer))
"""The engine; asked as root where our user may not speak to it yet."""


def _dockerd(answer: Answer) -> DockerdFact:
    found = pairs(answer.stdout)
    info = _info(found.get("info", ""))
    root, runtimes = str(info.get("DockerRootDir") or ""), info.get("Runtimes")
    free_entry = found.get("root") == "yes" or found.get("open") == "yes"
    return DockerdFact(
        client=found.get("client") == "yes",
        engine=found.get("engine") == "yes",
        version=str(info.get("ServerVersion") or "") if root else "",
        root=root,
        runtimes=tuple(sorted(runtimes)) if isinstance(runtimes, dict) else (),
        toolkit=found.get("toolkit") == "yes",
        in_group=free_entry or "docker" in found.get("member", "").split(),
        in_session=free_entry or "docker" in found.get("session", "").split(),
        free=number(found.get("free")),
        device=number(found.get("device")),
    )


def _info(text: str) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}
