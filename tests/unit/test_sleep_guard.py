"""The program that stands before a vLLM that may sleep, with the routes of its development mode."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sparkctl.engines import sleep_guard
from sparkctl.engines.container import FOLDER

HERE, ELSEWHERE = "192.168.1.5", "192.168.1.77"
DEV_MODE = (
    "/collective_rpc", "/server_info", "/reset_prefix_cache", "/reset_mm_cache", "/reset_encoder_cache",
    "/release_kv_cache_memory", "/pause", "/resume", "/abort_requests", "/init_weight_transfer_engine",
    "/update_weights", "/start_weight_update", "/finish_weight_update", "/is_paused",
)  # fmt: skip
"""What vLLM 0.32.0 opens with VLLM_SERVER_DEV_MODE=1, beside the three that are needed."""


def ask(path: str, client: str | None = ELSEWHERE, kind: str = "http") -> int:
    """What a request for that path gets from an application that answers everything with 200."""
    room: dict[str, Any] = {}
    exec(sleep_guard.PROGRAM, room)
    sent: list[dict[str, Any]] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": kind, "path": path, "client": (client, 40000) if client else None, "server": (HERE, 8000)}
    asyncio.run(room["Guard"](application)(scope, None, send))
    return int(sent[0].get("status") or sent[0]["code"])


@pytest.mark.parametrize("path", DEV_MODE)
@pytest.mark.parametrize("client", [HERE, ELSEWHERE])
def test_what_development_mode_opens_beside_is_not_there(path: str, client: str) -> None:
    assert ask(path, client) == 404


@pytest.mark.parametrize("path", ["/sleep", "/wake_up", "/is_sleeping"])
def test_only_the_node_itself_puts_it_to_sleep(path: str) -> None:
    assert ask(path, HERE) == 200
    assert ask(path, ELSEWHERE) == 404
    assert ask(path, None) == 404


@pytest.mark.parametrize("path", ["/v1/models", "/v1/chat/completions", "/health", "/metrics"])
def test_clients_are_served(path: str) -> None:
    assert ask(path) == 200


@pytest.mark.parametrize("path", ["/sleep/", "//sleep", "/invocations", "/v1", "/tokenize"])
def test_what_is_like_it_is_not_there_either(path: str) -> None:
    assert ask(path) == 404


def test_a_web_socket_is_closed_and_a_start_passes() -> None:
    assert ask("/other", kind="websocket") == 1008
    assert ask("", kind="lifespan") == 200


def test_the_start_script_writes_it(tmp_path: Path) -> None:
    script = sleep_guard.INSTALL.replace(FOLDER, str(tmp_path / "run"))
    look = f"PYTHONPATH={tmp_path}/run {sys.executable} -c 'import sparkctl_sleep_guard as g; print(g.FOR_THE_NODE)'"
    done = subprocess.run(["bash", "-c", script + look], env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True)
    assert "/is_sleeping" in done.stdout, done.stderr
