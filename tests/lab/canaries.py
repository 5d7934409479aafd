"""Searches for values that must be in no place but one: command lines, files, logs and containers of all machines."""

import base64
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from machines import Machine

FOLDERS = "/etc /home /root /opt /srv /usr/local /var /tmp /dev/shm /run"
ENGINE = "/var/lib/docker"
"""Not searched as a whole: its layers hold images. What containers wrote, and what it knows of them, is searched."""
SCAN_SECONDS = 0.02


def forms(values: Mapping[str, str]) -> list[bytes]:
    """Each value as it is, and in base64 at each of the three places where it may begin in a longer text."""
    found = []
    for value in values.values():
        found.append(value.encode())
        for lead in range(3):
            text = base64.b64encode(b"x" * lead + value.encode())
            found.append(text[4 * (lead > 0) : len(text) - 4])
    return found


@dataclass
class CommandLines:
    """Looks at the command line of every process, again and again. The lab's machines are processes of this one."""

    sought: list[bytes]
    found: set[str] = field(default_factory=set)
    seen: set[bytes] = field(default_factory=set)
    scans: int = 0

    def scan(self) -> None:
        """Look once."""
        self.scans += 1
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                line = path.read_bytes()
            except OSError:
                continue  # ended meanwhile
            if line not in self.seen:
                self.seen.add(line)
                if any(form in line for form in self.sought):
                    self.found.add(line.replace(b"\0", b" ").decode(errors="replace")[:200])

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Scan beside what is done in the context."""
        done = threading.Event()

        def watch() -> None:
            while not done.wait(SCAN_SECONDS):
                self.scan()

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()


def files_with(machine: Machine, sought: list[bytes]) -> list[str]:
    """Files of a machine that hold one of these, with what its containers wrote."""
    script = f"""\
layers=$(docker ps -aq | xargs -r docker inspect -f '{{{{.GraphDriver.Data.UpperDir}}}}')
find {FOLDERS} -path {ENGINE}/overlay2 -prune -o -type f -print0 2>/dev/null >/run/canary-files
[ -z "$layers" ] || find $layers -type f -print0 >>/run/canary-files
xargs -0 -r grep -slF -f /run/canary-values </run/canary-files; rm -f /run/canary-files"""
    with _values(machine, sought):
        lines = machine.root("bash", "-c", script, check=False).splitlines()
    return sorted(line for line in lines if line.startswith("/") and not line.startswith("/run/canary-"))


def words_with(machine: Machine, sought: list[bytes]) -> list[str]:
    """Lines with one of these in the machine's journal, and in all that its engine says and logs."""
    script = """\
{
  journalctl -q --no-pager -o export
  docker ps -aq | xargs -r docker inspect
  docker images -q | sort -u | xargs -r docker image inspect
  docker volume ls -q | xargs -r docker volume inspect
  docker network ls -q | xargs -r docker network inspect
  for id in $(docker ps -aq); do docker logs "$id"; docker top "$id"; done
} 2>&1 | grep -aF -f /run/canary-values"""
    with _values(machine, sought):
        return machine.root("bash", "-c", script, check=False).splitlines()


def laptop_files_with(folder: Path, sought: list[bytes]) -> list[Path]:
    """Files below a folder of this machine that hold one of these."""
    return [p for p in folder.rglob("*") if p.is_file() and any(form in p.read_bytes() for form in sought)]


@contextmanager
def _values(machine: Machine, sought: list[bytes]) -> Iterator[None]:
    """The values as a file on the machine for grep, which must not have them in its argv."""
    argv = ["docker", "exec", "-i", machine.container.id or "", "sh", "-c", "umask 077; cat >/run/canary-values"]
    subprocess.run(argv, input=b"\n".join(sought) + b"\n", check=True)
    try:
        yield
    finally:
        machine.root("rm", "/run/canary-values")
