"""The gateway's raw path against the engine itself and LiteLLM's proxy, each a process of its own on this machine."""

import asyncio
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from urllib.request import urlopen

from aiohttp import ClientSession, ClientTimeout, TCPConnector

from sparkctl.agent_spec import Agents, AgentsDocument, AgentSpec, Limits, ModelEndpoint, Where
from tests.bench.measure import BIN, Figure, run

MODEL = "scripted"
KEY = "key-of-the-bench"
STREAMS, ROUNDS, EACH = 32, 5, 3
"""Streams at a time, rounds of every target in turn, and requests of each stream in a round."""
WORDS, GAP = 30, 0.05
"""Of an answer: its pieces, and seconds before each, as an engine with 20 tokens a second would send them."""
MANY, HELD = 500, 60
"""Streams held at a time, and for how many seconds, a piece in each."""
LITELLM = "litellm[proxy]==1.*"
START_SECONDS = 90
PLENTY = Limits(requests_per_minute=1_000_000, tokens_per_day=1_000_000_000)


@dataclass(frozen=True)
class Target:
    """Where the same request is sent, and under which process."""

    url: str
    key: str
    pid: int


@dataclass(frozen=True)
class Taken:
    """One stream: seconds to its first piece, and its pieces; `whole` if it ended as it should."""

    first: float
    pieces: int
    whole: bool


