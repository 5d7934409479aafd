"""What can be asked of the sandbox, and what is answered; jobs are run one at a time."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sparkctl.agents.core.failure import Busy, Refused, Unavailable
from sparkctl.agents.sandbox import jobs
from sparkctl.agents.sandbox.job import Limits, run
from sparkctl.agents.sandbox.jobs import Job
from sparkctl.agents.sandbox.selftest import Report, examine
from sparkctl.agents.sandbox.workspace import Workspace, Workspaces

WAITING = 32
"""Most jobs that wait for their turn."""
CLEAN_SECONDS = 3600.0


@dataclass(frozen=True)
class Options:
    """How the server is started: where, and what jobs may take."""

    socket: Path
    workspaces: Path
    seconds: float
    memory_mib: int
    processes: int
    disk_mib: int
    user_mib: int
    output_kib: int
    keep_days: float

    @property
    def limits(self) -> Limits:
        """Those of one job."""
        return Limits(self.seconds, self.disk_mib << 20, self.output_kib << 10)


@dataclass
class Sandbox:
    """What the requests share. `turn` is held by the job that runs; `report` is the self-test's, once it is over."""

    options: Options
    workspaces: Workspaces
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0
    report: Report | None = None

    async def run(self, workspace: Workspace, job: Job) -> dict[str, Any]:
        """Run a job when its turn has come. Raises Busy, Unavailable, Refused."""
        if self.waiting >= WAITING:
            raise Busy(f"{WAITING} jobs wait for the sandbox already")
        self.waiting += 1
        try:
            async with self.turn:
                if self.report is None or self.report.faults:
                    raise Unavailable(f"code is not run here, for its isolation failed its test: {self._faults}")
                workspace.ensure_room()
                try:
                    return asdict(await run(self.workspaces.limited(workspace), job, self.options.limits))
                finally:  # whoever hung up: else nobody could knock again
                    self.mend()
                    self.workspaces.measure(workspace)
        finally:
            self.waiting -= 1

    @property
    def _faults(self) -> str:
        return self.report.faults if self.report else "it has not ended"

    async def examine(self) -> None:
        """The self-test, before the first job; whoever starts the server has the turn."""
        options = self.options
        self.report = await examine(self.workspaces, options.socket, options.memory_mib, options.processes)
        self.mend()

    async def verdict(self) -> dict[str, Any]:
        """What the self-test found, once it is over. Raises Unavailable where it broke off."""
        async with self.turn:
            if self.report is None:
                raise Unavailable("the self-test of the sandbox broke off")
            return {**asdict(self.report), "faults": self.report.faults}

    def mend(self) -> None:
        """Put back what a job may have changed: Landlock lets it set the modes of paths that it can name."""
        with suppress(PermissionError):  # the folder is root's, and then it was safe
            self.options.socket.parent.chmod(0o770)
        self.options.socket.chmod(0o660)

    async def clean(self) -> None:
        """Every hour, take away workspaces that nobody asked for in `keep_days`."""
        while True:
            async with self.turn:
                self.workspaces.forget_older(self.options.keep_days * 86_400)
            await asyncio.sleep(CLEAN_SECONDS)


Answer = dict[str, Any]


async def execute(sandbox: Sandbox, place: Workspace, asked: Answer) -> Answer:
    return await sandbox.run(place, jobs.execute(word(asked, "language"), word(asked, "code"), word(asked, "stdin")))


async def test(sandbox: Sandbox, place: Workspace, asked: Answer) -> Answer:
    return await sandbox.run(place, jobs.test(word(asked, "language"), word(asked, "code"), word(asked, "tests")))


async def analyze(sandbox: Sandbox, place: Workspace, asked: Answer) -> Answer:
    return await sandbox.run(place, jobs.analyze(word(asked, "language"), word(asked, "code")))


async def search(sandbox: Sandbox, place: Workspace, asked: Answer) -> Answer:
    return await sandbox.run(place, jobs.search(word(asked, "pattern"), word(asked, "names")))


async def read(_sandbox: Sandbox, place: Workspace, asked: Answer) -> Answer:
    return asdict(place.read(word(asked, "name")))


async def write(sandbox: Sandbox, place: Workspace, asked: Answer) -> Answer:
    place.ensure_room()
    try:
        return {"bytes": sandbox.workspaces.limited(place).write(word(asked, "name"), word(asked, "content"))}
    finally:
        sandbox.workspaces.measure(place)


async def files(_sandbox: Sandbox, place: Workspace, asked: Answer) -> Answer:
    found = place.files(word(asked, "name") or ".")
    return {"files": [{"name": printable(one.name), "bytes": one.size} for one in found]}


REQUESTS: dict[str, Callable[[Sandbox, Workspace, Answer], Awaitable[Answer]]] = {
    "execute": execute,
    "test": test,
    "analyze": analyze,
    "search": search,
    "read": read,
    "write": write,
    "files": files,
}
"""What can be asked of a workspace; `forget` and `selftest` are asked of the whole."""


async def answer(sandbox: Sandbox, asked: Answer) -> Answer:
    """What is answered to a request. Raises Failure."""
    what = word(asked, "do")
    if what == "selftest":
        return await sandbox.verdict()
    user, session = word(asked, "user"), word(asked, "session")
    if what == "forget":
        if sandbox.workspaces.has(user, session):
            async with sandbox.turn:
                sandbox.workspaces.forget(user, session)
        return {}
    if what not in REQUESTS:
        raise Refused(f"the sandbox knows {', '.join(REQUESTS)}, forget, selftest")
    return await REQUESTS[what](sandbox, sandbox.workspaces.of(user, session), asked)


def printable(name: str) -> str:
    """A name as text: bytes that are no UTF-8, which a job may choose, cannot be sent to a model or a browser."""
    return os.fsencode(name).decode(errors="replace")


def word(asked: Answer, name: str) -> str:
    """A text of the request, empty where it has none. Raises Refused for anything else."""
    value = asked.get(name, "")
    if not isinstance(value, str):
        raise Refused(f"{name} must be text")
    return value
