"""Swap of a node: what is on, and the units that would turn it on at the next boot."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from sparkctl.facts.lines import quantity, values
from sparkctl.facts.probe import Answer, Probe


@dataclass(frozen=True)
class SwapFact:
    """`active` holds used bytes by path of what is on; `units` the state of each unit of systemd, such as `masked`.

    `own` are units that somebody wrote into /etc/systemd/system, where a mask would have to lie. `available` are bytes
    of MemAvailable, None where unknown. `kept_units` and `kept_paths` are on our record: what we
    masked and turned off.
    """

    active: Mapping[str, int]
    units: Mapping[str, str]
    own: frozenset[str]
    available: int | None
    kept_units: tuple[str, ...]
    kept_paths: tuple[str, ...]


def swap_probe(record: str) -> Probe[SwapFact]:
    """Look at the kernel's table, systemd's units, those that it makes of /etc/fstab included, and our record."""
    script = f"""\
sed 's/^/active=/' /proc/swaps
systemctl list-unit-files --type=swap --no-legend --plain | sed 's/^/file=/'
find /etc/systemd/system -maxdepth 1 -name '*.swap' -type f -printf 'own=%f\\n'
grep -m1 ^MemAvailable: /proc/meminfo | tr -dc '0-9\\n' | sed 's/^/available=/'
[ -e {shlex.quote(record)} ] && sed 's/^/kept-/' {shlex.quote(record)}
exit 0
"""
    return Probe("swap", script, lambda answer: _swap(answer))


def _swap(answer: Answer) -> SwapFact:
    found = values(answer.stdout)
    rows = [line.split() for line in found.get("active", ())]
    files = [line.split() for line in found.get("file", ())]
    return SwapFact(
        active={_plain(row[0]): quantity(row[3], 1024) or 0 for row in rows if len(row) == 5 and row[0][:1] == "/"},
        units={row[0]: row[1] for row in files if len(row) >= 2},
        own=frozenset(found.get("own", ())),
        available=quantity(next(iter(found.get("available", ())), None), 1024),
        kept_units=tuple(dict.fromkeys(found.get("kept-unit", ()))),
        kept_paths=tuple(dict.fromkeys(found.get("kept-path", ()))),
    )


def _plain(path: str) -> str:
    """A path of /proc/swaps, in which blanks are octal."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), path)
