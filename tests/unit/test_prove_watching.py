"""The proofs of Prometheus and Grafana against stand-ins for their HTTP APIs on the loopback."""

import base64
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from typing import Any

import pytest
import yaml
from cli_fakes import cluster_of
from loopback import JsonHandler, serving
from stack import config_of

from sparkctl.prove import Proof
from sparkctl.prove_watching import prove_watching
from sparkctl.rendering import render
from sparkctl.stacks.agents import agents_of
from sparkctl.transport.memory import MemoryHost

PASSWORD = "made-by-up"
UP = {"scrapePool": "node", "labels": {"instance": "10.0.0.1:9101"}, "health": "up", "lastError": ""}
DOWN = {**UP, "health": "down", "lastError": "connection refused"}
HEALTH, SOURCE = "/api/health", "/api/datasources/uid/prometheus/health"


def targets(*found: dict[str, Any]) -> dict[str, Any]:
    return {"status": "success", "data": {"activeTargets": found, "droppedTargets": []}}


class Watching(JsonHandler):
    """As much of both APIs as is asked; `targets` are answers of Prometheus, of which the last one stays."""

    targets: list[dict[str, Any]]
    health: tuple[int, dict[str, Any]]
    source: tuple[int, dict[str, Any]]
    password = PASSWORD

    def do_GET(self) -> None:
        if self.path == "/api/v1/targets?state=active":
            self.end(200, self.targets.pop(0) if len(self.targets) > 1 else self.targets[0])
        elif self.path == HEALTH:
            self.end(*self.health)
        elif self.headers["Authorization"] != f"Basic {base64.b64encode(f'admin:{self.password}'.encode()).decode()}":
            self.end(401, {"message": "Invalid username or password"})
        else:
            assert self.path == SOURCE
            self.end(*self.source)


@pytest.fixture
def apis(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr("sparkctl.prove_watching.WAIT", 0.0)
    well = {
        "targets": [targets(UP)],
        "health": (200, {"database": "ok"}),
        "source": (200, {"status": "OK", "message": "It is."}),
    }
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("FreshWatching", (Watching,), well))
    with serving(server):
        yield server


def proofs(apis: ThreadingHTTPServer, **variables: str) -> dict[str, Proof]:
    config = config_of(cluster_of(1), ENABLE_MULTI_AGENT="1", ENABLE_PROMETHEUS="1", **variables)
    agents, head = agents_of(config), config.cluster.head
    assert agents
    ports = {("127.0.0.1", port): apis.server_port for port in (9090, 3001)}
    host = MemoryHost(head, ports=ports)
    host.reply(["cat"], f"{PASSWORD}\n")
    return {proof.name: proof for proof in prove_watching(config, agents.observability, {head.name: host}, print)}


def test_both_are_asked_where_both_are_deployed(apis: ThreadingHTTPServer) -> None:
    found = proofs(apis, ENABLE_GRAFANA="1")
    assert {name: (one.passed, one.shows) for name, one in found.items()} == {
        "prometheus": (True, "it reads all of its 1 targets"),
        "grafana": (True, "its data source says: It is."),
    }
    assert list(proofs(apis)) == ["prometheus"]


def test_a_target_that_is_not_read_is_named(apis: Any) -> None:
    apis.RequestHandlerClass.targets = [targets(UP, DOWN)]
    found = proofs(apis)["prometheus"]
    assert (found.passed, found.fix) == (False, "sparkctl status")
    assert found.shows == "1 of 2 targets are not read: node at 10.0.0.1:9101 (connection refused)"


def test_a_target_that_came_up_a_moment_ago_is_waited_for(apis: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sparkctl.prove_watching.WAIT", 60.0)
    monkeypatch.setattr("sparkctl.prove_watching.PAUSE", 0.0)
    apis.RequestHandlerClass.targets = [targets(DOWN), targets({**UP, "health": "unknown"}), targets(UP)]
    assert proofs(apis)["prometheus"].passed


@pytest.mark.parametrize("answer", [targets(), {}, {"data": {"activeTargets": [{"health": "down"}]}}])
def test_a_prometheus_without_targets_is_no_proof(apis: Any, answer: dict[str, Any]) -> None:
    apis.RequestHandlerClass.targets = [answer]
    found = proofs(apis)["prometheus"]
    assert (found.passed, found.fix) == (False, "sparkctl logs prometheus")


@pytest.mark.parametrize(
    ("changes", "shows"),
    [
        ({"health": (503, {"database": "failing"})}, "it is not well: HTTP 503"),
        ({"source": (400, {"message": "no such host"})}, "its data source does not answer: HTTP 400, no such host"),
        ({"source": (200, {"status": "ERROR", "message": "It is not."})}, "its data source says: It is not."),
    ],
)
def test_a_grafana_that_sees_nothing_fails(apis: Any, changes: dict[str, Any], shows: str) -> None:
    for name, value in changes.items():
        setattr(apis.RequestHandlerClass, name, value)
    found = proofs(apis, ENABLE_GRAFANA="1")["grafana"]
    assert (found.passed, found.shows, found.fix) == (False, shows, "sparkctl logs grafana")


def test_a_password_of_ones_own_is_no_failure(apis: Any) -> None:
    apis.RequestHandlerClass.password = "of-my-own"
    found = proofs(apis, ENABLE_GRAFANA="1")["grafana"]
    assert (found.passed, "was changed" in found.shows) == (True, True)


def test_what_does_not_answer_fails(apis: ThreadingHTTPServer) -> None:
    apis.shutdown()
    apis.server_close()
    found = proofs(apis, ENABLE_GRAFANA="1")
    assert [one.passed for one in found.values()] == [False, False]
    assert "does not answer" in found["grafana"].shows


def test_the_source_that_is_asked_is_the_one_that_grafana_is_told_of() -> None:
    text = render("grafana/provisioning/datasources.yml.j2", prometheus="http://127.0.0.1:9090")
    assert SOURCE.split("/")[4] == yaml.safe_load(text)["datasources"][0]["uid"]
