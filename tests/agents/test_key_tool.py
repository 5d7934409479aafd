"""`sparkctl agents key`: keys from the shell of a gateway that runs."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from agent_world import World
from callers import bearer, status


def run(*argv: str) -> tuple[int, str, str]:
    """The program's exit code, and what it printed."""
    whole = (sys.executable, "-m", "sparkctl", "agents", "key", *argv)
    ended = subprocess.run(whole, capture_output=True, text=True, timeout=60)
    return ended.returncode, ended.stdout, ended.stderr


def test_keys_of_the_shell(gateway: World, tmp_path: Path) -> None:
    told = tmp_path / "agents.json"
    told.write_text(gateway.document.model_dump_json())
    config = ("--config", str(told))
    code, out, _ = run("create", "anna", "--name", "a try", "--scope", "admin", "--days", "1", *config)
    key = out.strip()
    assert code == 0
    assert status(gateway, "/keys", key) == 200
    _, out, _ = run("list", *config)
    (shown,) = map(json.loads, out.splitlines())
    assert (shown["user"], shown["name"], shown["scopes"]) == ("anna", "a try", "admin")
    assert run("revoke", shown["id"], *config) == (0, "", "")
    deadline = time.monotonic() + 30
    while gateway.client.get("/keys", headers=bearer(key)).status_code == 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    audit = gateway.client.get("/audit", params={"user": "shell"}).json()
    assert [one["action"] for one in audit] == ["key.revoke", "key.create"]


@pytest.mark.parametrize(
    ("argv", "exit_code", "said"),
    [
        (("create", "anna", "--scope", "root"), 3, "--scope: 'root' is none of chat, documents, code, admin, metrics"),
        (("create", "a b"), 3, "USER: 'a b' is not of letters, digits and ._@-"),
        (("revoke", "none"), 3, "no key has the id none"),
    ],
)
def test_what_cannot_be(tmp_path: Path, argv: tuple[str, ...], exit_code: int, said: str) -> None:
    told = tmp_path / "agents.json"
    told.write_text(json.dumps({"models": {"m": {"url": "http://h/v1", "id": "m"}}, "where": {"data": str(tmp_path)}}))
    code, _, error = run(*argv, "--config", str(told))
    assert code == exit_code
    assert said in error
