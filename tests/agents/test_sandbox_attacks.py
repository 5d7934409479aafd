"""Attacks on a real sandbox, as code that a model could write; each comes to nothing, and the next job runs."""

import json
import os

import pytest
from attacking import execute, works, works_afterwards  # noqa: F401 - a fixture of every test here
from sandbox_box import Box, box

CONNECT = """
import socket
for family, address in ((socket.AF_INET, ("192.0.2.1", 80)), (socket.AF_INET, ("127.0.0.1", 22)),
                        (socket.AF_INET6, ("2001:db8::1", 80))):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        try:
            one = socket.socket(family, kind)
            one.settimeout(1)
            one.connect(address)
            one.send(b"x")
            print("reached", address, kind) if address[0] != "127.0.0.1" or kind == socket.SOCK_STREAM else None
        except OSError as error:
            print("denied", error.errno)
print([name for _, name in socket.if_nameindex()])
"""


LOOK = """
import os
for path in PATHS:
    try:
        print("had", path, open(path, "rb").read(20))
    except OSError as error:
        print("denied", error.errno)
"""


LEFTOVERS = """
import os, signal, sys, time
for _ in range(20):
    if not os.fork():
        os.setsid()
        if os.fork():
            os._exit(0)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(1000)
print("left")
"""


WATCH = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
for path in (b"/workspaces", b"/run/sandbox", b"."):
    print(libc.inotify_add_watch(libc.inotify_init1(0), path, 0xfff), ctypes.get_errno())
"""


MEDDLE = """
import os, resource
for name, call in {
    "limit": lambda: resource.prlimit(1, resource.RLIMIT_NOFILE, (3, 3)),
    "nice": lambda: os.setpriority(os.PRIO_PROCESS, 1, 19),
    "nice all": lambda: os.setpriority(os.PRIO_USER, 0, 19),
    "idle": lambda: os.sched_setscheduler(1, os.SCHED_IDLE, os.sched_param(0)),
    "processors": lambda: os.sched_setaffinity(1, {0}),
    "access list": lambda: os.setxattr("/run/sandbox/sandbox.sock", "system.posix_acl_access", ACL),
    "own limit": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)),
    "own nice": lambda: os.nice(5),
}.items():
    try:
        call()
        print("did", name)
    except OSError as error:
        print("denied", name, error.errno)
"""


ACL = bytes.fromhex("02000000 01000600ffffffff 04000000ffffffff 10000600ffffffff 20000000ffffffff")
"""No access for the group, whatever the mode says: the mode's bits are the mask's."""


UNLINKED = """
import os, time
held = []
for _ in range(12):
    held.append(os.open("x", os.O_CREAT | os.O_RDWR))
    os.unlink("x")
    for _ in range(15):
        os.write(held[-1], bytes(2**20))
        time.sleep(0.05)
print("had it")
"""


SHARED_MEMORY = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
print(libc.shmget(4711, 1 << 20, 0o1666) >= 0)
"""


def test_there_is_no_network(sandbox: Box) -> None:
    lines = execute(sandbox, CONNECT).output.splitlines()
    assert not [line for line in lines if line.startswith("reached")]
    assert lines[-1] == "['lo']"


def test_a_fork_bomb_ends_with_its_job(hasty: Box) -> None:
    done = execute(hasty, ":(){ :|:& };:; sleep 60", "bash")
    assert done.exit_code != 0 or done.stopped
    works(hasty)


def test_memory_above_the_limit_ends_the_job_alone(sandbox: Box) -> None:
    done = execute(sandbox, "x = [bytearray(b'x' * 2**20) for _ in range(4096)]; print('had it')")
    assert (done.exit_code, done.stopped, done.output) == (-9, "memory", "")


def test_memory_of_many_processes_ends_the_job_alone(sandbox: Box) -> None:
    code = "import os\nfor _ in range(3): os.fork()\nx = bytearray(os.urandom(2**20) * 100); print(len(x))\nos.wait()"
    done = execute(sandbox, code)
    assert done.stopped == "memory"


def test_a_full_disk_stops_the_job_and_is_cleaned(sandbox: Box) -> None:
    sandbox.ask(sandbox.client.write("mallory", "attacker", "kept.txt", "before"))
    code = "i = 0\nwhile True:\n    open(f'fill{i}', 'wb').write(bytes(2**20)); i += 1"
    done = execute(sandbox, code)
    assert done.stopped == "disk"
    assert sandbox.ask(sandbox.client.files("mallory", "attacker")) == {"kept.txt": 6}


def test_a_workspace_that_is_full_to_the_brim_still_runs_what_tidies_up(sandbox: Box) -> None:
    fill = "for i in range(3): open(f'fill{i}', 'wb').write(bytes(6 * 2**20))"
    assert execute(sandbox, fill, session="brim").stopped == "disk"
    assert sandbox.ask(sandbox.client.files("mallory", "brim")) == {}
    assert execute(sandbox, "head -c 16744448 /dev/zero > most", "bash", "brim").stopped == ""
    assert execute(sandbox, "rm most; echo tidy", "bash", "brim").output == "tidy\n"
    assert sandbox.ask(sandbox.client.files("mallory", "brim")) == {}


