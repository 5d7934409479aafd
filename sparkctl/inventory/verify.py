"""Hashing models where they lie, on all nodes at once: what is there is compared with the hashes of the hub."""

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sparkctl.core.events import Event, RunEnded, RunStarted, StepEnded, StepMoved, StepStarted
from sparkctl.core.executor import Outcome
from sparkctl.data import node_program
from sparkctl.errors import CommandFailed, Interrupted, SparkctlError
from sparkctl.transport.crowd import ask_all
from sparkctl.transport.session import Result, Session

WORKERS = 4
"""Files that are hashed at a time on a node; our choice: one core hashes 0.5 to 2 GB/s, less than an SSD reads."""


@dataclass(frozen=True)
class Check:
    """One model on one node: its folder, and the sizes in bytes of what the hub listed, by commit and file."""

    node: str
    model: str
    folder: str
    listed: Mapping[str, Mapping[str, int]]

    @property
    def id(self) -> str:
        """As steps are named."""
        return f"{self.model}@{self.node}"


@dataclass(frozen=True)
class BadFile:
    """A file that is not what it should be; `why` is corrupt, cut, missing or unreadable."""

    file: str
    commit: str
    blob: str
    why: str


@dataclass(frozen=True)
class Verdict:
    """What was found: how many files there are, how many bytes were hashed, and which files are bad.

    `unchecked` is how many of the files have no hash to be compared with, such as those that somebody copied there.
    """

    node: str
    model: str
    files: int
    bytes: int
    unchecked: int
    bad: tuple[BadFile, ...]


def verify(
    checks: Sequence[Check],
    sessions: Mapping[str, Session],
    emit: Callable[[Event], None],
    stop: threading.Event,
    verdicts: list[Verdict],
) -> Outcome:
    """Hash all models, each node one after the other, all nodes at once; what is found goes into `verdicts`."""
    began = time.monotonic()
    by_node = {name: [check for check in checks if check.node == name] for name in {c.node: None for c in checks}}
    emit(RunStarted("model verify", tuple(by_node), tuple((check.id, ()) for check in checks)))
    run = _Run(sessions, emit, stop)
    for found in ask_all({name: partial(run.node, todo) for name, todo in by_node.items()}).values():
        verdicts += found
    verdicts.sort(key=lambda verdict: [check.id for check in checks].index(f"{verdict.model}@{verdict.node}"))
    skipped = tuple(check.id for check in checks if check.id not in {end.id for end in run.ended})
    outcome = "interrupted" if stop.is_set() else "failed" if run.failures else "done"
    emit(RunEnded(outcome, time.monotonic() - began, skipped))
    return Outcome(tuple(run.ended), tuple(run.failures), stop.is_set(), skipped)


class _Run:
    def __init__(self, sessions: Mapping[str, Session], emit: Callable[[Event], None], stop: threading.Event) -> None:
        self._sessions, self._emit, self._stop = sessions, emit, stop
        self.ended: list[StepEnded] = []
        self.failures: list[tuple[str, SparkctlError]] = []

    def node(self, checks: Sequence[Check]) -> list[Verdict]:
        found = []
        for check in checks:
            if self._stop.is_set():
                break
            if verdict := self._one(check):
                found.append(verdict)
        return found

    def _one(self, check: Check) -> Verdict | None:
        began, verdict = time.monotonic(), None
        self._emit(StepStarted(check.id, check.node))
        outcome, message = "unchanged", ""
        try:
            verdict = _hash(check, self._sessions[check.node], self._watch(check))
        except Interrupted:
            outcome = "stopped"
        except SparkctlError as error:
            outcome, message = "failed", error.what
            self.failures.append((check.id, error))
        end = StepEnded(check.id, check.node, outcome, time.monotonic() - began, message)
        self.ended.append(end)
        self._emit(end)
        return verdict

    def _watch(self, check: Check) -> Callable[[str], None]:
        total = 0

        def see(line: str) -> None:
            nonlocal total
            if self._stop.is_set():
                raise Interrupted("stopped while hashing")
            words = _words(line)
            total = int(words.get("total", total))
            if done := int(words.get("done", 0)):
                self._emit(StepMoved(check.id, check.node, f"hash {check.model}", done, total, "B"))

        return see


def _hash(check: Check, session: Session, see: Callable[[str], None]) -> Verdict:
    """Raises CommandFailed, ConnectionLost, Interrupted."""
    job = json.dumps({"folder": check.folder, "files": check.listed, "workers": WORKERS})
    result = session.run(
        ("python3", "-", job), stdin=node_program("check_blobs").encode(), timeout=None, check=False, on_line=see
    )
    words = _words(result.stdout.strip().rpartition("\n")[2])
    if result.rc or "bad" not in words:
        raise _failed(check, result)
    bad = tuple(BadFile(**row) for row in words["bad"])
    files, hashed, unchecked = (int(words[name]) for name in ("files", "bytes", "unchecked"))
    return Verdict(check.node, check.model, files, hashed, unchecked, bad)


def _failed(check: Check, result: Result) -> CommandFailed:
    fix = f"on {check.node}: sudo apt install python3" if result.rc == 127 else "try: sparkctl doctor"
    return CommandFailed(
        f"could not hash {check.model}: python3 ended with status {result.rc}",
        where=check.node,
        fix=fix,
        output=result.stderr,
    )


def _words(line: str) -> dict[str, Any]:
    try:
        words = json.loads(line)
    except ValueError:
        return {}
    return words if isinstance(words, dict) else {}
