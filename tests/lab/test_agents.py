"""The agent platform as a user deploys it: real PostgreSQL, vLLM, Prometheus; gateway, sandbox, web UI.

One deployment in file order: each test stands on those above it. The model is real and speaks no language; that agents
do their work with one that does is for tests/agents, with the scripted server.
"""

import json
import secrets
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from admin import Admin, containers, write_profile
from canaries import files_with, forms, words_with
from machines import TestLab

pytestmark = pytest.mark.lab

ENGINE = {"ray-head@spark-1", "ray-worker@spark-2", "vllm@spark-1"}
PLATFORM = {f"{name}@spark-1" for name in ("postgres", "sandbox", "gateway", "node-stats", "ui", "prometheus")} | {
    "node-stats@spark-2"
}


@pytest.fixture(scope="module")
def admin(lab: TestLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Admin[TestLab]]:
    """The one who deploys; whatever other modules left is taken away first, and all of it at the end."""
    somebody = Admin(lab, tmp_path_factory.mktemp("admin"), "lab-agents")
    somebody("down", "--purge", "--yes")
    yield somebody
    somebody("down", "--purge", "--yes", code=None)


def test_up_brings_every_service(admin: Admin[TestLab]) -> None:
    document = admin.json("up", "--yes")
    assert document["result"] == "done"
    assert containers(admin.lab).keys() == ENGINE | PLATFORM
    assert [(place["url"], place["model"]) for place in document["endpoints"]] == [
        (f"{url(admin)}/v1", "sparkctl/auto")
    ]
    admin("plan", "--exit-code")
    assert admin.json("status")["state"] == "ok"


def test_every_agent_answers_by_the_real_model(admin: Admin[TestLab]) -> None:
    """Stands on test_up_brings_every_service."""
    document = admin.json("test")
    assert document["passed"]
    model = {"ray", "health", "key", "token", "reach"}
    agents = {
        "gateway",
        "gateway-key",
        "gateway-reach",
        "sandbox",
        "routed",
        "agent-rag",
        "agent-coding",
        "prometheus",
    }
    assert {proof["name"] for proof in document["proofs"]} == model | agents
    assert [place["model"] for place in document["endpoints"]] == ["sparkctl/auto", "sparklab/tiny-llama"]


def test_a_client_has_what_credentials_shows(admin: Admin[TestLab]) -> None:
    """Stands on test_up_brings_every_service."""
    shown = admin.json("credentials")
    assert (shown["base_url"], shown["model"]) == (f"{url(admin)}/v1", "sparkctl/auto")
    assert f"export OPENAI_BASE_URL={url(admin)}/v1" in admin("credentials", "--env").out
    said = ask(admin, "/chat", {"message": "Which of you writes code?", "session_id": "kept"})
    assert said["route"][0] == "supervisor"
    assert said["response"]
    models = [one["id"] for one in ask(admin, "/v1/models")["data"]]
    assert {"sparkctl/auto", "sparkctl/coding", "sparklab/tiny-llama"} <= set(models)


def test_prometheus_sees_gateway_nodes_and_engine(admin: Admin[TestLab]) -> None:
    """Stands on test_up_brings_every_service: with the keys, which it reads from files."""
    wanted = {("gateway", ""): "1", ("node", "spark-1"): "1", ("node", "spark-2"): "1", ("engine", "main"): "1"}
    deadline = time.monotonic() + 90
    while (found := up(admin)) != wanted:
        assert time.monotonic() < deadline, found
        time.sleep(2)
    doors = {door["service"]: door["url"] for door in admin.json("credentials")["doors"]}
    assert doors == {"ui": f"http://{admin.lab.head.address}:5000", "prometheus": "http://127.0.0.1:9090"}


def test_the_sandbox_is_confined(admin: Admin[TestLab]) -> None:
    """Stands on test_up_brings_every_service. What its jobs cannot do is for tests/agents/test_sandbox_attacks.py."""
    found = json.loads(admin.lab.head.root("docker", "inspect", containers(admin.lab)["sandbox@spark-1"]))[0]
    host = found["HostConfig"]
    assert (host["NetworkMode"], host["ReadonlyRootfs"], host["CapDrop"]) == ("none", True, ["ALL"])
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert (host["PidsLimit"], host["Memory"], host["MemorySwap"]) == (64, 512 << 20, 512 << 20)
    assert found["Config"]["User"] == "65534:1000"
    assert [secret for secret in found["Mounts"] if secret["Destination"].startswith("/run/secrets")] == []


def test_ports_are_narrow(admin: Admin[TestLab]) -> None:
    """Stands on test_up_brings_every_service. The database has no port, the engine none on the side of the clients."""
    rows = [line.split()[3] for line in admin.lab.head.root("ss", "-lntH").splitlines()]
    at = admin.lab.head.address
    of_clients = {row for row in rows if row.startswith((at, "0.0.0.0", "*", "[::]"))}
    assert {f"{at}:8000", f"{at}:5000"} <= of_clients
    assert not [row for row in rows if row.endswith(":5432")]
    assert not [row for row in of_clients if row.endswith((":18000", ":9101", ":9090"))]
    assert "127.0.0.1:9090" in rows


