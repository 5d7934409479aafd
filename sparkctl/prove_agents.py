"""Proofs that the agents answer: the gateway is well and closed, code runs, every agent answers with its route."""

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, cast

from sparkctl.prove import DIRECT, REFUSED, Proof, Shown, Tell, reach, read_json, read_key, status_of, timed
from sparkctl.runtimes.containers import container_name, docker_errors
from sparkctl.transport.session import Session

if TYPE_CHECKING:
    from sparkctl.config.load import Config
    from sparkctl.stacks.agents import Agents

ANSWER_SECONDS = 300.0
"""For one answer of an agent, whose model may be asked several times."""
SHOWN = 60
"""Characters of an answer that are shown."""
_LOGS = "sparkctl logs gateway"
SELFTEST = ("sparkctl", "agents", "selftest", "--json")
"""Asks the sandbox as the gateway does, from within the gateway's container; docs/json.md has its document."""


def prove_agents(
    config: "Config", agents: "Agents", sessions: Mapping[str, Session], prompt: str, tell: Tell
) -> list[Proof]:
    """The gateway's and the sandbox's, then one for a request that is routed, and one for each agent by itself."""
    cluster, port, proofs = config.cluster, config.profile.ports.api, list[Proof]()
    tell("proving: gateway")
    with sessions[cluster.head.name].forward(cluster.api_ip, port) as local:
        url = f"http://127.0.0.1:{local}"
        proofs.append(timed("gateway", lambda: _healthy(url)))
        if not proofs[0].passed:
            return proofs
        key = read_key(config, sessions, agents.key)
        proofs.append(timed("gateway-key", lambda: _closed(url)))
        if agents.platform.sandbox.enabled:
            tell("proving: sandbox")
            proofs.append(timed("sandbox", lambda: _runs_code(config, sessions[cluster.head.name])))
        for name in ("", *agents.workers):
            tell(f"proving: {name or 'routed'}")
            proofs.append(timed(f"agent-{name}" if name else "routed", partial(_answers, url, key, name, prompt)))
    return [*proofs, timed("gateway-reach", lambda: reach(cluster.api_ip, port))]


def _healthy(url: str) -> Shown:
    try:
        read_json(f"{url}/health", {})
    except urllib.error.HTTPError as refusal:
        return False, f"/health answers {_told(refusal)}", "sparkctl status"
    except (OSError, ValueError, http.client.HTTPException) as error:
        return False, f"the gateway does not answer: {error}", "sparkctl status"
    return True, "/health answers 200", ""


def _runs_code(config: "Config", head: Session) -> Shown:
    """The sandbox answers the gateway, and found no way out of itself."""
    with docker_errors(head.node.name, "ask the sandbox"):
        gateway = head.docker.containers.get(container_name(config.cluster, "gateway"))
        _, output = cast("tuple[int, bytes]", gateway.exec_run(list(SELFTEST), stderr=False))
    try:
        said = json.loads(output)
        if "error" in said:
            return False, said["error"]["what"], "sparkctl status"
        faults = ", ".join(f"{one['name']}: {one['fault']}" for one in said["checks"] if one["fault"])
        shows = f"code is not run: {faults}" if faults else f"code is run, in {', '.join(said['languages'])}"
        return said["passed"], shows, "sparkctl logs sandbox"
    except (ValueError, KeyError, TypeError):
        return False, "its self-test said nothing that can be read", "sparkctl logs sandbox"


def _closed(url: str) -> Shown:
    """Whoever has no key must be turned away."""
    seen = {path: status_of(url + path, {}) for path in ("/agents", "/v1/models", "/metrics")}
    doors = [f"{path} answers {status}" for path, status in seen.items() if status not in REFUSED]
    return not doors, f"without the key: {', '.join(doors) or 401}", "the gateway is open to everybody: sparkctl up"


def _answers(url: str, key: str, agent: str, prompt: str) -> Shown:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    body = json.dumps({"message": prompt, "agent_type": agent}).encode()
    try:
        said = read_json(f"{url}/chat", headers, body, ANSWER_SECONDS)
    except (OSError, ValueError, http.client.HTTPException) as error:
        return False, f"no answer: {_told(error)}", _LOGS
    _forget(url, key, str(said.get("session_id", "")))
    route: Iterable[str] = said.get("route", ())
    text = str(said.get("response", "")).strip()
    shown = text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
    return bool(text), f"{' > '.join(route)}: {shown!r}", _LOGS


def _forget(url: str, key: str, session: str) -> None:
    """What was asked for a proof is no conversation of the owner's; where it cannot be taken away, it stays."""
    headers = {"Authorization": f"Bearer {key}"}
    request = urllib.request.Request(f"{url}/sessions/{session}", headers=headers, method="DELETE")  # noqa: S310
    with suppress(OSError, http.client.HTTPException), DIRECT.open(request, timeout=10):
        pass


def _told(error: Exception) -> str:
    """What the gateway says was wrong, where it says so."""
    if isinstance(error, urllib.error.HTTPError):
        try:
            return f"HTTP {error.code}, {json.load(error)['error']['message']}"
        except (ValueError, KeyError, TypeError):
            return f"HTTP {error.code}"
    return str(error)
