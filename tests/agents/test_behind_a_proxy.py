"""A proxy with TLS before a program of the platform: on the same host it is believed, from elsewhere it is not."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from fastapi import FastAPI, Request
from httpx2 import Client, HTTPTransport
from working import until

from sparkctl.agents.server import Server

OWN = "127.0.0.2"
"""An address of this machine that is not the one that every program believes."""


@contextmanager
def serving() -> Iterator[str]:
    """A program that listens there, and answers with the scheme by which its clients think they came; its URL."""
    app = FastAPI()

    @app.get("/")
    async def scheme(request: Request) -> str:
        return request.url.scheme

    with socket.create_server((OWN, 0)) as own:
        server = Server(app, OWN, drain_seconds=1)
        thread = threading.Thread(target=server.run, args=([own],))
        thread.start()
        until(lambda: server.started)
        try:
            yield f"http://{OWN}:{own.getsockname()[1]}/"
        finally:
            server.should_exit = True
            thread.join()


@pytest.mark.parametrize(("source", "scheme"), [(OWN, "https"), ("127.0.0.1", "https"), ("127.0.0.3", "http")])
def test_who_is_believed_that_the_browser_came_by_https(source: str, scheme: str) -> None:
    with serving() as url, Client(transport=HTTPTransport(local_address=source)) as client:
        assert client.get(url, headers={"X-Forwarded-Proto": "https"}).json() == scheme
