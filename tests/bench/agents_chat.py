"""What `/chat` adds to the two calls of a model that it makes: a supervisor and one handoff, at zero latency."""

import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from httpx2 import Client, HTTPError

from sparkctl.agent_spec import Agents, AgentsDocument, AgentSpec, Limits, ModelEndpoint, Where
from tests.bench.measure import BIN, Figure

KEY = "key-of-the-bench"
ROUNDS, WARM = 400, 40
"""Answers of each kind, taken in turn, and those before them that do not count."""
START_SECONDS = 60
MESSAGE = {"role": "user", "content": "plain, please: a story"}
PLENTY = Limits(requests_per_minute=1_000_000, tokens_per_day=1_000_000_000)


def figures() -> Iterator[Figure]:
    """Median of what the gateway adds, against the same two calls made by hand; SQLite, one client."""
    with TemporaryDirectory() as name:
        engine, gateway = _free_port(), _free_port()
        told = _told(Path(name), f"http://127.0.0.1:{engine}/v1", gateway)
        with (
            _process((sys.executable, "-m", "tests.standins.scripted", "--port", str(engine)), engine, "/v1/models"),
            _process((BIN / "sparkctl", "agents", "serve", "--config", told), gateway, "/health"),
            Client(trust_env=False) as client,
        ):
            raw, chat = _measured(client, f"http://127.0.0.1:{engine}/v1", f"http://127.0.0.1:{gateway}")
    note = f"{raw:.1f} ms by hand, {chat:.1f} ms by `/chat`; medians of {ROUNDS} each, in turn"
    yield Figure("`/chat`, supervisor and one handoff, adds to its two calls", chat - raw, 30, unit="ms", note=note)


def _measured(client: Client, engine: str, gateway: str) -> tuple[float, float]:
    """Median milliseconds by hand, and by `/chat`."""
    ways = {"raw": partial(_by_hand, client, engine), "chat": partial(_by_chat, client, gateway)}
    took: dict[str, list[float]] = {"raw": [], "chat": []}
    for _ in range(WARM + ROUNDS):
        for name, ask in ways.items():
            took[name].append(_timed(ask))
    raw, chat = (statistics.median(took[name][WARM:]) * 1000 for name in ways)
    return raw, chat


def _timed(ask: Callable[[], None]) -> float:
    began = time.perf_counter()
    ask()
    return time.perf_counter() - began


def _by_hand(client: Client, engine: str) -> None:
    """The two calls that the gateway makes: a choice at once, an answer as a stream."""
    tools = [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in _NAMES]
    body: dict[str, Any] = {"model": "scripted", "messages": [MESSAGE]}
    chosen = client.post(f"{engine}/chat/completions", json={**body, "tools": tools, "tool_choice": "required"})
    assert chosen.json()["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == _NAMES[0]
    with client.stream("POST", f"{engine}/chat/completions", json={**body, "stream": True}) as answer:
        assert list(answer.iter_lines())[-2] == "data: [DONE]"


_NAMES = ("transfer_to_plain", "answer_directly", "split_request")


def _by_chat(client: Client, gateway: str) -> None:
    headers = {"Authorization": f"Bearer {KEY}"}
    answer = client.post(f"{gateway}/chat", json={"message": MESSAGE["content"]}, headers=headers).json()
    assert answer["route"] == ["supervisor", "plain"], answer


def _told(folder: Path, engine: str, port: int) -> Path:
    (folder / "agents-key").write_text(KEY)
    document = AgentsDocument(
        agents=Agents(
            team={"supervisor": AgentSpec(kind="supervisor"), "plain": AgentSpec(kind="plain")}, limits=PLENTY
        ),
        models={"main": ModelEndpoint(url=engine, id="scripted")},
        where=Where(port=port, data=str(folder / "data"), secrets=str(folder)),
    )
    told = folder / "agents.json"
    told.write_text(document.model_dump_json())
    return told


@contextmanager
def _process(argv: Sequence[str | Path], port: int, path: str) -> Iterator[None]:
    """A server for the length of the block, from when it answers."""
    quiet = subprocess.DEVNULL
    with subprocess.Popen([str(word) for word in argv], stdout=quiet, stderr=quiet) as process:
        try:
            _wait(process, f"http://127.0.0.1:{port}{path}")
            yield
        finally:
            process.terminate()


def _wait(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    with Client(trust_env=False) as client:
        while time.monotonic() < deadline and process.poll() is None:
            try:
                if client.get(url).status_code == 200:
                    return
            except HTTPError:
                time.sleep(0.1)
    raise SystemExit(f"{url} did not answer")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