def passthrough() -> Iterator[Figure]:
    """What stands between an engine and its client adds to the time to the first token."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        engine = stack.enter_context(_engine(WORDS, GAP))
        targets = {
            "engine": engine,
            "sparkctl": stack.enter_context(_gateway(folder, engine)),
            "LiteLLM": stack.enter_context(_litellm(folder, engine)),
        }
        firsts: dict[str, list[float]] = {name: [] for name in targets}
        spent = dict.fromkeys(targets, 0.0)
        for turn in range(ROUNDS + 1):
            for name, target in targets.items():
                before = _processor_seconds(target.pid)
                taken = asyncio.run(_rounds(target))
                if not all(one.whole for one in taken):
                    raise SystemExit(f"{name} lost a stream of the bench")
                if turn:
                    spent[name] += _processor_seconds(target.pid) - before
                    firsts[name] += [one.first * 1000 for one in taken]
    added = {name: [_quantile(firsts[name], q) - _quantile(firsts["engine"], q) for q in (50, 99)] for name in targets}
    for place, quantile, most in ((0, 50, 5), (1, 99, 15)):
        own, other = added["sparkctl"][place], added["LiteLLM"][place]
        note = f"engine {_quantile(firsts['engine'], quantile):.1f} ms, {len(firsts['engine'])} answers each"
        yield Figure(f"added to the first token, p{quantile}", own, most, unit="ms", note=note)
        note = f"LiteLLM adds {other:.1f} ms"
        yield Figure(f"of what LiteLLM's proxy adds, p{quantile}", own / other, 0.5, note=note)
    own, other = (spent[name] * 1000 / len(firsts[name]) for name in ("sparkctl", "LiteLLM"))
    note = f"{own:.1f} ms, LiteLLM's {other:.1f} ms, an answer having {WORDS} pieces"
    yield Figure("processor time of an answer, of LiteLLM's", own / other, 0.5, note=note)


def streams() -> Iterator[Figure]:
    """Many streams held at once: raw ones, then those of an agent."""
    for name, model in (("raw", MODEL), ("an agent's", "sparkctl/plain")):
        with ExitStack() as stack:
            folder = Path(stack.enter_context(TemporaryDirectory()))
            gateway = stack.enter_context(_gateway(folder, stack.enter_context(_engine(HELD, 1.0))))
            taken = asyncio.run(_at_once(gateway, model))
            peak = _peak_mib(gateway.pid)
        lost = MANY - sum(one.whole and one.pieces == HELD for one in taken)
        note = f"{MANY} for {HELD} s, a piece a second in each"
        yield Figure(f"{name} streams lost", lost, 0, unit="", note=note)
        yield Figure(f"peak memory of the gateway, {name} streams", peak, 300, unit="MiB", note=note)


async def _rounds(target: Target) -> list[Taken]:
    async with _session() as session:

        async def one(number: int) -> list[Taken]:
            await asyncio.sleep(random.Random(number).random() * WORDS * GAP)
            return [await _stream(session, target, MODEL) for _ in range(EACH)]

        return [taken for each in await asyncio.gather(*map(one, range(STREAMS))) for taken in each]


async def _at_once(target: Target, model: str) -> list[Taken]:
    async with _session() as session:

        async def one(number: int) -> Taken:
            await asyncio.sleep(number / 100)
            return await _stream(session, target, model)

        return await asyncio.gather(*map(one, range(MANY)))


async def _stream(session: ClientSession, target: Target, model: str) -> Taken:
    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": "a story, please"}]}
    began, first, pieces, last = time.perf_counter(), 0.0, 0, b""
    async with session.post(
        f"{target.url}/chat/completions", json=body, headers={"Authorization": f"Bearer {target.key}"}
    ) as answer:
        if answer.status != 200:
            raise SystemExit(f"{target.url} answered {answer.status}: {await answer.text()}")
        async for line in answer.content:
            if b'"content":' in line and b'"content":null' not in line.replace(b" ", b""):
                first, pieces = first or time.perf_counter() - began, pieces + 1
            last = line.strip() or last
    return Taken(first, pieces, last == b"data: [DONE]")


def _session() -> ClientSession:
    return ClientSession(connector=TCPConnector(limit=0), timeout=ClientTimeout(total=None, sock_read=60))


def _quantile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]


@contextmanager
def _engine(words: int, gap: float) -> Iterator[Target]:
    port = _free_port()
    argv = [sys.executable, "-m", "tests.bench.gateway_engine", str(port), str(words), str(gap)]
    with _process(argv, port, "/v1/models", {}) as pid:
        yield Target(f"http://127.0.0.1:{port}/v1", "none", pid)


@contextmanager
def _gateway(folder: Path, engine: Target) -> Iterator[Target]:
    port, secrets = _free_port(), folder / "secrets"
    secrets.mkdir()
    (secrets / "agents-key").write_text(KEY)
    document = AgentsDocument(
        agents=Agents(entry="plain", team={"plain": AgentSpec(kind="plain")}, limits=PLENTY),
        models={"main": ModelEndpoint(url=engine.url, id=MODEL)},
        where=Where(data=str(folder / "data"), secrets=str(secrets), port=port),
    )
    path = folder / "agents.json"
    path.write_text(document.model_dump_json())
    with _process([str(BIN / "sparkctl"), "agents", "serve", "--config", str(path)], port, "/health", {}) as pid:
        yield Target(f"http://127.0.0.1:{port}/v1", KEY, pid)


@contextmanager
def _litellm(folder: Path, engine: Target) -> Iterator[Target]:
    """LiteLLM's proxy as its documentation starts it: with its master key, without database and callbacks."""
    venv = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "sparkctl" / "bench-litellm"
    if not (venv / "bin" / "litellm").exists():
        run([sys.executable, "-m", "venv", venv])
        run([venv / "bin" / "pip", "install", "-q", LITELLM])
    port = _free_port()
    params = {"model": f"openai/{MODEL}", "api_base": engine.url, "api_key": "none"}
    path = folder / "litellm.yaml"
    path.write_text(json.dumps({"model_list": [{"model_name": MODEL, "litellm_params": params}]}))  # JSON is YAML
    argv = [str(venv / "bin" / "litellm"), "--config", str(path), "--host", "127.0.0.1", "--port", str(port)]
    key = f"sk-{token_hex(32)}"
    environment = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "LITELLM_MASTER_KEY": key}
    with _process([*argv, "--telemetry", "False"], port, "/health/liveliness", environment) as pid:
        yield Target(f"http://127.0.0.1:{port}/v1", key, pid)


@contextmanager
def _process(argv: list[str], port: int, path: str, environment: dict[str, str]) -> Iterator[int]:
    """A server that answers at that path, for the length of the block; its process id."""
    with subprocess.Popen(
        argv, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            _await(server, f"http://127.0.0.1:{port}{path}")
            yield server.pid
        finally:
            server.terminate()
            server.wait(60)


def _await(server: "subprocess.Popen[bytes]", url: str) -> None:
    end = time.monotonic() + START_SECONDS
    while server.poll() is None and time.monotonic() < end:
        try:
            with urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"{server.args!r} does not answer at {url}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


def _processor_seconds(pid: int) -> float:
    """What a process has taken of the processor so far: with other work on the machine, the clock says more."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak_mib(pid: int) -> float:
    """The largest resident size of a process so far, as the kernel counted it."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
