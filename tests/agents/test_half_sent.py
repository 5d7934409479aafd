"""A client that goes away before it has sent its whole body: its own fault, and no bug of ours."""

import logging
import socket
import time
from pathlib import Path

import pytest
from agent_world import KEY, document_of, world
from standins.scripted import running, serving

from sparkctl.agents.api import envelope
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
        give_up = time.monotonic() + 60
        while not (ended := [one for one in caplog.records if one.name == "sparkctl.agents.access"]):
            assert time.monotonic() < give_up
            time.sleep(0.01)
    assert ended[0].__dict__["status"] < 500
    assert not [one for one in caplog.records if one.levelno >= logging.ERROR]


def answered(address: str, request: bytes, patience: float) -> str:
    """What comes back for the beginning of a request."""
    host, _, port = address.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=patience) as client:
        client.sendall(request)
        return client.recv(65_536).decode()


@pytest.mark.parametrize("path", ["/chat", "/chat/stream", "/search", "/keys", "/v1/chat/completions", "/documents"])
def test_who_has_no_key_is_refused_before_the_body_is_there(tmp_path: Path, path: str) -> None:
    with running(create_app(document_of(tmp_path, "http://127.0.0.1:9/v1"))) as address:
        answer = answered(address, HEAD.format(path, "wrong").encode() + b'{"mess', 30)
    assert answer.startswith("HTTP/1.1 401")
    assert '"code":"unauthorized"' in answer
    assert "\r\nconnection: close\r\n" in answer.lower()


@pytest.mark.parametrize("path", ["/chat", "/v1/chat/completions"])
def test_a_body_that_does_not_come_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(envelope, "BODY_SECONDS", 0.2)
    with running(create_app(document_of(tmp_path, "http://127.0.0.1:9/v1"))) as address:
        answer = answered(address, HEAD.format(path, KEY).encode() + b'{"mess', 30)
    assert answer.startswith("HTTP/1.1 408")
    assert "connection: close" in answer.lower()


def test_a_request_is_counted_once_and_refused_as_ever(tmp_path: Path) -> None:
    with world(tmp_path, limits={"requests_per_minute": 2}) as gateway:
        answers = [gateway.client.post("/search", json={"query": "x"}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[-1].json()["error"]["code"] == "rate_limited"
    assert answers[-1].headers["Retry-After"]
