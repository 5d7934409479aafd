"""What a job's process does to itself before it becomes the job: nothing of it can be undone."""

import os
import resource
from collections.abc import Mapping
from pathlib import Path

from sparkctl.agents.sandbox import landlock, seccomp
from sparkctl.agents.sandbox.languages import PATH

SYSTEM = "/usr /bin /sbin /lib /lib32 /lib64 /etc/ld.so.cache /etc/alternatives"
READABLE = (*map(Path, SYSTEM.split()), *Path("/etc").glob("java-*"))
"""What a job may read and run beside its workspace: programs, and what they need to start."""
DEVICES = tuple(map(Path, ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")))
OPEN_FILES = 256
WORST = 1000
"""The score that makes the kernel end a job, not the server, where the container's memory is used up."""


def confine(workspace: Path, seconds: float, file_bytes: int) -> None:
    """Limits, then Landlock and the filter of system calls, for the calling process. Raises OSError."""
    for kind, most in (
        (resource.RLIMIT_CPU, int(seconds) + 1),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_CORE, 1),  # 0 does not stop a kernel that pipes cores to a program of the host's; 1 does
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),  # POSIX queues outlive their makers, and are not in the file system
    ):
        resource.setrlimit(kind, (most, most))
    Path("/proc/self/oom_score_adj").write_text(str(WORST))
    os.umask(0o077)
    landlock.confine([workspace], READABLE, DEVICES)
    seccomp.confine()


def environment(workspace: Path, scratch: Path) -> Mapping[str, str]:
    """All that a job is told: nothing of the server's own environment."""
    return {
        "PATH": PATH,
        "HOME": str(workspace),
        "TMPDIR": str(scratch),
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
    }
