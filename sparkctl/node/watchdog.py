"""The memory watchdog of a node: it stops the engine's containers before the machine runs out of memory and freezes.

The GPU of a Spark takes its memory from the machine's one pool, past control groups and unseen by the kernel's OOM
killer: what goes over the edge freezes the host. So this program looks at MemAvailable and at memory pressure, and
ends what it may end, running containers of one cluster, by label: below the floor it kills their processes at once, by
itself, above it Docker stops them. It never starts anything.

`watchdog.py CONFIG [PROC]`: a JSON file with the fields of Config, and where the kernel's files are.
"""

import ctypes
import json
import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

FAST_SECONDS, SLOW_SECONDS, NEAR = 0.1, 0.5, 4  # between two looks: fast below NEAR times the low mark
LOOKS_BELOW_FLOOR = 2  # in a row: one reading that is off does not cost an engine
LIST_SECONDS = 2.0  # between two lists of what runs: in an emergency there is no time to ask Docker
ANSWER_SECONDS = 5.0  # for Docker to answer, beyond the time that a container is given to stop
KEPT_TRIPS, CLUSTER, SERVICE = 20, "io.sparkctl.cluster", "io.sparkctl.service"
FAULTS = (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError)  # what a bad answer may lead to
_MEMORY = re.compile(rb"^(MemTotal|MemAvailable): +(\d+) kB$", re.M)
_STALL = re.compile(rb"^full .* total=(\d+)$", re.M)
STACK_BYTES, ALL_PAGES = 1 << 18, 1 | 2  # of a thread; MCL_CURRENT and MCL_FUTURE of mlockall(2)


@dataclass(frozen=True)
class Config:
    """What to watch for. Memory in bytes, times in seconds, `pressure` in percent of time.

    `order` are prefixes of the services that may be stopped, the first to go first; `spec` names configuration and
    program; `trips` is the file that tells of what was done.
    """

    cluster: str
    spec: str
    order: list[str]
    floor: int
    low: int
    low_seconds: float
    pressure: float
    pressure_seconds: float
    stop_seconds: int
    trips: str
    socket: str = "/var/run/docker.sock"


@dataclass(frozen=True)
class Look:
    """Bytes available and in all, percent of time, if known, that every task waited, seconds since the look before."""

    available: int
    total: int
    stalled: float | None
    seconds: float


@dataclass(frozen=True)
class Target:
    """A running container of ours."""

    id: str
    service: str


@dataclass(frozen=True)
class Verdict:
    """Why to act; `kill` where there is no time to be gentle."""

    reason: str
    kill: bool


