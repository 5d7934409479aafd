"""What every engine must do, asked as clients ask: the same questions to vLLM itself and to the stand-ins."""

import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import openai
from machines import Machine

from sparkctl.engines.engine import Api
from sparkctl.lab import login

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
PROMPT = [{"role": "user", "content": "Say hello to two Sparks."}]


@dataclass(frozen=True)
class Asked:
    """A served model: where its node's address and port lead through a tunnel, and what to ask for."""

    url: str
    api: Api
    model: str
    key: str

    def client(self) -> openai.OpenAI:
        direct = openai.DefaultHttpxClient(trust_env=False)
        key = self.key or "none"
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=key, timeout=60, max_retries=0, http_client=direct)

    def status(self, path: str, key: str = "") -> tuple[int, str]:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        try:
            with DIRECT.open(urllib.request.Request(self.url + path, headers=headers), timeout=20) as answer:
                return int(answer.status), answer.read().decode()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.read().decode()


@contextmanager
def tunnel(machine: Machine, address: str, port: int) -> Iterator[str]:
    """The base URL of a port of a node, as somebody with a login reaches it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        local = server.getsockname()[1]
    argv = [*login.ssh_argv(machine.lab, machine.node)]
    forward = ("-o", "ExitOnForwardFailure=yes", "-N", "-L", f"127.0.0.1:{local}:{address}:{port}")
    ssh = subprocess.Popen([*argv[:-1], *forward, argv[-1]], stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while ssh.poll() is None and time.monotonic() < deadline:
            try:
                DIRECT.open(f"http://127.0.0.1:{local}/", timeout=5).close()
            except urllib.error.HTTPError:
                break
            except OSError:
                time.sleep(0.1)
            else:
                break
        yield f"http://127.0.0.1:{local}"
    finally:
        ssh.kill()
        ssh.wait()


def assert_conforms(asked: Asked) -> None:
    """Ready, models, chat, stream, an unknown model, metrics, and the key wherever there is one."""
    assert asked.status(asked.api.health)[0] == 200
    with asked.client() as client:
        assert asked.model in [model.id for model in client.models.list()]
        whole = _chat(client, asked.model)
        assert whole
        assert "".join(_stream(client, asked.model)) == whole
        assert len(_stream(client, asked.model)) > 1
        try:
            _chat(client, "no-such-model")
        except openai.NotFoundError as error:
            assert "no-such-model" in error.message
        else:
            raise AssertionError("an unknown model answers")
    if asked.api.metrics:
        status, text = asked.status(asked.api.metrics, asked.key)
        assert (status, bool(text)) == (200, True)
    if asked.api.keyed:
        for path in ("/v1/models", "/generate", "/metrics/../v1/models"):
            assert asked.status(path)[0] == 401
            assert asked.status(path, "wrong")[0] == 401


def _chat(client: openai.OpenAI, model: str) -> str:
    answer = client.chat.completions.create(model=model, messages=PROMPT, max_tokens=8, temperature=0)  # type: ignore[arg-type]
    return answer.choices[0].message.content or ""


def _stream(client: openai.OpenAI, model: str) -> list[str]:
    with client.chat.completions.create(
        model=model,
        messages=PROMPT,  # type: ignore[arg-type]
        max_tokens=8,
        temperature=0,
        stream=True,
    ) as pieces:
        return [p.choices[0].delta.content for p in pieces if p.choices and p.choices[0].delta.content]
