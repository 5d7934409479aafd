"""Proofs that a cluster does its work, seen with a client's eyes: each looks, none changes anything."""

import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sparkctl.engines.engine import API_KEY
from sparkctl.engines.registry import engine
from sparkctl.errors import SparkctlError
from sparkctl.runtimes.containers import container_name, docker_errors
from sparkctl.steps.ray import joined_gpus, member
from sparkctl.steps.secret import secret_path
from sparkctl.transport.session import Session

if TYPE_CHECKING:
    from openai import OpenAI
    from openai.types.chat.chat_completion_chunk import ChoiceDelta

    from sparkctl.config.load import Config
    from sparkctl.config.served import Served

Shown = tuple[bool, str, str]
"""Passed, what was seen, and the fix where it was not."""

Look = Callable[[], Shown]

Tell = Callable[[str], None]

PROMPT = "Say hello to two Sparks."
TOKENS = 24
TOKEN_SECONDS = 30.0
"""Between two tokens, and before the first: a server that is this late is of no use to a client, busy or not."""
DOORS = {
    "/v1/models": ("/v1/models", {}),
    "/invocations": ("/invocations", {}),
    "/v1/models as Host a/?": ("/v1/models", {"Host": "a/?"}),
}
"""Path and headers of ways to the model: OpenAI's, SageMaker's, and one whose Host is taken for a part of the path.
vLLM alone leaves the second open, and with an older Starlette the third (`engines/api_guard.py`)."""
REFUSED = (401, 404)
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Our own tunnel is not asked for through the laptop's proxy."""


@dataclass(frozen=True)
class Proof:
    """One thing that was tried: what it showed, and the seconds that it took."""

    name: str
    passed: bool
    shows: str
    seconds: float
    fix: str = ""


@dataclass(frozen=True)
class Reply:
    """A streamed answer; `first` is the time to its first token in seconds, `tokens` how many came."""

    text: str
    tokens: int
    first: float


def _silent(_doing: str, /) -> None:
    """Nobody listens."""


def prove(
    served: "Served", sessions: Mapping[str, Session], api_key: str, prompt: str = PROMPT, tell: Tell = _silent
) -> list[Proof]:
    """All proofs of one model, in the order in which a failure of one explains the next; `tell` hears what is tried.

    Where no API server runs there is one, which says so; where it does not answer, nothing more is asked of it.
    """
    cluster, port, api = served.cluster, served.ports.api, engine(served.engine.name).API
    head, ray = cluster.head, member(cluster, cluster.head, served.suffix)
    service, running = f"{api.service}{served.suffix}", _running(served, sessions)
    logs = f"sparkctl logs {service}"
    proofs: list[Proof] = []

    def add(name: str, look: Look) -> bool:
        tell(f"proving: {name}{served.suffix.replace('-', ' of ', 1)}")
        proofs.append(timed(f"{name}{served.suffix}", look))
        return proofs[-1].passed

    if service not in running:
        shows = f"no container of the API runs on {head.name}: not deployed, or stopped"
        again = f"sparkctl role launch {served.name}" if served.on_demand else "sparkctl up"
        add("deployed", lambda: (False, shows, again))
        return proofs
    if ray in running:
        add("ray", lambda: _ray(served, sessions))
    with sessions[head.name].forward(api.address(cluster), port) as local:
        url = f"http://127.0.0.1:{local}/v1"
        if not add("health", lambda: _answers(url, api.health, logs)):
            return proofs
        if api.keyed:
            add("key", lambda: _refuses(url))
        add("token", lambda: _token(url, api_key, served.served_name, prompt, logs))
    if api.keyed:
        add("reach", lambda: reach(cluster.api_ip, port))
    return proofs


def read_key(config: "Config", sessions: Mapping[str, Session], name: str = API_KEY) -> str:
    """A key, from the head: the only place where a generated one lies. Raises SparkctlError where it is not."""
    head, path = config.cluster.head.name, secret_path(config.cluster, config.cluster.head, name)
    key = sessions[head].run(("cat", path), check=False, timeout=10).stdout.strip()
    if not key:
        raise SparkctlError(f"there is no {name} on {head}", where=f"{head}: {path}", fix="deploy first: sparkctl up")
    return key


def stream(client: "OpenAI", model: str, prompt: str) -> Reply:
    """Ask for a chat answer token by token."""
    began, first = time.monotonic(), 0.0
    pieces: list[str] = []
    with client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": prompt}],
        max_tokens=TOKENS,
        temperature=0,
        stream=True,
    ) as answer:
        for chunk in answer:
            if chunk.choices and (piece := _said(chunk.choices[0].delta)):
                first = first or time.monotonic() - began
                pieces.append(piece)
    return Reply("".join(pieces), len(pieces), first)