class Meter:
    """Reads the kernel's files, which stay open: to open one may mean to wait for memory."""

    def __init__(self, proc: Path) -> None:
        self._memory = os.open(proc / "meminfo", os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._pressure: int | None = os.open(proc / "pressure/memory", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:  # a kernel without PSI, or booted with psi=0
            self._pressure = None
        self._last, self._stalled = time.monotonic(), self._stall()

    def look(self) -> Look | None:
        """One look; None where what was read makes no sense."""
        now, stalled, share = time.monotonic(), self._stall(), None
        seconds = now - self._last
        if stalled is not None and self._stalled is not None and seconds > 0:
            share = min(100.0, max(0.0, (stalled - self._stalled) / (seconds * 10_000)))  # microseconds to percent
        self._last, self._stalled = now, stalled
        found = {name: int(count) * 1024 for name, count in _MEMORY.findall(os.pread(self._memory, 4096, 0))}
        return Look(found[b"MemAvailable"], found[b"MemTotal"], share, seconds) if len(found) == 2 else None

    def _stall(self) -> int | None:
        try:
            found = _STALL.search(os.pread(self._pressure, 4096, 0) if self._pressure is not None else b"")
        except OSError:
            return None
        return int(found[1]) if found else None


@dataclass
class Judge:
    """Decides from one look after the other. Time above a mark counts against time below it: a dip does not trip."""

    config: Config
    below: int = 0
    low: float = 0.0
    stalled: float = 0.0

    def judge(self, look: Look) -> Verdict | None:
        """What to do now, if anything. Pressure counts only while little is available: other limits cause it, too."""
        config = self.config
        self.below = self.below + 1 if look.available < config.floor else 0
        pressed = look.available < 2 * config.low and (look.stalled or 0.0) >= config.pressure
        self.low = max(0.0, self.low + (look.seconds if look.available < config.low else -look.seconds))
        self.stalled = max(0.0, self.stalled + (look.seconds if pressed else -look.seconds))
        if self.below >= LOOKS_BELOW_FLOOR:
            return Verdict(f"less than the floor of {gib(config.floor)}", kill=True)
        if self.low >= config.low_seconds:
            return Verdict(f"less than {gib(config.low)} for {config.low_seconds:g} s", kill=False)
        waited = f"every task waited for memory {config.pressure:g} % of the time for {config.pressure_seconds:g} s"
        return Verdict(waited, kill=False) if self.stalled >= config.pressure_seconds else None


def ask_docker(config: Config, method: str, path: str, seconds: float = ANSWER_SECONDS) -> bytes:
    """The body of a good answer; http.client would load ssl, 8 MiB to lock. Raises OSError, ValueError, IndexError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as end:
        end.settimeout(seconds)
        end.connect(config.socket)
        end.sendall(f"{method} {path} HTTP/1.0\r\nHost: docker\r\n\r\n".encode())
        head, _, body = b"".join(iter(lambda: end.recv(65536), b"")).partition(b"\r\n\r\n")
    if int(head.split()[1]) >= 400:
        raise ValueError(body[:200].decode(errors="replace").strip())
    return body


def list_running(config: Config) -> list[Target]:
    """Running containers of the cluster that may be stopped, in the order to go. Raises one of FAULTS."""
    wanted = quote(json.dumps({"label": [f"{CLUSTER}={config.cluster}", SERVICE]}))
    found = json.loads(ask_docker(config, "GET", f"/containers/json?filters={wanted}"))
    targets = sorted((Target(c["Id"], c["Labels"][SERVICE]) for c in found), key=lambda target: target.service)
    return list(dict.fromkeys(t for prefix in config.order for t in targets if t.service.startswith(prefix)))


def kill_processes(proc: Path, ids: set[str]) -> int:
    """SIGKILL to every process whose control group names one of the containers; how many there were.

    Most containers end with their first process; one that joined the process namespace of another does not.
    """
    killed = 0
    for entry in os.scandir(proc):
        try:
            groups = (proc / entry.name / "cgroup").read_text() if entry.name.isdigit() else ""
            if any(container in groups for container in ids):
                os.kill(int(entry.name), signal.SIGKILL)
                killed += 1
        except OSError:  # it has ended meanwhile
            continue
    return killed


@dataclass
class Watchdog:
    """What runs, and what was done about it: of `handled`, containers by id, it is true for those that were killed."""

    config: Config
    proc: Path
    targets: list[Target] = field(default_factory=list)
    handled: dict[str, bool] = field(default_factory=dict)
    listing: threading.Lock = field(default_factory=threading.Lock)
    writing: threading.Lock = field(default_factory=threading.Lock)

    def watch(self) -> None:
        """Look until the end of time."""
        meter, judge = Meter(self.proc), Judge(self.config)
        while True:
            look = meter.look()
            verdict = judge.judge(look) if look else None
            if look and verdict:
                self.act(look, verdict)
                judge = Judge(self.config)
            near = look is None or look.available < NEAR * self.config.low
            time.sleep(FAST_SECONDS if near else SLOW_SECONDS)

    def follow(self) -> None:
        """Keep the list of what runs."""
        found = ""
        while True:
            before, found = found, "Docker says what runs"
            try:
                self.refresh()
            except FAULTS as error:
                found = f"Docker does not say what runs: {error}"
            if found != before:
                say(found)
            time.sleep(LIST_SECONDS)

    def refresh(self) -> None:
        """List what runs; what is listed no more may be started again, and ended again. Raises one of FAULTS."""
        listed = list_running(self.config)
        with self.listing:
            self.targets, self.handled = listed, {t.id: self.handled[t.id] for t in listed if t.id in self.handled}

    def act(self, look: Look, verdict: Verdict) -> None:
        """End what runs and was not yet ended so."""
        with self.listing:
            done = self.handled
            targets = [t for t in self.targets if t.id not in done or (verdict.kill and not done[t.id])]
            self.handled |= {target.id: verdict.kill for target in targets}
        if targets:
            count = kill_processes(self.proc, {target.id for target in targets}) if verdict.kill else 0
            threading.Thread(target=self.finish, args=(look, verdict, targets, count), daemon=True).start()

    def finish(self, look: Look, verdict: Verdict, targets: list[Target], killed: int) -> None:
        """Record it, and let Docker stop them one after the other; what was killed already is so at once."""
        if verdict.kill:
            self.record(look, verdict, targets, f"killed, {killed} processes")
        for target in targets:
            seconds = 0 if verdict.kill else self.config.stop_seconds
            path = f"/containers/{target.id}/stop?t={seconds}"
            try:
                ask_docker(self.config, "POST", path, seconds + ANSWER_SECONDS)
            except FAULTS as error:
                say(f"{target.service} could not be stopped by Docker: {error}")
        if not verdict.kill:
            self.record(look, verdict, targets, f"stopped, within {self.config.stop_seconds} s each")

    def record(self, look: Look, verdict: Verdict, targets: list[Target], did: str) -> None:
        """Tell the journal, and whoever reads the file of trips."""
        at, services = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), [target.service for target in targets]
        say(f"{gib(look.available)} of {gib(look.total)} available, {verdict.reason}: {', '.join(services)} {did}")
        try:
            with self.writing:
                trip = {"at": at, "saw": vars(look), "reason": verdict.reason, "did": did, "services": services}
                add_trip(Path(self.config.trips), trip)
        except OSError as error:
            say(f"the trip is not on record: {error}")


def add_trip(path: Path, trip: Mapping[str, object]) -> None:
    """Put a trip on record: one line of JSON for everybody to read, whole or not at all. Raises OSError."""
    try:
        before = list(json.loads(path.read_text())["trips"])
    except FAULTS:
        before = []
    new = path.with_suffix(".new")
    new.write_text(json.dumps({"schema": 1, "trips": [*before, trip][-KEPT_TRIPS:]}) + "\n")
    new.chmod(0o644)
    new.replace(path)


def gib(count: float) -> str:
    """Bytes for people."""
    return f"{count / 2**30:.1f} GiB"


def say(text: str) -> None:
    """One line of the journal."""
    print(text, file=sys.stderr, flush=True)


def notify(text: str) -> None:
    """Tell systemd, where it listens (sd_notify(3))."""
    if address := os.environ.get("NOTIFY_SOCKET"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
            end.sendto(text.encode(), f"\0{address[1:]}" if address.startswith("@") else address)


def main() -> int:
    """Watch as the configuration says; 78 (EX_CONFIG) where that cannot be read."""
    file, proc = (*sys.argv[1:], "/proc")[:2]
    try:
        config = Config(**json.loads(Path(file).read_text()))
    except (OSError, ValueError, TypeError) as error:
        say(f"{file}: {error}")
        return 78
    watchdog = Watchdog(config, Path(proc))
    threading.stack_size(STACK_BYTES)
    threading.Thread(target=watchdog.follow, daemon=True).start()
    if ctypes.CDLL(None, use_errno=True).mlockall(ALL_PAGES):  # what must be read from a disk first comes too late
        say(f"not locked into memory: {os.strerror(ctypes.get_errno())}")
    notify(f"READY=1\nSTATUS={config.spec}")
    say(f"watching for cluster {config.cluster}: stop below {gib(config.low)}, kill below {gib(config.floor)}")
    watchdog.watch()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
