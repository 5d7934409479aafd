"""The proofs of the agents against a stand-in for the gateway's API on the loopback, and one for its container."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import ThreadingHTTPServer
from typing import Any

import pytest
from cli_fakes import cluster_of
from loopback import JsonHandler, serving
from stack import config_of

from sparkctl.prove import Proof
from sparkctl.prove_agents import SELFTEST, prove_agents
from sparkctl.stacks.agents import agents_of
from sparkctl.transport.memory import MemoryHost

TIGHT = {"passed": True, "languages": ["python", "bash"], "checks": [{"name": "become root", "fault": ""}]}
OPEN = {"passed": False, "languages": [], "checks": [{"name": "become root", "fault": "it could"}]}
AWAY = {"error": {"what": "the sandbox is away: its container does not answer"}}


class Gateway(JsonHandler):
    """As much of the API as is asked; `sessions` are those that it keeps."""

    sessions: list[str]
    health: tuple[int, dict[str, Any]]

    def do_GET(self) -> None:
        self.end(*(self.health if self.path == "/health" else (401, {})))

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.sessions.append(f"s{len(self.sessions)}")
        agent = asked["agent_type"] or "supervisor"
        self.end(200, {"response": "hello", "route": [agent], "session_id": self.sessions[-1]})

    def do_DELETE(self) -> None:
        assert self.headers["Authorization"] == "Bearer key"
        self.sessions[self.sessions.index(self.path.removeprefix("/sessions/"))] = ""
        self.end(200, {})


@dataclass
class Engine:
    """As much of a Docker client as runs the self-test in the gateway's container."""

    output: bytes

    @property
    def containers(self) -> "Engine":
        return self

    def get(self, name: str) -> "Engine":
        assert name == "sparkctl-demo-gateway"
        return self

    def exec_run(self, command: list[str], *, stderr: bool = True) -> tuple[int, bytes]:
        assert command == list(SELFTEST)
        return 0, b"a warning\n" * stderr + self.output


@pytest.fixture
def api() -> Iterator[Any]:
    fresh = {"sessions": [], "health": (200, {"status": "healthy"})}
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("FreshGateway", (Gateway,), fresh))
    with serving(server):
        yield server


def proofs(api: Any, selftest: bytes = json.dumps(TIGHT).encode()) -> dict[str, Proof]:
    config = config_of(cluster_of(1), ENABLE_MULTI_AGENT="1")
    agents, head = agents_of(config), config.cluster.head
    assert agents
    ports = {(config.cluster.api_ip, config.profile.ports.api): api.server_port}
    host = MemoryHost(head, ports=ports, engine=Engine(selftest))  # type: ignore[arg-type]
    host.reply(["cat"], "key\n")
    return {proof.name: proof for proof in prove_agents(config, agents, {head.name: host}, "hello", print)}


def test_every_agent_is_asked_and_no_conversation_stays(api: Any) -> None:
    found = proofs(api)
    assert found.pop("gateway-reach").passed
    assert {name: one.shows for name, one in found.items() if one.passed} == {
        "gateway": "/health answers 200",
        "gateway-key": "without the key: 401",
        "sandbox": "code is run, in python, bash",
        "routed": "supervisor: 'hello'",
        "agent-rag": "rag: 'hello'",
        "agent-coding": "coding: 'hello'",
    }
    assert api.RequestHandlerClass.sessions == ["", "", ""]


def test_a_gateway_that_is_not_well_says_why(api: Any) -> None:
    api.RequestHandlerClass.health = (503, {"error": {"message": "the database does not answer"}})
    (found,) = proofs(api).values()
    assert (found.passed, found.fix) == (False, "sparkctl status")
    assert found.shows == "/health answers HTTP 503, the database does not answer"


@pytest.mark.parametrize(
    ("said", "shows", "fix"),
    [
        (json.dumps(OPEN).encode(), "code is not run: become root: it could", "sparkctl logs sandbox"),
        (json.dumps(AWAY).encode(), "the sandbox is away: its container does not answer", "sparkctl status"),
        (b"killed", "its self-test said nothing that can be read", "sparkctl logs sandbox"),
    ],
)
def test_a_sandbox_that_runs_no_code_fails_the_test(api: Any, said: bytes, shows: str, fix: str) -> None:
    found = proofs(api, said)["sandbox"]
    assert (found.passed, found.shows, found.fix) == (False, shows, fix)
