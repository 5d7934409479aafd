"""What Prometheus is told: a real one scrapes the real gateway and node; alerts fire; dashboards find figures."""

import json
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml
from agent_world import document_of
from standins.scripted import running, serving
from test_node_stats import KEY, file, free_port, get
from working import until

from sparkctl import prove_watching
from sparkctl.agents.api.app import create_app
from sparkctl.agents.node import serve as node
from sparkctl.agents.node.look import Place
from sparkctl.config.load import load
from sparkctl.rendering import render
from sparkctl.stacks.agents import agents_of

TEMPLATES = Path(__file__).parents[2] / "templates"
DASHBOARDS = sorted((TEMPLATES / "grafana" / "dashboards").glob("*.json"))
VLLM = frozenset(
    {
        "vllm:num_requests_running",
        "vllm:num_requests_waiting",
        "vllm:kv_cache_usage_perc",
        "vllm:generation_tokens_total",
        "vllm:prompt_tokens_total",
        "vllm:time_to_first_token_seconds_bucket",
    }
)
"""Names of vLLM's V1 engine that the dashboards use; source: docs.vllm.ai/en/v0.32.0/usage/metrics."""
ONE_AWAY = "1 of 3 targets are not read: engine at 127.0.0.1:1 (Get "
METRIC = re.compile(r"\b(?:sparkctl_|vllm:)[a-z0-9_]+")


def settings(folder: Path, gateway: str, nodes: dict[str, str], engines: dict[str, str]) -> Path:
    """A folder for Prometheus: settings, alerts, keys."""
    (folder / "key").write_text(KEY)
    keys = dict.fromkeys(("metrics_key_file", "node_key_file", "engine_key_file"), str(folder / "key"))
    text = render("prometheus.yml.j2", interval=1, timeout=1, gateway=gateway, nodes=nodes, engines=engines, **keys)
    (folder / "prometheus.yml").write_text(text)
    (folder / "alerts.yml").write_text((TEMPLATES / "alerts.yml").read_text())
    return folder / "prometheus.yml"


def promtool(*argv: str) -> str:
    """What promtool prints when it is content."""
    ended = subprocess.run(["promtool", *argv], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@contextmanager
def prometheus(folder: Path, config: Path) -> Iterator[str]:
    """A real Prometheus on loopback; its address."""
    port = free_port()
    argv = (
        "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    )
    program = subprocess.Popen(argv)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        program.terminate()
        program.wait(30)


def query(address: str, expression: str) -> list[dict[str, Any]]:
    """The samples of an expression; none while Prometheus is not up."""
    try:
        _, body = get(f"{address}/api/v1/query?query={quote(expression)}", "")
    except OSError:
        return []
    found: list[dict[str, Any]] = json.loads(body)["data"]["result"] if body.startswith("{") else []
    return found


def eventually(address: str, expression: str) -> list[dict[str, Any]]:
    """The first samples of an expression."""
    deadline = time.monotonic() + 60
    while not (found := query(address, expression)):
        assert time.monotonic() < deadline, expression
        time.sleep(0.2)
    return found


def expressions() -> list[tuple[str, str]]:
    """Every expression of every dashboard, with the dashboard's name."""
    boards = [(path.stem, json.loads(path.read_text())) for path in DASHBOARDS]
    return [(name, one["expr"]) for name, board in boards for panel in board["panels"] for one in panel["targets"]]


def test_a_real_prometheus_scrapes_gateway_and_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prove_watching, "WAIT", 0.0)
    with serving() as model:
        document = document_of(tmp_path, model.url)
        file(Path(document.where.secrets, "metrics-key"), KEY)
        place = Place("spark-1", fabric=("lo",))
        (tmp_path / "key").write_text(KEY)
        with running(create_app(document)) as gateway, running(node.create_app(place, tmp_path / "key")) as spark:
            config = settings(tmp_path, gateway[7:], {"spark-1": spark[7:]}, {"main": "127.0.0.1:1"})
            promtool("check", "config", str(config))
            status, scraped = get(f"{gateway}/metrics", f"Bearer {KEY}")
            assert status == 200
            scraped += get(f"{spark}/metrics", f"Bearer {KEY}")[1]
            with prometheus(tmp_path, config) as address:
                assert eventually(address, 'up{job="gateway"} == 1')
                (memory,) = eventually(address, "sparkctl_node_memory_available_bytes")
                assert memory["metric"]["node"] == "spark-1"
                assert float(memory["value"][1]) > 0
                assert eventually(address, "sparkctl_engine_up == 1")[0]["metric"]["model"] == "main"
                assert eventually(address, 'up{job="engine"} == 0')
                until(lambda: prove_watching.read_by_prometheus(address)[1].startswith(ONE_AWAY))
                assert not prove_watching.read_by_prometheus(address)[0]
                for _, expression in expressions():
                    status, body = get(f"{address}/api/v1/query?query={quote(expression)}", "")
                    assert (status, json.loads(body)["status"]) == (200, "success"), expression
    known = set(re.findall(r"^# TYPE (\S+)", scraped, re.MULTILINE))
    known |= {f"{name}_bucket" for name in known} | VLLM
    used = {name for _, one in expressions() for name in METRIC.findall(one)}
    rules = (TEMPLATES / "alerts.yml").read_text()
    assert used | set(METRIC.findall(rules)) <= known


def test_a_real_prometheus_takes_the_words_of_its_container(tmp_path: Path) -> None:
    """Its command and files as they are deployed, in other folders."""
    flags = {"ENABLE_MULTI_AGENT": "1", "ENABLE_PROMETHEUS": "1", "PROMETHEUS_PORT": str(free_port())}
    where = {"CONTROL_PLANE_API_IP": "192.0.2.1", "WORKER_NODE_SSH_TARGET": "192.0.2.2"}
    agents = agents_of(load("stacked", flags=flags, environ={"HOME": str(tmp_path), **where}, cwd=tmp_path))
    assert agents
    (service,) = agents.observability.services
    moved = {"/etc/prometheus": tmp_path / "told", "/prometheus": tmp_path / "kept", "/run/secrets": tmp_path / "keys"}
    for path in (moved["/etc/prometheus"], moved["/run/secrets"]):
        path.mkdir()
    for secret in service.secrets:
        file(moved["/run/secrets"] / secret.name, KEY)
    for name, text in agents.observability.prometheus_files:
        content = text.replace("/run/secrets", str(moved["/run/secrets"]))
        (moved["/etc/prometheus"] / name.rpartition("/")[2]).write_text(content)
    argv = [_moved(word, moved) for word in service.command]
    program = subprocess.Popen(("prometheus", *argv))
    try:
        (door,) = agents.observability.doors
        eventually(door.url, "vector(1)")
        assert get(f"{door.url}/-/ready", "")[0] == 200
        told = yaml.safe_load(json.loads(get(f"{door.url}/api/v1/status/config", "")[1])["data"]["yaml"])
        assert [job["job_name"] for job in told["scrape_configs"]] == ["gateway", "node", "engine"]
        (group,) = json.loads(get(f"{door.url}/api/v1/rules", "")[1])["data"]["groups"]
        assert group["name"] == "sparkctl"
    finally:
        program.terminate()
        program.wait(30)


def _moved(word: str, folders: dict[str, Path]) -> str:
    """An argument with the folder of its value elsewhere."""
    option, _, value = word.partition("=")
    folder = next((old for old in folders if value == old or value.startswith(f"{old}/")), None)
    return f"{option}={folders[folder]}{value.removeprefix(folder)}" if folder else word


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_is_one(path: Path) -> None:
    board = json.loads(path.read_text())
    assert board["uid"] == path.stem
    ids = [panel["id"] for panel in board["panels"]]
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]]
    assert len(set(ids)) == len(ids) == len(set(places)) > 0
    sources = yaml.safe_load(render("grafana/provisioning/datasources.yml.j2", prometheus="http://127.0.0.1:9090"))
    for panel in board["panels"]:
        assert panel["title"] and panel["targets"]
        assert panel["datasource"]["uid"] == sources["datasources"][0]["uid"]
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24


