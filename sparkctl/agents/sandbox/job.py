"""Running one job: confined, watched, and swept away with everything that it started."""

import asyncio
import os
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from sparkctl.agents.core.failure import Unavailable
from sparkctl.agents.sandbox.confine import confine, environment
from sparkctl.agents.sandbox.jobs import Job
from sparkctl.agents.sandbox.leftovers import reap, sweep
from sparkctl.agents.sandbox.workspace import RESERVE, SCRATCH, Workspace

LOOK_SECONDS = 0.05
"""How often the disk of a running job is measured; less often where that takes long."""
SPARE = 1 << 20
"""Bytes that a job may take above what a full workspace holds: its own program and files that it makes on its way."""
NO_LIMIT = 1 << 62
"""What a job is started with needs its place even in a full workspace, so that a job can tidy up."""
FLOOD = 16
"""A job that prints so many times what is kept is stopped."""
OOM_COUNTERS = (Path("/sys/fs/cgroup/memory.events"), Path("/sys/fs/cgroup/memory/memory.oom_control"))
"""Where the container's control group counts the processes that it ended for want of memory: version 2 and 1."""


@dataclass(frozen=True)
class Limits:
    """What one job may take: seconds of the clock, bytes of disk, bytes of output that are kept."""

    seconds: float
    disk: int
    output: int


@dataclass(frozen=True)
class Result:
    """How a job ended. `exit_code` is a negative signal where one ended it; `stopped` says why we did, else empty:
    time, output, disk, memory. `output` is both streams as they came."""

    exit_code: int
    output: str
    truncated: bool
    stopped: str
    seconds: float


@dataclass
class Output(asyncio.Protocol):
    """What a job prints: the first `most` bytes are kept, and far more is a flood."""

    most: int
    kept: bytearray = field(default_factory=bytearray)
    seen: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    flood: asyncio.Event = field(default_factory=asyncio.Event)

    def data_received(self, data: bytes) -> None:
        """Keep what there is room for."""
        self.seen += len(data)
        self.kept += data[: max(0, self.most - len(self.kept))]
        if self.seen > FLOOD * self.most:
            self.flood.set()

    def connection_lost(self, _error: Exception | None) -> None:
        """Nobody has the pipe any more."""
        self.ended.set()


async def run(workspace: Workspace, job: Job, limits: Limits) -> Result:
    """Run it to its end, or to a limit. No other job may run meanwhile: whatever is left afterwards is ended.

    The workspace's own limit may be less than `limits.disk`; what was in it before goes only where that is exceeded.

    Raises Refused, Unavailable.
    """
    began, before, killed = time.monotonic(), workspace.marks(), oom_kills()
    output = Output(limits.output)
    seconds = min(job.seconds or limits.seconds, limits.seconds)
    spacious = replace(workspace, limit=int(min(limits.disk, max(workspace.limit, workspace.usage + SPARE))))
    with workspace.scratch() as scratch:
        for name, content in {**job.files, f"{SCRATCH}/stdin": job.stdin}.items():
            replace(workspace, limit=NO_LIMIT).write(name, content)
        codes: dict[int, int] = {}
        try:
            process = await start(workspace, scratch, job, seconds, output)
            try:
                stopped = await watch(process.pid, spacious, output, seconds, codes)
            finally:
                process.returncode = 0  # the sweep waits for it, and Popen must not
        finally:
            codes |= await sweep()
        await output.ended.wait()
    if stopped == "disk" or workspace.full:  # it may have room again: the scratch folder is gone
        stopped = "disk"
        replace(workspace, limit=limits.disk).shrink(before)
    if oom_kills() > killed:
        stopped = "memory"
    said = bytes(output.kept).decode(errors="replace").replace(f"{workspace.path}/", "")
    took = round(time.monotonic() - began, 3)
    return Result(codes[process.pid], said, output.seen > limits.output, stopped, took)


async def start(
    workspace: Workspace, scratch: Path, job: Job, seconds: float, output: Output
) -> "subprocess.Popen[bytes]":
    """The job's first process, with its output connected. Raises Unavailable where it cannot be confined."""
    reading, writing = os.pipe()
    await asyncio.get_running_loop().connect_read_pipe(lambda: output, os.fdopen(reading, "rb", 0))
    try:
        with (scratch / "stdin").open("rb") as stdin:
            return subprocess.Popen(
                job.argv,
                stdin=stdin,
                stdout=writing,
                stderr=writing,
                cwd=scratch if job.in_scratch else workspace.path,
                env=environment(workspace.path, scratch),
                start_new_session=True,
                preexec_fn=partial(confine, workspace.path, seconds, workspace.limit),
            )
    except (OSError, subprocess.SubprocessError) as error:
        raise Unavailable(f"the job could not be started: {type(error).__name__}") from error
    finally:
        os.close(writing)


async def watch(pid: int, workspace: Workspace, output: Output, seconds: float, codes: dict[int, int]) -> str:
    """Wait for the process to end, or for the limit that it reaches; that limit's name, or empty."""
    end = time.monotonic() + seconds
    waiting = [asyncio.create_task(one) for one in (ended(pid), output.flood.wait())]
    due, room = time.monotonic() + LOOK_SECONDS, workspace.room
    try:
        while (left := end - time.monotonic()) > 0:
            pause = min(LOOK_SECONDS, left)
            done, _ = await asyncio.wait(waiting, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
            if waiting[0] in done:
                return ""
            if done:
                return "output"
            with suppress(ChildProcessError):
                codes |= reap()
            if (now := workspace.room) < RESERVE and room - now > workspace.limit:  # it holds deleted files open
                return "disk"
            if (looked := time.monotonic()) >= due:
                if workspace.full:
                    return "disk"
                due = time.monotonic() + max(LOOK_SECONDS, 10 * (time.monotonic() - looked))
        return "time"
    finally:
        for one in waiting:
            one.cancel()


async def ended(pid: int) -> None:
    """Wait until a child has ended; it is left for the sweep to reap."""
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    descriptor = os.pidfd_open(pid)
    loop.add_reader(descriptor, over.set)
    try:
        await over.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def oom_kills() -> int:
    """How many processes of this container were ended for want of memory; 0 where nobody counts."""
    for path in OOM_COUNTERS:
        with suppress(OSError):
            counts = dict(line.split() for line in path.read_text().splitlines())
            return int(counts.get("oom_kill", 0))
    return 0