def test_no_secret_is_where_it_could_be_read(admin: Admin[TestLab]) -> None:
    """Stands on test_up_brings_every_service: of those that the head made."""
    folder = f"/home/nvidia/.sparkctl/{admin.lab.lab.name}"
    names = ("agents-key", "jwt-secret", "metrics-key", "node-key", "database-password")
    found = {name: admin.lab.head.root("cat", f"{folder}/secrets/{name}").strip() for name in names}
    assert all(len(value) >= 32 for value in found.values())
    assert files_with(admin.lab.head, forms(found)) == sorted(f"{folder}/secrets/{name}" for name in names)
    assert files_with(admin.lab.worker, forms(found)) == [f"{folder}/secrets/node-key"]
    for machine in admin.lab.nodes:
        assert words_with(machine, forms(found)) == []


def test_another_text_of_an_agent_starts_gateway_and_ui_anew_and_nothing_else(admin: Admin[TestLab]) -> None:
    """Stands on test_up_brings_every_service."""
    before, word = containers(admin.lab), secrets.token_hex(4)
    team = {
        "supervisor": {"kind": "supervisor"},
        "rag": {"kind": "rag"},
        "coding": {"kind": "coding", "description": f"Writes code {word}."},
    }
    told = write_profile(admin.home, "told", "lab-agents", agents={"team": team})
    other = admin.serving(told)
    assert other.json("status", code=2)["state"] == "drifted"
    changed = {s["id"] for s in other.json("up", "--yes")["run"]["steps"] if s["outcome"] == "changed"}
    assert changed <= {
        f"{name}@spark-1" for name in ("agents-document", "gateway", "gateway-health", "ui", "ui-health")
    }
    after = containers(admin.lab)
    assert {name for name in after if after[name] != before[name]} == {"gateway@spark-1", "ui@spark-1"}
    assert word in json.dumps(ask(admin, "/agents"))
    admin("up", "--yes")


def test_a_database_that_is_away_is_said_and_comes_back(admin: Admin[TestLab]) -> None:
    """Stands on test_up_brings_every_service: what was kept is there again, and the gateway was not started anew."""
    before = containers(admin.lab)
    ask(admin, "/chat", {"message": "Remember this.", "session_id": "kept"})
    admin.lab.head.root("docker", "stop", "-t", "5", before["postgres@spark-1"])
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask(admin, "/sessions/kept")
    assert refused.value.code == 503
    assert admin.json("status", code=2)["state"] == "drifted"
    admin("up", "--yes")
    after = containers(admin.lab)
    assert {name for name in after if after[name] != before[name]} == {"postgres@spark-1"}
    assert "Remember this." in json.dumps(ask(admin, "/sessions/kept"))


def test_a_gateway_that_was_killed_is_brought_back(admin: Admin[TestLab]) -> None:
    """Stands on test_up_brings_every_service."""
    before = containers(admin.lab)
    admin.lab.head.root("docker", "kill", before["gateway@spark-1"])
    assert admin.json("status", code=2)["state"] == "drifted"
    admin("up", "--yes")
    after = containers(admin.lab)
    assert {name for name in after if after[name] != before[name]} == {"gateway@spark-1"}
    admin("plan", "--exit-code")


def test_down_keeps_what_the_agents_know_and_purge_leaves_nothing(admin: Admin[TestLab]) -> None:
    """Stands on test_up_brings_every_service."""
    admin("stop", "--yes")
    assert containers(admin.lab) == {}
    admin("down", "--yes")
    folder, head = f"/home/nvidia/.sparkctl/{admin.lab.lab.name}", admin.lab.head
    assert head.root("ls", f"{folder}/secrets").split() == ["database-password"]
    assert head.root("test", "-s", f"{folder}/agents/postgres/PG_VERSION") == ""
    assert head.root("ls", f"{folder}/agents/prometheus").split()
    assert "config" not in head.root("ls", f"{folder}/agents").split()
    admin("down", "--purge", "--yes")
    for machine in admin.lab.nodes:
        assert machine.root("sh", "-c", "ls -A /home/nvidia/.sparkctl 2>/dev/null; docker images -aq") == ""


def url(admin: Admin[TestLab]) -> str:
    """The gateway."""
    return f"http://{admin.lab.head.address}:8000"


def up(admin: Admin[TestLab]) -> dict[tuple[str, str], str]:
    """What Prometheus says of those that it scrapes, by job, and node or model."""
    answer = admin.lab.head.root("curl", "-s", "http://127.0.0.1:9090/api/v1/query?query=up")
    rows = [(row["metric"], row["value"][1]) for row in json.loads(answer)["data"]["result"]]
    return {(labels["job"], labels.get("node") or labels.get("model") or ""): value for labels, value in rows}


def ask(admin: Admin[TestLab], path: str, body: Mapping[str, Any] | None = None) -> Any:
    """The JSON of an answer, by the key of the head. Raises HTTPError."""
    key = admin.lab.head.root("cat", f"/home/nvidia/.sparkctl/{admin.lab.lab.name}/secrets/agents-key").strip()
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    data = json.dumps(body).encode() if body else None
    with urllib.request.urlopen(urllib.request.Request(url(admin) + path, data, headers), timeout=300) as answer:
        return json.load(answer)
