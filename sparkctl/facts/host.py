"""What a node is: architecture, user, sudo, groups, clock, memory, free disk."""

import shlex
from dataclasses import dataclass

from sparkctl.facts.lines import decimal, number, pairs, quantity
from sparkctl.facts.probe import Answer, Probe

_DISK_SCRIPT = """\
timeout 2 sh -c '
  at=$1
  while [ ! -e "$at" ] && [ "$at" != "${at%/*}" ]; do at=${at%/*}; done
  echo "free=$(df -B1 --output=avail "${at:-/}" | tail -n 1)"
  echo "device=$(stat -c %d "${at:-/}")"
  shift
  whole=$# held=0
  for model; do
    [ -d "$model" ] || continue
    ls "$model"/snapshots/*/* >/dev/null 2>&1 && ! ls "$model"/blobs | grep -q "[.]incomplete$" && whole=$((whole - 1))
    held=$((held + $(du -sB1 "$model" | cut -f1)))
  done
  echo "held=$held"
  [ $# = 0 ] || [ $whole != 0 ] || echo whole=yes
' _ """
_SCRIPT = """\
echo "clock=$EPOCHREALTIME"
echo "architecture=$(uname -m)"
echo "user=$(id -un)"
echo "home=$HOME"
as_root true && echo sudo=yes
"""
MEMORY_SCRIPT = """\
while read -r key value unit; do
  case $key in MemTotal:|MemAvailable:) echo "${key%:}=$value" ;; esac
done </proc/meminfo
"""
"""Prints the machine's memory in KiB."""


@dataclass(frozen=True)
class HostFact:
    """One node. `clock` is its own time in seconds since 1970, memory is in bytes; None is unknown."""

    architecture: str | None
    user: str | None
    home: str | None
    sudo: bool
    clock: float | None
    memory_total: int | None
    memory_available: int | None


@dataclass(frozen=True)
class DiskFact:
    """Room on the filesystem of a folder, in bytes, and what the folders of the models in it hold already.

    `device` is the filesystem's number; None is unknown. `whole` says that every model is there and no download into
    its folder has been cut short.
    """

    free: int | None
    held: int | None
    device: int | None
    whole: bool


HOST: Probe[HostFact] = Probe("host", _SCRIPT + MEMORY_SCRIPT, lambda answer: _host(answer))
"""What the node says of itself. The clock is read first, so that clocks of nodes asked at once can be compared."""


def disk_probe(folder: str, holding: tuple[str, ...] = ()) -> Probe[DiskFact]:
    """Room where `folder` is or will be; `holding` are models' folders, whose content counts as room taken by us.

    A filesystem that does not answer within two seconds is unknown.
    """
    return Probe(f"disk:{folder}", _DISK_SCRIPT + shlex.join((folder, *holding)), _disk)


def _host(answer: Answer) -> HostFact:
    found = pairs(answer.stdout)
    return HostFact(
        architecture=found.get("architecture") or None,
        user=found.get("user") or None,
        home=found.get("home") or None,
        sudo=found.get("sudo") == "yes",
        clock=decimal(found.get("clock")),
        memory_total=quantity(found.get("MemTotal"), 1024),
        memory_available=quantity(found.get("MemAvailable"), 1024),
    )


def _disk(answer: Answer) -> DiskFact:
    found = pairs(answer.stdout)
    free, held, device = (number(found.get(name)) for name in ("free", "held", "device"))
    return DiskFact(free, held, device, "whole" in found)
