"""The memory watchdog of a node, and the trips that it has on record."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sparkctl.facts.lines import pairs
from sparkctl.facts.probe import Answer, Probe


@dataclass(frozen=True)
class Trip:
    """One time that the watchdog acted: when (ISO 8601, UTC), on which services, how, why, and bytes available."""

    at: str
    services: tuple[str, ...]
    did: str
    reason: str
    available: int


@dataclass(frozen=True)
class GuardFact:
    """What is installed: SHA-256 of each file by path, empty where it is missing; systemd's words on the unit.

    `runs` is the spec that the running watchdog has told systemd, empty where none runs. `marked` is true where the
    unit is missing or carries our mark.
    """

    systemd: bool
    sha256: Mapping[str, str]
    marked: bool
    enabled: bool
    runs: str
    trips: tuple[Trip, ...]


def guard_probe(unit: str, files: tuple[str, ...], trips: str) -> Probe[GuardFact]:
    """Look at the unit, the files (the unit's own is the last) and the trips."""
    script = f"""\
command -v systemctl >/dev/null && [ -d /run/systemd/system ] && echo systemd=yes
for file in {shlex.join(files)}; do
  [ -e "$file" ] && echo "file=$(sha256sum <"$file" | cut -c1-64) $file"
done
[ -e "$file" ] && ! head -n 1 "$file" | grep -q '^# managed by sparkctl' && echo foreign=yes
systemctl show -p ActiveState -p UnitFileState -p StatusText {shlex.quote(unit)}
[ -e {shlex.quote(trips)} ] && printf 'trips=%s\\n' "$(head -c 65536 {shlex.quote(trips)})"
exit 0
"""
    return Probe("guard", script, lambda answer: _guard(answer))


def _guard(answer: Answer) -> GuardFact:
    found = pairs(answer.stdout)
    sums = (line.removeprefix("file=").partition(" ") for line in answer.stdout.splitlines() if line[:5] == "file=")
    return GuardFact(
        systemd="systemd" in found,
        sha256={path: digest for digest, _, path in sums},
        marked="foreign" not in found,
        enabled=found.get("UnitFileState") == "enabled",
        runs=found.get("StatusText", "") if found.get("ActiveState") == "active" else "",
        trips=_trips(found.get("trips", "")),
    )


def _trips(text: str) -> tuple[Trip, ...]:
    try:
        found = json.loads(text)["trips"]
        return tuple(_trip(data) for data in found)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return ()


def _trip(data: Mapping[str, Any]) -> Trip:
    services = tuple(str(service) for service in data["services"])
    return Trip(str(data["at"]), services, str(data["did"]), str(data["reason"]), int(data["saw"]["available"]))
