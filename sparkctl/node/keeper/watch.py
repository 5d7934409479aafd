"""The watch: what is asked of the nodes all the time, and what it leads to."""

import fcntl
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .nodes import BOOT, look, run
from .records import Failure, Record, alone, read, say, units, write
from .stack import answers, bring_up, refuse_after_trip
from .unit import Unit

POLL_SECONDS = 1.0
ENGINE_SECONDS = 180.0
"""How long Docker may take to answer after a boot; our choice."""
FAULTS = (Failure, OSError, ValueError, KeyError, IndexError, TypeError)
"""What a bad answer or a record of another version may lead to."""


class Watch:
    """The boots of the nodes, by a connection to each worker that stays open, and what its end means."""

    def __init__(self) -> None:
        self._lines: dict[str, tuple[subprocess.Popen[str], str]] = {}
        self._since: dict[str, float] = {}

    def tend(self, unit: Unit) -> None:
        """One look at one stack. Raises Failure."""
        if wish := unit.wish:
            if all(self._boot(wish, node) for node in wish["nodes"]):  # else the lock would be ours all the time
                self._settle(unit)
        elif good := unit.good:
            self._survive(unit, good)
            if "replaced" in good:
                self._tidy(unit)

    def _settle(self, unit: Unit) -> None:
        """A change is in progress; where nobody holds the lock, whoever made it is gone: finish it, or undo it."""
        with locked(unit.wish) as ours:
            wish = unit.wish
            if not (ours and wish):
                self._since.clear()
                return
            began = self._since.setdefault(f"{unit.name} {wish['digest']}", time.monotonic())
            if "failed" in wish or not complete(wish):
                unit.restore("sparkctl was cut off in the middle of a change")
            elif answers(wish):
                unit.commit()
            elif time.monotonic() > began + wish["api"]["seconds"]:
                unit.restore(f"sparkctl was cut off, and no token came within {wish['api']['seconds']:.0f} s")

    def _tidy(self, unit: Unit) -> None:
        """The end of a commit that was cut short."""
        with locked(unit.good) as ours:
            if ours and not unit.wish:
                unit.tidy()

    def _survive(self, unit: Unit, good: Record) -> None:
        """Bring the stack back once for every boot of a node."""
        boots = {node: self._boot(good, node) for node in good["nodes"]}
        if boots == good["boots"]:
            if read(unit.folder / "note.json").get("waiting"):
                (unit.folder / "note.json").unlink()
        elif away := ", ".join(node for node, boot in boots.items() if not boot):
            unit.note(f"waiting for {away}, which does not answer over the fabric", trouble=True, waiting=True)
        elif read(unit.folder / "tried.json").get("boots") != boots:
            with locked(good) as ours:
                if ours and not unit.wish and unit.good == good:
                    write(unit.folder / "tried.json", {"boots": boots})
                    revive(unit, good)

    def _boot(self, good: Record, node: str) -> str:
        """Which boot of a node this is, empty while it does not answer."""
        way = good["nodes"][node]
        if not way:
            return run(good, node, ["sh", "-c", BOOT]).strip()
        line, boot = self._lines.get(node, (None, ""))
        if line is None or line.poll() is not None:
            line = subprocess.Popen(
                [*way, shlex.join(["sh", "-c", f"{BOOT}; exec cat >/dev/null"])],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            boot = line.stdout.readline().strip() if line.stdout else ""
            self._lines[node] = line, boot
        return boot


def complete(wish: Record) -> bool:
    """Whether every container of the change was made and runs. Raises Failure."""
    running = {(node, f.name, f.spec) for node, found in look(wish).items() for f in found if f.status == "running"}
    return all((entry["node"], entry["name"], entry["spec"]) in running for entry in wish["containers"])


def revive(unit: Unit, good: Record) -> None:
    """One try to bring a stack back; leaves word either way."""
    unit.note(f"a node was booted: generation {good['generation']} is being brought back", trouble=True)
    began = time.monotonic()
    try:
        await_engines(good)
        refuse_after_trip(good)
        bring_up(good, unit.keep)
    except Failure as error:
        unit.note(f"did not come back after a boot: {error}; it is not tried again: sparkctl up", trouble=True)
        return
    took = time.monotonic() - began
    unit.note(f"generation {good['generation']} came back by itself {took:.0f} s after the boot was seen")


def await_engines(record: Record) -> None:
    """Return once Docker answers on every node. Raises Failure."""
    deadline = time.monotonic() + ENGINE_SECONDS
    while True:
        try:
            look(record)
        except Failure:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
        else:
            return


@contextmanager
def locked(record: Record) -> Iterator[bool]:
    """The cluster's lock, as sparkctl takes it (core/lock.py): whether it is ours."""
    path = Path(record["lock"])
    with suppress(FileExistsError):
        made = os.open(path, os.O_CREAT | os.O_EXCL)
        os.fchmod(made, 0o666)
        os.close(made)
        shutil.chown(path, record["users"][next(node for node, way in record["nodes"].items() if not way)])
    with open(os.open(path, os.O_RDWR | os.O_NOFOLLOW), "r+") as file:  # noqa: PTH123 - anybody may make files there
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        ours = path.exists() and path.stat().st_ino == os.fstat(file.fileno()).st_ino
        if ours:
            stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            file.truncate()
            file.write(f"keeper@{os.uname().nodename}\tkeeper\t{os.getpid()}\t{stamp}")
            file.flush()
            with alone():
                yield True
        else:
            yield False


def watch() -> None:
    """Tend every stack, for ever."""
    eyes = Watch()
    look_round(eyes)
    say("watching")
    while True:
        time.sleep(POLL_SECONDS)
        look_round(eyes)


def look_round(eyes: Watch) -> None:
    """One look at every stack; what goes wrong with one is said, and is nothing to the others."""
    for name in units():
        try:
            eyes.tend(Unit(name))
        except FAULTS as error:
            say(f"{name}: {type(error).__name__}: {error}")
            time.sleep(POLL_SECONDS * 4)
