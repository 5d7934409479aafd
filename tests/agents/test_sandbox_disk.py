"""The head's disk: what runs leave in the sandbox, what all files of one user take, and a disk that is nearly full."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from coding_world import Coder, coder
from sandbox_box import NOBODY, Box, box
from standins.scripted import Reply
from working import until

from sparkctl.agents.core import platform, records
from sparkctl.agents.core.failure import TooLarge, Unavailable

MIB = 1 << 20
WRITE = Reply(calls=(("write_file", json.dumps({"filename": "left.txt", "content": "x"})),))
LOOK_UP = Reply(calls=(("look_up", '{"word": "a"}'),))


@pytest.fixture
def small(image: str) -> Iterator[Box]:
    """A sandbox of its own, in which all files of one user take 24 MiB at most, and a workspace 16."""
    with box(image, "--user-mib=24") as made:
        yield made


@pytest.fixture
def agent(small: Box, tmp_path: Path) -> Iterator[Coder]:
    with coder(tmp_path, small.client.socket) as one:
        yield one


def left(sandbox: Box) -> list[Path]:
    """The workspaces in which a run wrote."""
    return list(sandbox.workspaces.glob("*/left.txt"))


def ask(agent: Coder, *replies: Reply, name: str = "coding") -> dict[str, Any]:
    """The answer to a client that keeps its conversation itself."""
    agent.replies[:] = replies
    body = {"model": f"sparkctl/{name}", "messages": [{"role": "user", "content": "go"}]}
    answer: dict[str, Any] = agent.client.post("/v1/chat/completions", json=body).json()
    return answer


def waiting(agent: Coder, small: Box) -> tuple[str, str]:
    """A run without a session that has written a file, and waits to write another; the call that it waits for."""
    said = ask(agent, WRITE, LOOK_UP, WRITE, name="reader")["error"]["message"]
    assert len(left(small)) == 1
    found = re.search(r'POST /runs/(.+)/approve {"call_id": "(.+?)"', said)
    assert found, said
    return found[1], found[2]


def test_a_run_without_a_session_leaves_no_files(agent: Coder, small: Box) -> None:
    assert ask(agent, WRITE)["choices"][0]["message"]["content"] == "done"
    assert ask(agent, WRITE, Reply(status=500))["error"]["code"] == "engine_failed"
    until(lambda: not [path for path in small.workspaces.iterdir() if path.is_dir()])


def test_one_that_waits_keeps_them_until_it_goes_on(agent: Coder, small: Box) -> None:
    run, call = waiting(agent, small)
    agent.client.post(f"/runs/{run}/approve", json={"call_id": call, "allow": True})
    until(lambda: not left(small))


def test_one_that_waits_keeps_them_until_it_is_cancelled(agent: Coder, small: Box) -> None:
    run, _call = waiting(agent, small)
    agent.client.post(f"/runs/{run}/cancel")
    until(lambda: not left(small))


def test_a_session_that_is_made_again_has_none_of_the_old_files(agent: Coder, small: Box) -> None:
    """Also where the sandbox was away when the old one was deleted."""
    agent.use("write_file", filename="left.txt", content="x")
    socket = Path(small.client.socket)
    socket.rename(aside := socket.with_name("aside"))
    assert agent.client.delete("/sessions/s").status_code == 204
    aside.rename(socket)
    assert agent.use("list_files") == "There are no files."


def fill(sandbox: Box, mib: int, session: str, user: str = "mallory") -> str:
    """Write so much into further files; by what that was stopped."""
    code = f"import uuid\nfor _ in range({mib}): open(uuid.uuid4().hex, 'wb').write(bytes(2**20))"
    return sandbox.ask(sandbox.client.execute(user, session, "python", code)).stopped


def test_all_files_of_one_user_have_a_limit(small: Box) -> None:
    assert [fill(small, 10, session) for session in ("one", "two", "three")] == ["", "", "disk"]
    assert fill(small, 10, "one", "another") == ""
    with pytest.raises(TooLarge, match="delete"):
        small.ask(small.client.write("mallory", "four", "text", "x" * 5 * MIB))
    small.ask(small.client.forget("mallory", "one"))
    assert fill(small, 10, "three") == ""


def test_who_has_more_than_the_limit_can_tidy_up_and_loses_nothing(small: Box) -> None:
    for session in ("one", "two", "three"):
        before = set(small.workspaces.iterdir())
        small.ask(small.client.files("mallory", session))
        (made,) = set(small.workspaces.iterdir()) - before
        for name in ("kept", "dropped"):
            (made / name).write_bytes(bytes(5 * MIB))
            os.chown(made / name, NOBODY, NOBODY)
    tidied = small.ask(small.client.execute("mallory", "three", "bash", "sleep 0.3; echo more >> kept; rm dropped"))
    assert (tidied.stopped, [path.name for path in made.iterdir()]) == ("", ["kept"])
    assert fill(small, 1, "two") == "disk"


def test_a_run_that_waited_too_long_leaves_no_files(agent: Coder, small: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting(agent, small)
    monkeypatch.setattr(records, "WAIT_SECONDS", 0.0)
    monkeypatch.setattr(platform, "BURY_SECONDS", 0.1)
    until(lambda: not left(small))


def test_a_disk_that_is_nearly_full_takes_no_job_and_no_file(image: str) -> None:
    with box(image, room_mib=1024) as full:
        for call in (
            full.client.execute("mallory", "s", "bash", "touch made"),
            full.client.write("mallory", "s", "made", "x"),
        ):
            with pytest.raises(Unavailable, match="less than 2 GiB"):
                full.ask(call)
        assert full.ask(full.client.files("mallory", "s")) == {}
