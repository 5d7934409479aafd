"""The door before an engine without keys, as a process with a server behind it: what it lets through, how it ends."""

import json
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sshd import free_port

from sparkctl.node import api_door

ENGINE = """
import http.server, json, sys, time

class Engine(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer({"path": self.path, "headers": {k.lower(): v for k, v in self.headers.items()}})

    do_OPTIONS = do_GET

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
        if self.path == "/stream":
            return self.stream()
        if self.path == "/break":
            return self.connection.close()
        self.answer({"path": self.path, "body": body, "headers": {k.lower(): v for k, v in self.headers.items()}})

    def stream(self):
        self.send_response(200)
        self.end_headers()
        try:
            for number in range(600):
                self.wfile.write(f"data: {number}\\n\\n".encode())
                time.sleep(0.05)
        except OSError:
            print("nobody listens", flush=True)

    def answer(self, found):
        body = json.dumps(found).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Engine)
print("ready", flush=True)
try:
    server.serve_forever()
except KeyboardInterrupt:
    sys.exit(7)
"""
KEY = f"s3cret-{uuid.uuid4().hex}"
WITH_KEY = f"authorization: Bearer {KEY}\r\n"


class Door:
    """The running program; `port` is the clients'."""

    def __init__(self, folder: Path, *command: str, key: str = KEY) -> None:
        self.port, self.inner = free_port(), free_port()
        (folder / "api-key").write_text(key)
        (folder / "engine.py").write_text(ENGINE)
        command = command or (sys.executable, str(folder / "engine.py"), str(self.inner))
        at = (
            "--listen",
            f"127.0.0.1:{self.port}",
            "--to",
            str(self.inner),
            "--key",
            str(folder / "api-key"),
            "--model",
            "m",
        )
        argv = (sys.executable, api_door.__file__, *at, "--", *command)
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline()

    def say(self, text: str) -> tuple[int, str]:
        """Send raw bytes; the status and the rest of what comes back."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as client:
            client.sendall(text.encode())
            answer = b""
            while piece := client.recv(65536):
                answer += piece
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]) if head else 0, body.decode()

    def ask(self, method: str, path: str, body: str = "", more: str = WITH_KEY) -> tuple[int, Any]:
        length = f"content-length: {len(body)}\r\n" if body else ""
        status, text = self.say(f"{method} {path} HTTP/1.1\r\nhost: x\r\n{more}{length}\r\n{body}")
        return status, json.loads(text) if text.startswith("{") else text

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    made = Door(tmp_path_factory.mktemp("door"))
    assert made.line() == "ready\n"
    yield made
    made.process.send_signal(signal.SIGINT)
    made.process.wait(20)
    made.end()


@pytest.mark.parametrize("path", ["/v1/models", "/generate", "/", "/health/../v1/models", "//health", "/healthy", "*"])
def test_without_the_key_no_door_is_open(door: Door, path: str) -> None:
    assert door.ask("GET", path, more="")[0] == 401
    assert door.ask("GET", path, more=f"authorization: Bearer {KEY[:-1]}\r\n")[0] == 401
    assert door.ask("GET", path, more=f"authorization: bearer {KEY}\r\n")[0] == 401


def test_the_key_opens_and_stays_outside(door: Door) -> None:
    status, found = door.ask("POST", "/v1/chat/completions", '{"a": "b"}')
    assert (status, found["path"], found["body"]) == (200, "/v1/chat/completions", '{"a": "b"}')
    assert found["headers"] == {"host": "x", "content-length": "10", "connection": "close"}


@pytest.mark.parametrize("path", ["/health", "/health?x=1", "/metrics", "/version"])
def test_a_look_needs_no_key(door: Door, path: str) -> None:
    assert door.ask("GET", path, more="")[1]["path"] == path


def test_a_browser_may_ask_what_it_may(door: Door) -> None:
    assert door.ask("OPTIONS", "/v1/chat/completions", more="")[0] == 200


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("GET /health\r\n\r\n", 400),
        ("GET http://x/health HTTP/1.1\r\nhost: x\r\n\r\n", 400),
        ("GET /health HTTP/1.1\r\n\r\n", 400),
        ("GET /health HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n", 400),
        ("GET /health HTTP/1.1\r\nhost: x\nauthorization: y\r\n\r\n", 400),
        ("GET /health HTTP/1.1\r\nhost: x\r\n folded: y\r\n\r\n", 400),
        ("GET /health HTTP/1.1\r\nhost : x\r\n\r\n", 400),
        ("POST /health HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\ncontent-length: 5\r\n\r\nabcd", 400),
        ("POST /health HTTP/1.1\r\nhost: x\r\ncontent-length: +4\r\n\r\nabcd", 400),
        ("POST /health HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 411),
        (f"GET /health HTTP/1.1\r\nhost: x\r\na: {'b' * 70000}\r\n\r\n", 431),
    ],
)
def test_what_two_readers_could_read_in_two_ways_goes_no_further(door: Door, text: str, status: int) -> None:
    assert door.say(text)[0] == status


def test_a_second_request_on_the_connection_is_never_heard(door: Door) -> None:
    """Smuggled behind an open one, it would reach the engine without a key."""
    both = "GET /health HTTP/1.1\r\nhost: x\r\n\r\nGET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n"
    assert door.say(both)[1].count('"path"') == 1
    body = "GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n"
    status, found = door.ask("POST", "/health", body, more="")
    assert (status, found["body"]) == (200, body)


def test_an_answer_says_that_the_connection_ends_with_it(door: Door) -> None:
    """A client that keeps connections would send its next request into the closed one."""
    with socket.create_connection(("127.0.0.1", door.port), timeout=60) as client:
        client.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: keep-alive\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    head = answer.partition(b"\r\n\r\n")[0].lower()
    assert head.count(b"connection:") == head.count(b"connection: close") == 1


def test_a_client_that_waits_for_100_is_told_to_go_on(door: Door) -> None:
    status, rest = door.say(
        f"POST /v1/x HTTP/1.1\r\nhost: x\r\n{WITH_KEY}expect: 100-continue\r\ncontent-length: 2\r\n\r\nab"
    )
    assert status == 100
    assert '"body": "ab"' in rest


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/v1/responses"])
def test_another_model_than_the_served_one_does_not_exist(door: Door, path: str) -> None:
    """SGLang and TensorRT-LLM would answer with the one that they have."""
    status, found = door.ask("POST", path, '{"model": "gpt-5"}')
    assert (status, found["error"]["message"]) == (404, "The model `gpt-5` does not exist.")
    for body in ('{"model": "m"}', '{"model": "m:adapter"}', "{}", "[]", "{no JSON", '{"model": 5}'):
        assert door.ask("POST", path, body)[1]["body"] == body
    assert door.ask("POST", "/tokenize", '{"model": "gpt-5"}')[0] == 200


def test_a_body_beyond_all_measure_is_refused_before_it_is_read(door: Door) -> None:
    assert (
        door.say(f"POST /v1/completions HTTP/1.1\r\nhost: x\r\n{WITH_KEY}content-length: 999999999999\r\n\r\n")[0]
        == 413
    )


@pytest.mark.parametrize(
    ("more", "body", "status"),
    [("", "x" * (8 << 20), 401), (WITH_KEY, '{"model": "gpt-5", "a": "%s"}' % ("x" * 8000), 404)],
)
def test_a_refusal_is_heard_by_who_is_still_speaking(door: Door, more: str, body: str, status: int) -> None:
    """A connection that is closed on unread bytes is reset, and the client never sees the answer."""
    for _ in range(3):
        assert door.ask("POST", "/v1/completions", body, more)[0] == status


def test_a_body_nested_beyond_all_measure_is_refused(door: Door) -> None:
    assert door.ask("POST", "/v1/completions", "[" * 200_000)[0] == 400


def test_an_engine_that_breaks_off_is_said_so(door: Door) -> None:
    status, found = door.ask("POST", "/break", "{}")
    assert (status, found["error"]["message"]) == (502, "the engine broke off")


def test_the_engine_hears_that_the_client_went(door: Door) -> None:
    with socket.create_connection(("127.0.0.1", door.port), timeout=60) as client:
        client.sendall(f"POST /stream HTTP/1.1\r\nhost: x\r\n{WITH_KEY}\r\n".encode())
        while b"data: 1\n" not in client.recv(65536):
            pass
    assert door.line() == "nobody listens\n"


def test_while_the_engine_loads_it_says_so_and_asks_for_the_key(tmp_path: Path) -> None:
    door = Door(tmp_path, "sleep", "600")
    try:
        deadline = time.monotonic() + 60
        while door.process.poll() is None and time.monotonic() < deadline:
            try:
                found = door.ask("GET", "/health", more="")
                break
            except ConnectionRefusedError:
                time.sleep(0.05)
        assert found == (
            503,
            {"error": {"message": "the engine does not answer yet", "type": "ServiceUnavailable", "code": 503}},
        )
        assert door.ask("GET", "/v1/models", more="")[0] == 401
    finally:
        door.process.terminate()
        assert door.process.wait(20) == 128 + signal.SIGTERM
        door.end()


def test_it_ends_as_the_engine_ends(tmp_path: Path) -> None:
    for command, status in (
        (("sh", "-c", "exit 3"), 3),
        (("no-such-engine",), 127),
        (("sh", "-c", "kill -9 $$"), 137),
    ):
        door = Door(tmp_path, *command)
        output = door.process.communicate(timeout=60)
        assert (door.process.returncode, KEY in "".join(output)) == (status, False)


def test_it_starts_nothing_without_a_key_or_a_port(tmp_path: Path) -> None:
    marker = tmp_path / "started"
    door = Door(tmp_path, "touch", str(marker), key="\n")
    assert "the API key cannot be read: it is empty" in door.process.communicate(timeout=60)[1]
    assert door.process.returncode == 78
    with socket.create_server(("127.0.0.1", 0)) as taken:
        at = f"127.0.0.1:{taken.getsockname()[1]}"
        (tmp_path / "key").write_text(KEY)
        argv = (
            sys.executable,
            api_door.__file__,
            "--listen",
            at,
            "--to",
            "1",
            "--model",
            "m",
            "--key",
            str(tmp_path / "key"),
        )
        done = subprocess.run((*argv, "--", "touch", str(marker)), capture_output=True, text=True, timeout=60)
    assert (done.returncode, "address already in use" in done.stderr) == (98, True)
    assert not marker.exists()


def test_the_key_is_in_no_command_line(door: Door) -> None:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            text = (process / "cmdline").read_bytes()
        except OSError:
            continue
        assert KEY.encode() not in text
