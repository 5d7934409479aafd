"""What the verbs have in common: the deployment that hints mean, nodes out of reach, wrong configuration, the key."""

from pathlib import Path

import pytest
from cli_fakes import Cli

from sparkctl.cli.common import Options
from sparkctl.report.hints import naming


def test_a_hint_means_the_same_deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPARKCTL_PROFILE", raising=False)
    assert Options().again == ""
    assert Options(profile="./my own.yaml").again == " --profile './my own.yaml'"
    monkeypatch.setenv("SPARKCTL_PROFILE", "lab")
    assert Options(profile="lab").again == ""
    assert Options(profile="stacked").again == " --profile stacked"
    elsewhere = Options(profile="lab", env_file=Path("a.env"), set_values=["MODEL=org/m"])
    assert elsewhere.again == " --env-file a.env --set MODEL=org/m"
    hint = "read its log: sparkctl logs vllm; then: sparkctl up. See sparkctl lab up, sparkctl up --profile lab"
    assert naming(hint, " -X") == (
        "read its log: sparkctl logs -X vllm; then: sparkctl up -X. See sparkctl lab up, sparkctl up --profile lab"
    )
    several = "sparkctl role launch dev; or sparkctl setup, or sparkctl config show"
    assert naming(several, " -X") == "sparkctl role launch -X dev; or sparkctl setup -X, or sparkctl config show -X"


def test_hints_of_every_kind_name_the_deployment(cli: Cli) -> None:
    named = ("--set", "MODEL=org/m")
    assert cli("status", *named) == 2
    assert "Next: sparkctl up --set MODEL=org/m\n" in cli.out
    assert cli("up", *named) == 0
    assert "next: sparkctl test --set MODEL=org/m\n" in cli.out
    cli.hosts["spark-1"].reply(["cat"], "")
    assert cli("credentials", *named) == 1
    assert "next: deploy first: sparkctl up --set MODEL=org/m\n" in cli.err


def test_a_deployment_that_serves_nothing_claims_nothing(cli: Cli) -> None:
    assert cli("up", "--set", "ENABLE_VLLM=0") == 0
    assert cli.out.endswith("done\n")
    assert cli("test", "--set", "ENABLE_VLLM=0") == 1
    assert "serves no model" in cli.err
    assert cli("status", "--set", "ENABLE_VLLM=0") == 0
    assert "demo: no model is served" in cli.out


@pytest.mark.parametrize("verb", ["plan", "up", "stop", "down", "logs", "credentials"])
def test_a_node_out_of_reach_ends_with_4(cli: Cli, verb: str) -> None:
    for host in cli.hosts.values():
        host.unreachable = True
    assert cli(verb) == 4
    assert "did not answer" in cli.err
    assert "next: switch it on" in cli.err


def test_credentials_are_the_one_way_to_the_key(cli: Cli) -> None:
    assert cli("credentials") == 1
    assert "sparkctl up" in cli.err
    cli.hosts["spark-1"].reply(["cat"], "sk-canary\n")
    assert cli("credentials") == 0
    assert "sk-canary" in cli.out
    assert cli("credentials", "--env") == 0
    assert cli.out == "export OPENAI_BASE_URL=http://192.0.2.1:8000/v1\nexport OPENAI_API_KEY=sk-canary\n"
    assert cli("credentials", "--json") == 0
    assert cli.document["api_key"] == "sk-canary"


def test_credentials_lead_to_the_pages_of_the_agents(cli: Cli) -> None:
    cli.hosts["spark-1"].reply(["cat"], "canary\n")
    watching = [f"--set={name}=1" for name in ("ENABLE_MULTI_AGENT", "ENABLE_PROMETHEUS", "ENABLE_GRAFANA")]
    assert cli("credentials", *watching, "--json") == 0
    ui, prometheus, grafana = cli.document["doors"]
    assert (ui["service"], ui["url"], ui["way"]) == ("ui", "http://192.0.2.1:5000", "")
    assert (prometheus["url"], prometheus["password"]) == ("http://127.0.0.1:9090", "")
    assert (grafana["url"], grafana["user"], grafana["password"]) == ("http://127.0.0.1:3001", "admin", "canary")
    assert grafana["way"].startswith("ssh -N -L 3001:127.0.0.1:3001 ")
    assert grafana["way"].endswith(" 192.0.2.1")
    assert cli("credentials", *watching) == 0
    assert "API key     canary\nweb UI      http://192.0.2.1:5000, which asks for the API key\n" in cli.out
    assert "grafana     http://127.0.0.1:3001 (user admin, password canary) after: ssh -N -L" in cli.out
    assert cli("credentials", "--json") == 0
    assert cli.document["doors"] == []


def test_configuration_errors_come_all_at_once(cli: Cli) -> None:
    (cli.folder / "unified-config.local.env").write_text("VLLM_PROT=8000\nWORKER_NODE_IP=not-an-address\n")
    assert cli("plan") == 3
    assert "unified-config.local.env:1: VLLM_PROT" in cli.err
    assert "did you mean VLLM_PORT?" in cli.err
    assert "unified-config.local.env:2: WORKER_NODE_IP" in cli.err
    assert cli("plan", "--json") == 3
    assert [problem["name"] for problem in cli.document["error"]["problems"]] == ["VLLM_PROT", "WORKER_NODE_IP"]


def test_set_overrides_and_is_checked(cli: Cli) -> None:
    assert cli("up", "--set", "VLLM_PORT=9000") == 0
    assert "http://192.0.2.1:9000/v1" in cli.out
    assert cli("plan", "--set", "hf_secret") == 3
    assert "Invalid value for --set: needs NAME=VALUE, such as VLLM_PORT=8001" in cli.err
    assert "next: try: sparkctl plan --help" in cli.err
    assert "hf_secret" not in cli.err
