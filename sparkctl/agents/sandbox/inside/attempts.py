"""Run as a job of the self-test: tries what no job may do; prints JSON, by attempt: empty where it was denied."""

import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

NOWHERE = ("192.0.2.1", 9)
"""An address of a network that is reserved for documentation (RFC 5737)."""
CLONE_NEWUSER = 0x10000000


def read(path: str) -> None:
    """Read a file."""
    with open(path, "rb") as file:  # noqa: PTH123
        file.read(1)


def write(path: str) -> None:
    """Make a file."""
    with open(path, "wb") as file:  # noqa: PTH123
        file.write(b"x")


def connect(kind: int) -> None:
    """Reach a host."""
    with socket.socket(socket.AF_INET, kind) as one:
        one.settimeout(1)
        one.connect(NOWHERE)


def interfaces() -> None:
    """See a network."""
    if [name for _, name in socket.if_nameindex() if name != "lo"] == []:
        raise PermissionError


def ask_server(path: str) -> None:
    """Pass for the gateway: the answer's length comes before any answer."""
    with socket.socket(socket.AF_UNIX) as one:
        one.settimeout(2)
        one.connect(path)
        if not one.recv(4):
            raise PermissionError


def new_user_namespace() -> None:
    """Become root of a namespace."""
    import ctypes

    if ctypes.CDLL(None).unshare(CLONE_NEWUSER):
        raise PermissionError


def signal_init() -> None:
    """End the server. That it still is there is seen by who reads this."""
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGSTOP, signal.SIGHUP, signal.SIGUSR1):
        try:
            os.kill(1, number)
        except PermissionError:
            continue
    raise PermissionError


def watch(path: str) -> None:
    """Hear which files others open in a folder, and so what they are called."""
    import ctypes

    libc = ctypes.CDLL(None)
    if libc.inotify_add_watch(libc.inotify_init1(0), os.fsencode(path), 0x20) < 0:
        raise PermissionError


def escapes(given: "dict[str, str]") -> None:
    """Everything that is tried in one process."""
    parent = os.path.dirname(os.getcwd())  # noqa: PTH109, PTH120
    tries: dict[str, Callable[[], object]] = {
        "read /etc/passwd": lambda: read("/etc/passwd"),
        "read the server's environment": lambda: read("/proc/1/environ"),
        "read the server's memory": lambda: read("/proc/1/mem"),
        "read another session's file": lambda: read(given["other"]),
        "change another session's file": lambda: write(given["other"]),
        "cut off another session's file": lambda: os.truncate(given["other"], 0),
        "list the workspaces": lambda: os.listdir(parent),  # noqa: PTH208
        "watch the workspaces": lambda: watch(parent),
        "mark the workspaces": lambda: os.setxattr(parent, "user.sparkctl", b"x"),
        "write beside the workspace": lambda: write(f"{parent}/x"),
        "write to /tmp": lambda: write("/tmp/x"),
        "write to /dev/shm": lambda: write("/dev/shm/x"),
        "write to /usr": lambda: write("/usr/x"),
        "see a network": interfaces,
        "send a datagram": lambda: connect(socket.SOCK_DGRAM),
        "open a connection": lambda: connect(socket.SOCK_STREAM),
        "open a raw socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
        "pass for the gateway": lambda: ask_server(given["socket"]),
        "become root": lambda: os.setuid(0),
        "make a namespace": new_user_namespace,
        "end the server": signal_init,
        "limit the server": lambda: resource.prlimit(1, resource.RLIMIT_NOFILE),
        "slow the server": lambda: os.setpriority(os.PRIO_PROCESS, 1, 0),
    }
    print(json.dumps({name: attempt(one) for name, one in tries.items()}))


def attempt(one: Callable[[], object]) -> str:
    """Empty where it was denied."""
    try:
        one()
    except OSError:
        return ""
    return "it was possible"


def memory(given: "dict[str, int]") -> None:
    """Take more than the container has; whoever gets so far tells."""
    taken = [bytearray(os.urandom(1024) * 1024) for _ in range(given["mib"])]
    print(json.dumps({"memory above the limit": f"{len(taken)} MiB were had"}))


def processes(given: "dict[str, int]") -> None:
    """Start more than the container may have; each waits to be ended."""
    for _ in range(given["most"]):
        try:
            child = os.fork()
        except OSError:
            print(json.dumps({"processes above the limit": ""}), flush=True)
            return
        if not child:
            signal.pause()
    print(json.dumps({"processes above the limit": f"{given['most']} were started"}), flush=True)


if __name__ == "__main__":
    PARTS: "dict[str, Callable[[dict[str, Any]], None]]" = {
        "escapes": escapes,
        "memory": memory,
        "processes": processes,
    }
    PARTS[sys.argv[1]](json.load(sys.stdin))
