"""What init asks a person, in a dialogue and on a terminal."""

import contextlib
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from config_world import World, own_folder

from sparkctl.cli import init_logins
from sparkctl.config.local import Login
from sparkctl.config.nodes import nobody

world = pytest.fixture(own_folder)


def test_the_questions() -> None:
    answers = iter(["", "spark-1.local", "dan", "eve@spark-2.local", ""])
    asked: list[str] = []

    def prompt(text: str, **options: Any) -> str:
        asked.append(text)
        return str(next(answers))

    assert init_logins.converse(prompt, nobody) == [Login("spark-1.local", "dan"), Login("eve@spark-2.local", "")]
    assert asked[2] == "Login on spark-1.local"
    for text in ("a b", "dan@spark-1.local:22"):
        with pytest.raises(typer.BadParameter):
            init_logins.checked(text, {("spark-1.local", 22)})
    assert init_logins.checked(" root@a:22 ", ()) == "root@a:22"
    with pytest.raises(typer.BadParameter):
        init_logins.checked_login("clear; sparkctl plan")
    assert init_logins.checked_login("dan ") == "dan"


def test_the_questions_on_a_terminal(world: World) -> None:
    """The user mistypes the head, then gives one worker; nothing is tried over SSH."""
    answers = [b"a b", b"10.1.1.1", b"dan", b"10.1.1.2", b"", b""]
    leader, follower = pty.openpty()
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "TERM": "dumb"}
    command = [sys.executable, "-m", "sparkctl", "init", "--no-check"]
    with subprocess.Popen(command, stdin=follower, stdout=follower, stderr=follower, env=environ) as process:
        os.close(follower)
        os.write(leader, b"\n".join(answers) + b"\n")
        said = b""
        with contextlib.suppress(OSError):  # how Linux says that the other end has closed
            while chunk := os.read(leader, 4096):
                said += chunk
    os.close(leader)
    assert process.returncode == 0, said.decode()
    assert b"Error: not of the form [user@]host[:port]" in said
    head, worker = world.load().cluster.nodes
    assert (head.user, head.address, worker.user, worker.address) == ("dan", "10.1.1.1", "dan", "10.1.1.2")
