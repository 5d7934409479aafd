"""Run every room of tests, in two lanes side by side: the lab of containers, which waits for engines, and all others.

The others end with the lab of virtual machines, where the machine is quick enough to emulate them meanwhile. The first
lane's output comes as it is made, the other's when it has ended. Ends with the worst of the codes. Arguments are
Python's, before `-m pytest`: `-m coverage run`, for one.
"""

import signal
import subprocess
import sys
import tempfile
import time

VIRTUAL = ("tests/lab/test_nfs_vm.py", "tests/lab/test_vm_driver.py")
"""The lab of virtual machines, of another name than that of containers. They share the Docker engine, and `lab up` and
`lab down` of one wait for those of the other."""
LAB = ("tests/lab", *(f"--ignore={path}" for path in VIRTUAL))
OTHERS = ("tests/unit", "tests/package", "tests/agents")
QUICK_MINUTES = 24.0
"""For OTHERS. On a machine that takes longer, two more that are emulated without KVM keep the lab from its end for
most of an hour: they are left out then, which is said, and `make virtual` runs them by themselves."""
INTERRUPTED = 2
"""What pytest ends with after Ctrl-C."""
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
    began = time.monotonic()
    with tempfile.TemporaryFile() as kept:
        lab, others = started(LAB, None), started(OTHERS, kept.fileno())
        codes: dict[tuple[str, ...], int] = {OTHERS: ended(others)}
        minutes = (time.monotonic() - began) / 60
        if minutes < QUICK_MINUTES and codes[OTHERS] != INTERRUPTED:
            codes[VIRTUAL] = ended(started(VIRTUAL, kept.fileno()))
        codes[LAB] = ended(lab)
        kept.seek(0)
        sys.stdout.buffer.write(kept.read())
        sys.stdout.flush()
    if VIRTUAL not in codes:
        print(f"{' '.join(VIRTUAL)}: left out, the others took {minutes:.0f} minutes; run: make virtual")
    for rooms, code in codes.items():
        print(f"{' '.join(rooms)}: {f'failed ({code})' if code else 'passed'}")
    return max(map(abs, codes.values()))


if __name__ == "__main__":
    sys.exit(main())
