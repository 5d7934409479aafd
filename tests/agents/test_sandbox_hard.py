"""The sandbox under clients that leave, many jobs, and in containers that are not tight."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from attacking import execute, works_afterwards  # noqa: F401 - a fixture of every test here
from sandbox_box import Box, box

from sparkctl.agents.core.failure import Unavailable
from sparkctl.agents.sandbox.job import Result


def test_a_client_that_goes_away_takes_its_job_along(sandbox: Box) -> None:
    async def leave() -> None:
        await sandbox.client.forget("mallory", "s")
        job = asyncio.create_task(
            sandbox.client.execute("mallory", "s", "bash", "touch begun; sleep 20; touch finished")
        )
        while not list(sandbox.workspaces.glob("*/begun")):
            await asyncio.sleep(0.01)
        job.cancel()

    sandbox.ask(leave())
    assert execute(sandbox, "echo next", "bash").output == "next\n"
    assert not list(sandbox.workspaces.glob("*/finished"))


def test_the_modes_that_a_job_may_set_are_put_back(sandbox: Box) -> None:
    execute(sandbox, "chmod 0 /workspaces /run/sandbox /run/sandbox/sandbox.sock .", "bash")
    assert execute(sandbox, "echo again", "bash", session="other").output == "again\n"
    assert sandbox.workspaces.stat().st_mode & 0o777 == 0o700
    assert Path(sandbox.client.socket).stat().st_mode & 0o777 == 0o660


def test_they_are_put_back_also_where_the_client_hung_up(sandbox: Box) -> None:
    async def leave() -> None:
        await sandbox.client.forget("mallory", "closing")
        line = "chmod 0 /run/sandbox/sandbox.sock /run/sandbox; touch closed; sleep 20"
        job = asyncio.create_task(sandbox.client.execute("mallory", "closing", "bash", line))
        while not list(sandbox.workspaces.glob("*/closed")):
            await asyncio.sleep(0.01)
        job.cancel()

    sandbox.ask(leave())
    sandbox.ask(sandbox.client.forget("mallory", "closing"))  # waits until the job has ended
    assert Path(sandbox.client.socket).stat().st_mode & 0o777 == 0o660
    assert Path(sandbox.client.socket).parent.stat().st_mode & 0o777 == 0o770


def test_names_that_are_no_text_are_told_as_text(sandbox: Box) -> None:
    execute(sandbox, "open(b'odd\\xff', 'w')", session="odd")
    assert [*sandbox.ask(sandbox.client.files("mallory", "odd"))] == ["odd\N{REPLACEMENT CHARACTER}"]


def test_two_hundred_jobs_leave_nothing(sandbox: Box) -> None:
    def held() -> tuple[int, int]:
        lines = sandbox.proc("status").read_text().splitlines()
        memory = [int(line.split()[1]) for line in lines if line.startswith(("RssAnon", "VmSwap"))]
        return len(list(sandbox.proc("fd").iterdir())), sum(memory)

    async def many(count: int) -> None:
        for number in range(count):
            done = await sandbox.client.execute("mallory", "attacker", "bash", f"sleep 100 & echo {number}")
            assert done.output == f"{number}\n"

    sandbox.ask(many(20))
    files, kib = held()
    sandbox.ask(many(200))
    assert held()[0] < files + 20  # a connection or two may be closing yet; a leak would be two hundred
    assert held()[1] < kib + 4096
    assert sandbox.proc("task").exists()


def test_jobs_wait_for_their_turn_and_too_many_are_told(sandbox: Box) -> None:
    def job(session: str, line: str) -> "asyncio.Task[Result]":
        return asyncio.create_task(sandbox.client.execute("mallory", session, "bash", line))

    async def crowd() -> list[Result | BaseException]:
        await sandbox.client.forget("mallory", "first")
        first = job("first", "touch here; until [ -e go ]; do sleep 0.05; done; echo $$")
        while not (here := list(sandbox.workspaces.glob("*/here"))):
            await asyncio.sleep(0.01)
        jobs = [first, *(job(f"s{n}", "echo $$") for n in range(39))]
        while sum(one.done() for one in jobs) < 8:
            await asyncio.sleep(0.01)
        here[0].with_name("go").touch()
        return await asyncio.gather(*jobs, return_exceptions=True)

    results = sandbox.ask(crowd())
    assert sum(isinstance(one, Result) and one.exit_code == 0 for one in results) == 32
    assert {str(one) for one in results if isinstance(one, Exception)} == {"32 jobs wait for the sandbox already"}


def test_a_job_cannot_pass_for_the_gateway(sandbox: Box) -> None:
    code = """
import json, socket, struct
one = socket.socket(socket.AF_UNIX)
one.connect("/run/sandbox/sandbox.sock")
body = json.dumps({"do": "read", "user": "victim", "session": "s", "name": "secret.txt"}).encode()
try:
    one.sendall(struct.pack(">I", len(body)) + body)
    print("answer", one.recv(100))
except OSError:
    print("answer", b"")
"""
    assert execute(sandbox, code).output == "answer b''\n"


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"security_opt": ["no-new-privileges", "seccomp={}"]}, "Landlock: this kernel offers none"),
        ({"network_mode": "bridge"}, "see a network"),
        ({"mem_limit": "2g", "memswap_limit": "2g"}, "memory above the limit"),
        ({"pids_limit": 1000}, "processes above the limit"),
        ({"security_opt": []}, "NoNewPrivs"),
        ({"user": "0:0", "cap_drop": []}, "not root"),
        ({"read_only": False}, "read-only root"),
    ],
    ids=["landlock", "network", "memory", "processes", "privileges", "root", "writable"],
)
def test_a_container_that_is_not_tight_runs_no_code(image: str, changed: dict[str, Any], fault: str) -> None:
    if fault.startswith("Landlock"):
        changed = {"security_opt": ["no-new-privileges", f"seccomp={without_landlock()}"]}
    with box(image, **changed) as loose:
        assert fault in loose.ask(loose.client.selftest()).faults
        with pytest.raises(Unavailable, match="isolation failed its test"):
            execute(loose, "print('ran')")


def without_landlock() -> str:
    """A profile of system calls as an old kernel would have them."""
    names = ["landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"]
    denied = {"names": names, "action": "SCMP_ACT_ERRNO", "args": []}
    return json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [denied]})
