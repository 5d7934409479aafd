"""Uploads that find no room where they wait to be read: told as that, by the gateway and by the web UI."""

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from agent_world import KEY, World
from httpx2 import Client
from ui_world import ui_world

LARGE = bytes(3 << 20)


@pytest.fixture
def _narrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A disk of 2 MiB for what waits to be read."""
    if os.getuid():
        pytest.skip("root mounts the disk")
    (tmp_path / "narrow").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", tmp_path / "narrow"], check=True)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "narrow"))
    yield
    subprocess.run(["umount", "--lazy", tmp_path / "narrow"], check=True)


@pytest.mark.usefixtures("_narrow")
@pytest.mark.parametrize("path", ["/uploads", "/documents"])
def test_the_gateway_says_that_there_is_no_room(gateway: World, path: str) -> None:
    answer = gateway.client.post(path, files={"file": ("a.txt", LARGE, "text/plain")})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
    assert "no room" in answer.json()["error"]["message"]


@pytest.mark.usefixtures("_narrow")
def test_the_web_ui_says_that_there_is_no_room(tmp_path: Path) -> None:
    with ui_world(tmp_path) as world, Client(base_url=world.url, timeout=60) as client:
        token = re.search(r'name="csrf" value="(.+?)"', client.get("/login").text)
        assert token
        client.post("/login", data={"csrf": token[1], "key": KEY})
        answer = client.post("/documents", data={"csrf": "any"}, files={"file": ("a.txt", LARGE, "text/plain")})
    assert (answer.status_code, "no room" in answer.text) == (503, True), answer.text