def test_the_settings_of_grafana_point_at_the_dashboards() -> None:
    (provider,) = yaml.safe_load((TEMPLATES / "grafana" / "provisioning" / "dashboards.yml").read_text())["providers"]
    assert provider["options"]["path"] == "/etc/grafana/dashboards"


GIB = 2**30
SERIES = {
    "MemoryLow": ('sparkctl_node_memory_available_bytes{node="spark-1"}', 7 * GIB, 9 * GIB, {"node": "spark-1"}),
    "FabricDown": ('sparkctl_node_interface_up{node="spark-1",fabric="true"}', 0, 1, {"node": "spark-1"}),
    "FabricSlow": (
        'sparkctl_node_interface_speed_mbit{node="spark-1",fabric="true"}',
        10_000,
        200_000,
        {"node": "spark-1"},
    ),
    "EngineDown": ('sparkctl_engine_up{model="main"}', 0, 1, {"model": "main"}),
    "DatabaseDown": ("sparkctl_database_up", 0, 1, {}),
    "GatewayDown": ('up{job="gateway",instance="g"}', 0, 1, {"job": "gateway", "instance": "g"}),
    "NodeDown": ('up{job="node",node="spark-1"}', 0, 1, {"job": "node", "node": "spark-1"}),
    "MemoryPressure": ('sparkctl_node_memory_pressure_full_percent{node="spark-1"}', 50, 5, {"node": "spark-1"}),
}
"""By alert: a series, a value at which it fires, one at which it does not, and the labels that it then has."""


@pytest.mark.parametrize("name", SERIES)
def test_an_alert_fires_and_only_then(tmp_path: Path, name: str) -> None:
    series, bad, good, labels = SERIES[name]
    (tmp_path / "alerts.yml").write_text((TEMPLATES / "alerts.yml").read_text())
    rules = {
        rule["alert"]: rule for rule in yaml.safe_load((TEMPLATES / "alerts.yml").read_text())["groups"][0]["rules"]
    }
    fired = {"exp_labels": {"alertname": name, **rules[name]["labels"], **labels}}
    tests = []
    for value, alerts in ((bad, [fired]), (good, [])):
        check = {"eval_time": "10m", "alertname": name, "exp_alerts": alerts}
        if alerts:
            summary = rules[name]["annotations"]["summary"]
            if "{{" in summary:
                check["exp_alerts"] = [{**fired, "exp_annotations": {"summary": told(summary, labels, value)}}]
            else:
                check["exp_alerts"] = [{**fired, "exp_annotations": {"summary": summary}}]
        inputs = [{"series": series, "values": f"{value}x30"}]
        tests.append({"interval": "30s", "input_series": inputs, "alert_rule_test": [check]})
    path = tmp_path / "test.yml"
    path.write_text(yaml.safe_dump({"rule_files": ["alerts.yml"], "evaluation_interval": "30s", "tests": tests}))
    promtool("test", "rules", str(path))


def told(summary: str, labels: dict[str, str], value: float) -> str:
    """The sentence as Prometheus fills it in."""
    for name, text in labels.items():
        summary = summary.replace("{{ $labels." + name + " }}", text)
    summary = summary.replace("{{ $value | humanize1024 }}", f"{value / GIB:g}Gi")
    return summary.replace("{{ $value | humanize }}", f"{value / 1000:g}k" if value >= 1000 else f"{value:g}")