@pytest.mark.parametrize(
    "code",
    [
        "open('big', 'wb').truncate(2**40)",
        "open('big', 'wb').write(bytes(2**20 * 17))",
        "for i in range(100000): open(str(i), 'w')",
        "import os\nos.mkdir('d')\nopen('d/x', 'wb').write(bytes(2**20 * 15))\n"
        "open('d/y', 'wb').write(bytes(2**20 * 15))\nos.chmod('d', 0); os.chmod('.', 0)",
        "import os\nfor i in range(3000): os.mkdir('d'); os.chdir('d')",
        "import os\nfor i in range(70): os.mkdir('d'); os.chmod('.', 0o300); os.chdir('d')",
    ],
    ids=["sparse", "one", "many", "hidden", "deep", "deep-and-closed"],
)
def test_no_shape_of_files_takes_more_than_the_limit(sandbox: Box, code: str) -> None:
    execute(sandbox, code, session="disk")
    used = sum(path.lstat().st_blocks * 512 for path in sandbox.workspaces.rglob("*"))
    assert used <= 17 * 2**20
    sandbox.ask(sandbox.client.forget("mallory", "disk"))
    assert sandbox.ask(sandbox.client.files("mallory", "disk")) == {}


def test_proc_passwd_and_the_socket_are_closed(sandbox: Box) -> None:
    paths = ["/etc/passwd", "/proc/1/environ", "/proc/1/mem", "/proc/self/environ", "/proc/1/fd/0", "/app/sparkctl"]
    lines = execute(sandbox, LOOK.replace("PATHS", repr(paths))).output.splitlines()
    assert len(lines) == len(paths)
    assert all(line.startswith("denied") for line in lines), lines


def test_the_environment_is_not_the_servers(sandbox: Box) -> None:
    said = execute(sandbox, "import os, json; print(json.dumps(dict(os.environ)))").output
    assert "canary" not in said
    assert set(json.loads(said)) <= {
        *("PATH", "HOME", "TMPDIR", "LANG", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "LC_CTYPE"),
    }


def test_another_sessions_file_is_out_of_reach_even_by_its_path(sandbox: Box) -> None:
    sandbox.ask(sandbox.client.write("victim", "s", "secret.txt", "of the victim"))
    path = next(sandbox.workspaces.glob("*/secret.txt")).relative_to(sandbox.workspaces)
    tries = (
        f"cat /workspaces/{path}",
        f"cat ../{path}",
        f"ln /workspaces/{path} mine && cat mine",
        f"ln -sf /workspaces/{path} link; cat link",
        f"mv /workspaces/{path} mine",
        f": > /workspaces/{path}",
        f"truncate -s 0 /workspaces/{path}",
        f"rm -f /workspaces/{path}",
        "ls /workspaces",
        f"ls /workspaces/{path.parent}",
    )
    for line in tries:
        done = execute(sandbox, line, "bash")
        assert done.exit_code != 0, line
        assert "of the victim" not in done.output
    assert sandbox.ask(sandbox.client.read("victim", "s", "secret.txt")).content == "of the victim"


def test_nobody_hears_how_other_workspaces_are_called(sandbox: Box) -> None:
    assert execute(sandbox, WATCH).output.splitlines() == ["-1 1"] * 3


def test_the_server_cannot_be_limited_slowed_or_shut_in(sandbox: Box) -> None:
    done = execute(sandbox, MEDDLE.replace("ACL", repr(ACL)))
    names = ("limit", "nice", "nice all", "idle", "processors", "access list")
    assert done.output.splitlines() == [*(f"denied {name} 1" for name in names), "did own limit", "did own nice"]


def test_files_that_are_deleted_and_held_open_do_not_fill_the_disk(image: str) -> None:
    with box(image, room_mib=2048 + 64) as small:
        done = execute(small, UNLINKED)
        assert (done.stopped, done.output) == ("disk", "")
        assert os.statvfs(small.workspaces).f_bavail * 4096 > (2048 + 56) * 2**20


def test_a_planted_link_leads_the_server_nowhere(sandbox: Box) -> None:
    execute(sandbox, "ln -sf /etc/passwd link; ln -sfn / root; mkfifo pipe; ln -sfn .. up", "bash")
    for name in ("link", "root/etc/passwd", "up", "up/x", "pipe"):
        for call in (
            sandbox.client.read("mallory", "attacker", name),
            sandbox.client.write("mallory", "attacker", name, "x"),
        ):
            with pytest.raises(Exception, match=r"link|plain file|no folder"):
                sandbox.ask(call)
    assert "passwd" not in str(sandbox.ask(sandbox.client.files("mallory", "attacker")))


def test_the_first_process_cannot_be_ended(sandbox: Box) -> None:
    before = sandbox.container.attrs["State"]["StartedAt"]
    code = "import os\nfor n in range(1, 65):\n    try:\n        os.kill(1, n)\n    except OSError:\n        pass\n"
    execute(sandbox, code)
    execute(sandbox, "kill -9 -1", "bash")
    sandbox.container.reload()
    assert sandbox.container.attrs["State"]["StartedAt"] == before


def test_what_a_job_leaves_is_ended_before_the_next(sandbox: Box) -> None:
    assert execute(sandbox, LEFTOVERS).output == "left\n"
    assert len(sandbox.container.top()["Processes"]) == 1
    assert execute(sandbox, SHARED_MEMORY).output == "True\n"
    segments = sandbox.container.exec_run(["cat", "/proc/sysvipc/shm"], user="0").output.decode().splitlines()
    assert len(segments) == 1


def test_a_flood_of_output_is_cut_and_stopped(sandbox: Box) -> None:
    done = execute(sandbox, "yes", "bash")
    assert (done.stopped, done.truncated, len(done.output)) == ("output", True, 64 * 1024)


def test_an_endless_loop_is_stopped(hasty: Box) -> None:
    done = execute(hasty, "print('begun')\nwhile True: pass")
    assert (done.stopped, done.output) == ("time", "begun\n")
    works(hasty)
