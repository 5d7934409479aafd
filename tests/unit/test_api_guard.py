"""The program that stands before vLLM's API, run as the container runs it: without the key only health is told."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sparkctl.engines import api_guard
from sparkctl.engines.container import FOLDER

KEY = [(b"authorization", b"Bearer s3cret")]


@pytest.fixture(scope="module")
def guard() -> Any:
    """The class, with an application behind it that answers 200."""
    environ = pytest.MonkeyPatch()
    environ.setenv("VLLM_API_KEY", "s3cret")
    room: dict[str, Any] = {}
    exec(api_guard.PROGRAM, room)
    environ.undo()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})

    return room["Guard"](application)


def ask(guard: Any, path: str, headers: Any = (), kind: str = "http", method: str = "GET") -> int:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(guard({"type": kind, "method": method, "path": path, "headers": headers}, None, send))
    return int(sent[0].get("status") or sent[0]["code"])


@pytest.mark.parametrize("path", ["/invocations", "/tokenize", "/", "/v1", "/v1/models", "/healthy", "//v1/x"])
def test_without_the_key_no_door_is_open(guard: Any, path: str) -> None:
    assert ask(guard, path) == 401
    assert ask(guard, path, [(b"authorization", b"Bearer wrong")]) == 401
    assert ask(guard, path, KEY) == 200


@pytest.mark.parametrize("path", ["/health", "/metrics"])
def test_health_is_told(guard: Any, path: str) -> None:
    assert ask(guard, path) == 200


def test_a_browser_may_ask_what_it_may(guard: Any) -> None:
    assert ask(guard, "/v1/chat/completions", method="OPTIONS") == 200


def test_a_host_that_makes_another_url_of_the_path_opens_nothing(guard: Any) -> None:
    assert ask(guard, "/v1/models", [(b"host", b"a/?")]) == 401


def test_a_web_socket_is_closed(guard: Any) -> None:
    assert ask(guard, "/other", kind="websocket") == 1008


def test_a_start_of_the_application_passes(guard: Any) -> None:
    assert ask(guard, "", kind="lifespan") == 200


def test_the_start_script_writes_it(tmp_path: Path) -> None:
    script = api_guard.INSTALL.replace(FOLDER, str(tmp_path / "run"))
    look = f"{sys.executable} -c 'import sparkctl_api_guard as g; print(sorted(g.OPEN))'"
    done = subprocess.run(
        ["bash", "-c", script + look],
        env={"PATH": "/usr/bin:/bin", "VLLM_API_KEY": "k"},
        capture_output=True,
        text=True,
    )
    assert "/health" in done.stdout, done.stderr
