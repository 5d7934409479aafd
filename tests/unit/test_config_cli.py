import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from config_world import TINY_PROFILE, TWO_SPARKS, World

from sparkctl.cli.app import invoke
from sparkctl.errors import ConfigError

ROOT = Path(__file__).parents[2]
PROFILES = ["lab", "lab-agents", "lab-roles", "lab-vm", "roles", "single", "stacked", "tiny", "unified"]
"""The shipped ones, and that of the world of these tests."""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """The working folder of the command lines below, in an environment without configuration of its own."""
    from sparkctl.config.load import NAMES

    monkeypatch.chdir(tmp_path)
    for name in {*NAMES, "SPARKCTL_PROFILE", "SPARKCTL_LAB"} & os.environ.keys():
        monkeypatch.delenv(name)
    monkeypatch.setenv("USER", "nvidia")
    return World(tmp_path).shared(**TWO_SPARKS).profile("tiny", TINY_PROFILE)


def answer(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, Any]:
    assert invoke(argv) == 0
    return dict(json.loads(capsys.readouterr().out))


def test_show_prints_values_with_their_origin(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.local(HF_TOKEN="hf_canary_1234", SWAP_SPACE="16")
    assert invoke(["config", "show", "-p", "tiny", "--set", "VLLM_PORT=8001"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "note: without effect: SWAP_SPACE: vLLM has no swap space since 0.18"
    rows = [line.split() for line in lines]
    assert ["CONTROL_PLANE_API_IP", "192.168.1.5", "unified-config.env:1"] in rows
    assert ["HF_TOKEN", "(hidden)", "unified-config.local.env:1"] in rows
    assert ["ports.api", "8001", "flag"] in rows
    assert ["model.id", "lab/tiny", "profile", "tiny"] in rows
    assert not [row for row in rows if row[0] in ("NGC_API_KEY", "ports.ray")]


def test_show_all_prints_what_is_empty_or_default_too(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["config", "show", "-p", "tiny", "--all"]) == 0
    rows = [row.split() for row in capsys.readouterr().out.splitlines()]
    assert ["NGC_API_KEY", "default"] in rows
    assert ["ports.ray", "6379", "default"] in rows


def test_show_as_json(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    document = answer(capsys, "config", "show", "-p", "tiny", "--json")
    assert document["schema"] == "sparkctl/config/1"
    assert document["where"]["WORKER_NODE_IP"] == {"value": "192.168.100.11", "where": "unified-config.env:3"}
    assert document["what"]["engine.max_model_len"] == {"value": "8192", "where": "default"}
    assert document["notes"] == []


def test_validate(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["config", "validate", "--profile", "tiny"]) == 0
    out = capsys.readouterr().out
    assert out == "fine: profile tiny on spark-1 (nvidia@192.168.1.5), spark-2 (nvidia@192.168.1.6)\n"
    assert answer(capsys, "config", "validate", "-p", "tiny", "--json")["nodes"] == ["spark-1", "spark-2"]


def test_validate_refuses(world: World) -> None:
    world.local(VLLM_PORT="x", NOPE="1")
    with pytest.raises(ConfigError) as caught:
        invoke(["config", "validate", "-p", "tiny"])
    assert [problem.name for problem in caught.value.problems] == ["NOPE", "VLLM_PORT"]


def test_validate_as_a_user_runs_it(world: World) -> None:
    world.local(VLLM_PORT="x")
    command = [sys.executable, "-m", "sparkctl", "config", "validate", "-p", "tiny"]
    result = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert result.returncode == 3
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "error: 1 problem in the configuration",
        "  unified-config.local.env:1: VLLM_PORT: 'x'; accepted: 1 to 65535",
        "  next: mend the values, then try: sparkctl config validate --profile tiny",
    ]


def test_schemas(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    variables = answer(capsys, "config", "schema")["properties"]
    assert variables["VLLM_PORT"]["accepts"] == "1 to 65535"
    profile = answer(capsys, "config", "schema", "--profile")
    assert profile == answer(capsys, "profile", "schema")
    assert set(profile["required"]) == {"name"}
    assert profile["additionalProperties"] is False


def test_profile_list(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["profile", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == PROFILES
    found = answer(capsys, "profile", "list", "--json")["profiles"]
    assert found[-2] == {"name": "tiny", "description": "", "path": str(world.folder / "profiles/tiny.yaml")}


def test_profile_show(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["profile", "show", "tiny"]) == 0
    assert capsys.readouterr().out == TINY_PROFILE
    shown = answer(capsys, "profile", "show", "tiny", "--json")["profile"]
    assert shown["engine"]["tensor_parallel"] == "nodes"
    with pytest.raises(ConfigError):
        invoke(["profile", "show", "tinny"])


def test_names_of_profiles_are_found_without_reading_any(world: World) -> None:
    code = "import sys; from pathlib import Path; from sparkctl.config.profiles import names; print(*names(Path()))\n"
    code += "assert not {'yaml', 'pydantic', 'dotenv'} & sys.modules.keys()"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert result.stdout.split() == PROFILES, result.stderr