def _said(delta: "ChoiceDelta | None") -> str:
    """What one piece says: models that reason begin with that, beside the answer, under one of two names."""
    if delta is None:  # servers other than OpenAI's leave it out of the last piece
        return ""
    aside = delta.model_extra or {}
    return delta.content or aside.get("reasoning_content") or aside.get("reasoning") or ""


def timed(name: str, look: Look) -> Proof:
    began = time.monotonic()
    try:
        passed, shows, fix = look()
    except SparkctlError as error:
        passed, shows, fix = False, error.what, error.fix
    return Proof(name, passed, shows, time.monotonic() - began, "" if passed else fix)


def _running(served: "Served", sessions: Mapping[str, Session]) -> set[str]:
    """The services that run on the node that answers clients."""
    head = served.cluster.head.name
    with docker_errors(head, "list containers"):
        names = [str(container.name) for container in sessions[head].docker.containers.list(ignore_removed=True)]
    start = container_name(served.cluster, "")
    return {name.removeprefix(start) for name in names if name.startswith(start)}


def _ray(served: "Served", sessions: Mapping[str, Session]) -> Shown:
    gpus = joined_gpus(served.cluster, sessions, served.suffix)
    missing = [node.name for node in served.cluster.nodes if node.data_ip not in gpus]
    shows = f"{len(gpus)} nodes, {sum(gpus.values()):.0f} GPUs"
    return not missing, shows + (f"; missing: {', '.join(missing)}" if missing else ""), "sparkctl up"


def _answers(url: str, path: str, logs: str) -> Shown:
    """The server says that it is well; it says nothing while it loads."""
    try:
        status = status_of(url.removesuffix("/v1") + path, {})
    except OSError:
        return False, "the API does not answer yet: the engine loads, or has failed", logs
    return status == 200, f"{path} answers {status}", logs


def _refuses(url: str) -> Shown:
    """A client without the key must be turned away, at every door to the model."""
    try:
        root = url.removesuffix("/v1")
        seen = {door: status_of(root + path, headers) for door, (path, headers) in DOORS.items()}
    except OSError as error:
        return False, f"the API does not answer: {error}", "sparkctl status"
    open_doors = [f"{path} answers {status}" for path, status in seen.items() if status not in REFUSED]
    shows = ", ".join(open_doors) or str(seen["/v1/models"])
    return not open_doors, f"without the key: {shows}", "the API is open to everybody: sparkctl up"


def status_of(url: str, headers: dict[str, str]) -> int:
    """The status of a GET, whatever it says. Raises OSError."""
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - our own tunnel
    try:
        return int(DIRECT.open(request, timeout=10).status)
    except urllib.error.HTTPError as refusal:
        return refusal.code


def read_json(url: str, headers: Mapping[str, str], body: bytes | None = None, seconds: float = 10) -> dict[str, Any]:
    """The JSON object of an answer, to a POST where there is a `body`. Raises OSError, HTTPException, ValueError."""
    request = urllib.request.Request(url, body, dict(headers))  # noqa: S310 - our own tunnel
    with DIRECT.open(request, timeout=seconds) as answer:
        found = json.load(answer)
    return found if isinstance(found, dict) else {}


def _token(url: str, api_key: str, model: str, prompt: str, logs: str) -> Shown:
    from openai import APITimeoutError, DefaultHttpxClient, OpenAI, OpenAIError

    direct = DefaultHttpxClient(trust_env=False)
    try:
        with OpenAI(base_url=url, api_key=api_key, timeout=TOKEN_SECONDS, max_retries=0, http_client=direct) as client:
            reply = stream(client, model, prompt)
    except APITimeoutError:
        return False, f"no token within {TOKEN_SECONDS:.0f} s: the request hangs", "sparkctl doctor"
    except OpenAIError as error:
        return False, f"{model} does not answer: {error}", logs
    shows = f"{reply.tokens} tokens, the first after {reply.first * 1000:.0f} ms: {reply.text.strip()!r}"
    return reply.tokens > 0, shows, logs


def reach(address: str, port: int) -> Shown:
    """Whether this laptop reaches the endpoint itself; clients elsewhere may, even where it does not."""
    try:
        socket.create_connection((address, port), timeout=3).close()
    except OSError as error:
        return True, f"this laptop does not reach {address}:{port} itself ({error}); sparkctl went through SSH", ""
    return True, f"this laptop reaches {address}:{port}", ""
