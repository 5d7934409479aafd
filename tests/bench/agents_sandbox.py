"""Figures of the sandbox: from a request to the output of its job, in turn with the same program started plainly."""

import asyncio
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator

from tests.agents.sandbox_box import Box, box, sandbox_image
from tests.bench.measure import Figure

ROUNDS = 200
PROGRAMS = {
    "`true` in Bash": ("bash", "true", ["bash", "-c", "true"]),
    "`pass` in Python": ("python", "pass", ["/usr/bin/python3", "-c", "pass"]),
}
TARGET_MS = 100


def figures() -> Iterator[Figure]:
    """Each program in a real container, hardened as `up` makes it."""
    with sandbox_image() as image, box(image) as sandbox:
        for name, (language, code, argv) in PROGRAMS.items():
            jobs, plain = asyncio.run(measured(sandbox, language, code, argv))
            middle, late = statistics.median(jobs) * 1000, statistics.quantiles(jobs, n=20)[-1] * 1000
            note = f"from request to answer, {ROUNDS} rounds; p95 {late:.0f} ms"
            yield Figure(f"{name} in the sandbox, p50", middle, TARGET_MS, unit="ms", note=note)
            ratio = statistics.median(jobs) / statistics.median(plain)
            note = f"the process alone {statistics.median(plain) * 1000:.0f} ms, in turn with the jobs"
            yield Figure(f"{name} against a plain process, p50", ratio, 10, note=note)


async def measured(sandbox: Box, language: str, code: str, argv: list[str]) -> tuple[list[float], list[float]]:
    """Seconds of each job and of each plain process, after one of each that does not count."""
    jobs, plain = [], []
    for _ in range(ROUNDS + 1):
        began = time.perf_counter()
        done = await sandbox.client.execute("bench", "s", language, code)
        jobs.append(time.perf_counter() - began)
        if done.exit_code:
            raise SystemExit(f"the job failed: {done}")
        plain.append(timed(lambda: subprocess.run(argv, check=True, capture_output=True)))
    return jobs[1:], plain[1:]


def timed(work: Callable[[], object]) -> float:
    """Seconds that it takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
