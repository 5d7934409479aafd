"""A client that goes away before it has sent its whole body: its own fault, and no bug of ours."""

import logging
import socket
import time
from pathlib import Path

import pytest
from agent_world import KEY, document_of
from standins.scripted import running, serving

from sparkctl.agents.api.app import create_app

HEAD = (
    "POST {} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {}\r\n"
    "Content-Type: application/json\r\nContent-Length: 90\r\n\r\n"
)


@pytest.mark.parametrize("path", ["/chat", "/chat/stream", "/v1/chat/completions", "/documents"])
def test_it_is_no_bug_of_ours(tmp_path: Path, caplog: pytest.LogCaptureFixture, path: str) -> None:
    caplog.set_level(logging.INFO, "sparkctl.agents")
    with serving() as model, running(create_app(document_of(tmp_path, model.url))) as address:
        host, _, port = address.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port))) as client:
            client.sendall(HEAD.format(path, KEY).encode() + b'{"model"')
            time.sleep(0.2)
        give_up = time.monotonic() + 20
        while not (ended := [one for one in caplog.records if one.name == "sparkctl.agents.access"]):
            assert time.monotonic() < give_up
            time.sleep(0.01)
    assert ended[0].__dict__["status"] < 500
    assert not [one for one in caplog.records if one.levelno >= logging.ERROR]
