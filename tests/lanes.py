"""Run every room of tests, in two lanes side by side: the lab of containers, which waits for engines, and all others.

The first lane's output comes as it is made, the other's when it has ended. Ends with the worse of the two codes.
Arguments are Python's, before `-m pytest`: `-m coverage run`, for one.
"""

import signal
import subprocess
import sys
import tempfile

VIRTUAL = ("tests/lab/test_nfs_vm.py", "tests/lab/test_vm_driver.py")
"""The lab of virtual machines. It shares the Docker engine with that of containers, and `lab up` and `lab down` of the
one wait for those of the other."""
LANES = (
    ("tests/lab", *(f"--ignore={path}" for path in VIRTUAL)),
    ("tests/unit", "tests/package", "tests/agents", *VIRTUAL),
)
ONCE_MORE = ("--reruns=1", "--rerun-show-tracebacks", "-rfER")
"""A test that fails is run once more, and named at the end: CI must not end for a pause of its machine, and whoever
reads what it prints must not miss a race."""


def started(rooms: tuple[str, ...], output: int | None) -> "subprocess.Popen[bytes]":
    """pytest, in these rooms."""
    command = [sys.executable, *sys.argv[1:], "-m", "pytest", *ONCE_MORE, *rooms]
    return subprocess.Popen(command, stdout=output, stderr=output)


def ended(lane: "subprocess.Popen[bytes]") -> int:
    """Wait for it; Ctrl-C reaches the lane as well, which ends by itself and takes its labs away."""
    while True:
        try:
            return lane.wait()
        except KeyboardInterrupt:
            continue


def main() -> int:
    """Both lanes; the second's output is kept in a file meanwhile."""
    # A shell that starts a job in the background has it ignore Ctrl-C, and so would all that the tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with tempfile.TemporaryFile() as kept:
        lanes = [started(LANES[0], None), started(LANES[1], kept.fileno())]
        codes = [ended(lane) for lane in lanes]
        kept.seek(0)
        sys.stdout.buffer.write(kept.read())
        sys.stdout.flush()
    for rooms, code in zip(LANES, codes, strict=True):
        print(f"{' '.join(rooms)}: {f'failed ({code})' if code else 'passed'}")
    return max(map(abs, codes))


if __name__ == "__main__":
    sys.exit(main())
