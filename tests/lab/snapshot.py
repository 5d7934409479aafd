"""What there is on a machine, seen by root from outside: taken before and after, and compared line by line."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from machines import Machine

ROOTS = "/etc /home /root /opt /srv /usr/local /var/lib /var/spool /var/tmp /tmp /dev/shm /run/lock"
CHANGE_BY_THEMSELVES = (
    "/var/lib/docker",  # seen through the engine: containers, images, networks, volumes
    "/var/lib/containerd",
    "/var/lib/systemd",  # clocks and seeds
)
SCRIPT = f"""\
section() {{ printf '@@ %s\\n' "$1"; }}
found() {{ find {ROOTS} \\( {" -o ".join(f"-path {path}" for path in CHANGE_BY_THEMSELVES)} \\) -prune -o "$@"; }}
section files; found -printf '%p\\t%y %m %u:%g %l\\n'
section contents; found -type f -print0 | xargs -0 -r sha256sum | awk '{{ print $2 "\\t" $1 }}'
section packages; dpkg-query -W -f '${{Package}}\\t${{Version}} ${{Status}}\\n'
section accounts; for base in passwd group shadow; do getent $base | sed "s/^/$base /"; done
section mounts; awk '$2 !~ "^/var/lib/docker/|^/run/docker/" {{ print $2 "\\t" $1, $3, $4 }}' /proc/mounts
section interfaces; ip -o link | sed -E '/: veth|: br-/d; s/^[0-9]+: //; s/: /\\t/'
section addresses; ip -o -4 address | awk '{{ print $2, $4 }}'
section routes; ip route
section listeners; ss -lntuH | awk '$5 !~ "^127.0.0.11:" {{ print $1, $5 }}'
section crontabs; cat /etc/crontab /var/spool/cron/crontabs/* 2>/dev/null
section units; systemctl list-unit-files --no-legend --no-pager | awk '{{ print $1 "\\t" $2 }}'
section services; systemctl list-units --type=service,timer,path,automount --state=active --no-legend --no-pager \
  | awk '$1 !~ "^user|^systemd-tmpfiles-clean" {{ print $1 }}'
section processes; ps -eo args | grep -E 'sparkctl|ray|vllm|rsync|flock' | grep -v grep
section containers; docker ps -a --no-trunc --format '{{{{.Names}}}}\\t{{{{.ID}}}}'
section networks; docker network ls --no-trunc --format '{{{{.Name}}}}\\t{{{{.ID}}}}'
section volumes; docker volume ls -q
section images; docker images -a --no-trunc --format '{{{{.Repository}}}}:{{{{.Tag}}}}\\t{{{{.ID}}}}'
"""
"""Prints sections of lines; a tab parts what something is called from what it is like."""

Section = Mapping[str, str]


@dataclass(frozen=True)
class Snapshot:
    """One machine at one time, as section → name → what it is like."""

    machine: str
    sections: Mapping[str, Section]

    def less(self, *sections: str) -> "Snapshot":
        """The same without those sections."""
        return Snapshot(self.machine, {key: value for key, value in self.sections.items() if key not in sections})

    def without(self, *paths: str) -> "Snapshot":
        """The same without those files and folders, and all below them."""
        return Snapshot(self.machine, {key: dict(_kept(value, paths)) for key, value in self.sections.items()})


def take(machine: Machine) -> Snapshot:
    """Look at a machine."""
    sections: dict[str, dict[str, str]] = {}
    for line in machine.root("bash", "-c", SCRIPT).splitlines():
        if line.startswith("@@ "):
            current = sections.setdefault(line[3:], {})
        else:
            name, _, rest = line.partition("\t")
            current[name] = rest
    return Snapshot(machine.name, sections)


def differences(before: Iterable[Snapshot], after: Iterable[Snapshot]) -> list[str]:
    """Every line that came, went or changed; empty when nothing did."""
    return [line for pair in zip(before, after, strict=True) for line in _compare(*pair)]


def lasting(look: Callable[[], list[str]], seconds: float = 90) -> list[str]:
    """What a look still finds after so long: timers, and services that D-Bus starts, come and go by themselves."""
    deadline = time.monotonic() + seconds
    while (found := look()) and time.monotonic() < deadline:
        time.sleep(1)
    return found


def _compare(before: Snapshot, after: Snapshot) -> Iterator[str]:
    assert before.machine == after.machine
    for section in sorted({*before.sections, *after.sections}):
        old, new = before.sections.get(section, {}), after.sections.get(section, {})
        for name in sorted({*old, *new}):
            if old.get(name) != new.get(name):
                yield f"{before.machine} {section}: {name}: {old.get(name, 'absent')} -> {new.get(name, 'absent')}"


def _kept(section: Section, paths: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for name, value in section.items():
        if not any(name == path or name.startswith(f"{path}/") for path in paths):
            yield name, value
