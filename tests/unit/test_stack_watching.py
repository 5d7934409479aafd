"""Prometheus, Grafana and Milvus beside the agents, as data: what they are told, who reaches them, what they keep."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from cli_fakes import cluster_of
from config_world import two_sparks
from stack import config_of

from sparkctl import data
from sparkctl.agent_spec import AgentsDocument
from sparkctl.config.load import Config
from sparkctl.config.profile import Component
from sparkctl.core.actions import Script
from sparkctl.core.plan import id_of, make_plan
from sparkctl.core.service import Service
from sparkctl.core.step import Layer, Step
from sparkctl.facts.probe import Answer, Facts, Probe
from sparkctl.runtimes.containers import Create
from sparkctl.stacks.agents import Agents, agents_of
from sparkctl.stacks.serving import all_steps, steps
from sparkctl.steps.agents import DocumentStep, agents_dir
from sparkctl.steps.health import HealthStep
from sparkctl.topology import Node

ALL: tuple[Component, ...] = ("vllm", "agents", "postgres", "prometheus", "grafana", "milvus")


def deployed(*components: Component) -> tuple[Config, Agents]:
    config = config_of(cluster_of())
    config = replace(config, profile=config.profile.model_copy(update={"components": components}))
    agents = agents_of(config)
    assert agents
    return config, agents


def service(agents: Agents, name: str) -> Service:
    return next(one for one in agents.services if one.name == name)


def by_id(config: Config) -> dict[str, Step]:
    return {id_of(step): step for step in steps(config)}


def test_nothing_of_it_faces_a_network() -> None:
    _, agents = deployed(*ALL)
    for name, port in (("prometheus", 9090), ("grafana", 3001), ("milvus", 19530)):
        one = service(agents, name)
        assert one.ports == (("127.0.0.1", port),)
        assert one.confined and one.confined.memory_bytes and one.confined.pids
        assert not one.capabilities and not one.devices
    assert "--web.listen-address=127.0.0.1:9090" in service(agents, "prometheus").command
    assert ("GF_SERVER_HTTP_ADDR", "127.0.0.1") in service(agents, "grafana").env


def test_prometheus_reads_gateway_nodes_and_engines_with_the_keys_as_files() -> None:
    config, agents = deployed("vllm", "agents", "prometheus")
    settings = yaml.safe_load(dict(agents.observability.prometheus_files)["config/prometheus/prometheus.yml"])
    jobs = {job["job_name"]: job for job in settings["scrape_configs"]}
    targets = {
        name: [(one["targets"], one.get("labels")) for one in job["static_configs"]] for name, job in jobs.items()
    }
    first, second = config.cluster.nodes
    assert targets == {
        "gateway": [([f"{config.cluster.api_ip}:8000"], None)],
        "node": [
            ([f"{first.data_ip}:9101"], {"node": "spark-1"}),
            ([f"{second.data_ip}:9101"], {"node": "spark-2"}),
        ],
        "engine": [([f"{first.data_ip}:18000"], {"model": "main"})],
    }
    keys = {name: job["authorization"]["credentials_file"] for name, job in jobs.items()}
    assert keys == {
        "gateway": "/run/secrets/metrics-key",
        "node": "/run/secrets/node-key",
        "engine": "/run/secrets/api-key",
    }
    assert {one.name for one in service(agents, "prometheus").secrets} == {"metrics-key", "node-key", "api-key"}
    assert "metrics-key" in {one.name for one in service(agents, "gateway").secrets}
    assert [one.node for one in agents.services if one.name == "node-stats"] == ["spark-1", "spark-2"]


def test_an_engine_that_tells_no_figures_is_not_asked_for_any() -> None:
    config, _ = deployed("vllm", "agents", "prometheus")
    engine = config.profile.engine.model_copy(update={"name": "ollama"})
    other = replace(config, profile=config.profile.model_copy(update={"engine": engine}))
    agents = agents_of(other)
    assert agents
    assert "job_name: engine" not in dict(agents.observability.prometheus_files)["config/prometheus/prometheus.yml"]


def test_grafana_has_the_dashboards_and_a_generated_password() -> None:
    _, agents = deployed("vllm", "agents", "prometheus", "grafana")
    files = dict(agents.observability.grafana_files)
    (source,) = yaml.safe_load(files["config/grafana/provisioning/datasources/sparkctl.yml"])["datasources"]
    assert source["url"] == "http://127.0.0.1:9090"
    boards = [json.loads(text) for path, text in files.items() if path.startswith("config/grafana/dashboards/")]
    assert {board["uid"] for board in boards} == {"sparkctl-agents", "sparkctl-engines", "sparkctl-nodes"}
    grafana = service(agents, "grafana")
    assert ("GF_SECURITY_ADMIN_PASSWORD__FILE", "/run/secrets/grafana-password") in grafana.env
    assert [one.name for one in grafana.secrets] == ["grafana-password"]


def test_another_dashboard_makes_another_grafana_and_no_other_prometheus() -> None:
    config, agents = deployed(*ALL)
    moved = agents.platform.model_copy(update={"prometheus_port": 9099})
    other = Agents(config, moved)
    different = [a.name for a, b in zip(agents.services, other.services, strict=True) if a.spec != b.spec]
    assert different == ["prometheus", "grafana"]


def test_milvus_is_one_container_with_a_password_from_its_first_start() -> None:
    config, agents = deployed(*ALL)
    milvus = service(agents, "milvus")
    assert ("COMMON_SECURITY_AUTHORIZATIONENABLED", "true") in milvus.env
    assert not [name for name, _ in milvus.env if "PASSWORD" in name]
    assert "/run/secrets/milvus-password" in milvus.command[0]
    assert yaml.safe_load(dict(agents.vectors.files)["config/milvus/etcd.yaml"])["listen-client-urls"].startswith(
        "http://127.0.0.1:"
    )
    document = AgentsDocument.model_validate(json.loads(agents.document))
    assert document.where.milvus == "http://127.0.0.1:19530"
    assert "milvus-password" in {one.name for one in service(agents, "gateway").secrets}
    assert "milvus-health@spark-1" in by_id(config)["gateway@spark-1"].needs
    health = by_id(config)["milvus-health@spark-1"]
    assert isinstance(health, HealthStep)
    assert health.seconds == 180
    assert "docker exec" in health.look


def test_unified_does_without_milvus_by_two_lines_of_its_profile(tmp_path: Path) -> None:
    """As docs/agents-deployment.md says: nothing of the plan waits for it, and the gateway keeps the chunks itself."""
    world, text = two_sparks(tmp_path), data.path("profiles/unified.yaml").read_text()
    for old, new in (("postgres, milvus, ui", "postgres, ui"), ("index: milvus", "index: embedded")):
        assert text.count(old) == 1
        text = text.replace(old, new)
    config = world.profile("mine", text.replace("name: unified", "name: mine")).load("mine")
    agents, every = agents_of(config), steps(config)
    assert agents
    document = AgentsDocument.model_validate(json.loads(agents.document))
    assert (document.agents.rag.index, document.where.milvus, config.notes) == ("embedded", "", ())
    told: dict[str, dict[str, Answer]] = {node.name: {} for node in config.cluster.nodes}
    for want in (want for step in every for want in step.wants):
        told[want.node][want.probe.name] = Answer("", 1)
    changed = {item.id for item in make_plan(every, Facts(told)).changes}
    assert {"gateway@spark-1", "postgres@spark-1", "agents-document@spark-1"} <= changed
    assert not [id for id in changed if "milvus" in id]


def test_docker_publishes_what_has_a_network_of_its_own() -> None:
    config, agents = deployed(*ALL)
    milvus = service(agents, "milvus")
    assert milvus.published == (("127.0.0.1", 19530),)
    assert "published: 127.0.0.1:19530" in Create(config.cluster, milvus, "sha256:1", ()).detail.splitlines()
    assert service(agents, "gateway").published == ()
    assert milvus.network == "sparkctl-demo-milvus"
    assert "milvus-network@spark-1" in by_id(config)["milvus@spark-1"].needs
    assert "milvus-network@spark-1" in {id_of(step) for step in all_steps(config_of(cluster_of()))}


def test_what_they_keep_lasts_until_purge_with_the_password_that_it_was_made_with() -> None:
    config, _ = deployed(*ALL)
    layers = {id_of(step): step.layer for step in steps(config)}
    for name in ("database", "milvus", "grafana"):
        assert layers[f"secret-{name}-password@spark-1"] is Layer.MODEL
    for name in ("milvus", "prometheus", "grafana"):
        assert layers[f"{name}-document@spark-1"] is Layer.HOST
        assert layers[f"{name}@spark-1"] is layers[f"{name}-health@spark-1"] is Layer.WORKLOAD
        assert f"{name}-document@spark-1" in by_id(config)[f"{name}@spark-1"].needs
    assert "prometheus-health@spark-1" in by_id(config)["grafana@spark-1"].needs


def test_a_profile_without_them_undoes_those_of_an_earlier_one() -> None:
    undone = {id_of(step) for step in all_steps(config_of(cluster_of()))}
    names = ("prometheus", "grafana", "milvus")
    assert {f"{name}{part}@spark-1" for name in names for part in ("", "-document")} <= undone
    leftovers = by_id(deployed("vllm", "agents")[0])["agents-leftovers@spark-1"]
    assert set(names) <= leftovers.own  # type: ignore[attr-defined]


def test_undone_files_take_their_empty_folders_along_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Node, "home", str(tmp_path))
    cluster = cluster_of()
    names = ("config/one/a.yml", "config/one/more/b.yml", "config/c.yml")
    folder = Path(agents_dir(cluster, cluster.head))
    for name in (*names, "config/other.yml"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    step = DocumentStep(cluster, tuple((name, "x") for name in names))
    (probe,) = (want.probe for want in step.wants)
    assert not undone(step, probe)
    assert [path.relative_to(folder).as_posix() for path in folder.rglob("*")] == ["config", "config/other.yml"]
    (folder / "config/other.yml").unlink()
    (folder / "config/c.yml").write_text("x")
    assert not undone(step, probe)
    assert not folder.exists()
    assert step.undo(Facts({cluster.head.name: {probe.name: Answer("")}})) == ()


def undone(step: DocumentStep, probe: Probe[dict[str, str]]) -> str:
    """What bash says of the undo on this machine, after what it sees there."""
    seen = subprocess.run(["bash", "-c", probe.script], capture_output=True, text=True, check=False)
    (remove,) = step.undo(Facts({step.node: {probe.name: Answer(seen.stdout, seen.returncode)}}))
    assert isinstance(remove, Script)
    ended = subprocess.run(["bash", "-c", remove.text], capture_output=True, text=True, check=False)
    return ended.stderr
