"""Recipes of sparkrun become profiles: what is carried over, what is said of the rest, what is refused."""

import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from cli_fakes import ENV_FILE, Cli, small_world
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sparkctl.config.load import load
from sparkctl.config.recipe import Imported, profile_name, read
from sparkctl.config.recipe_command import fill, take_apart
from sparkctl.errors import ConfigError

RECIPES = Path(__file__).parent / "data/recipes"
PLAIN = {"model": "org/tiny", "container": "registry.example/vllm:1"}


def recipe(folder: Path, **changes: Any) -> Path:
    path = folder / "given.yaml"
    path.write_text(yaml.safe_dump({**PLAIN, **changes}))
    return path


def test_a_command_becomes_keys_and_arguments() -> None:
    found = read(RECIPES / "command.yaml", "two")
    assert found.profile == {
        "name": "two",
        "description": "Thirty billion parameters on two nodes.",
        "nodes": 2,
        "image": {"ref": "registry.example/vllm:26.01"},
        "model": {"id": "example/Two-Sparks-30B", "revision": "v1.2"},
        "engine": {
            "name": "vllm",
            "backend": "ray",
            "tensor_parallel": 2,
            "gpu_memory_utilization": 0.9,
            "max_model_len": 32000,
            "dtype": "float16",
            "trust_remote_code": True,
            "extra_args": [
                *("--kv-cache-dtype", "fp8", "--enable-auto-tool-choice", "--tool-call-parser", "hermes"),
                *("--speculative-config", '{"method": "ngram", "num_speculative_tokens": 4}'),
            ],
            "env": {"VLLM_ATTENTION_BACKEND": "FLASHINFER", "NCCL_DEBUG": "WARN"},
        },
        "ports": {"api": 8010},
    }


def test_what_a_profile_cannot_hold_is_said_line_by_line() -> None:
    found = read(RECIPES / "command.yaml", "two")
    assert [note.split(": ", 1)[0] for note in found.notes] == [
        f"command.yaml:{n}" for n in (21, 24, 25, 26, 26, 26, 13)
    ]
    said = "\n".join(found.notes)
    for words in (
        "defaults.unused: the command does not use it",
        "env.HF_TOKEN: a secret",
        "--gpu-memory-utilization 0.95 is lowered to 0.9",
        "--api-key is a secret and stays out",
        "mods: no part of a profile",
    ):
        assert words in said
    assert "secretsecret" not in found.text("command.yaml")


def test_defaults_without_a_command_are_the_flags_of_the_runtime() -> None:
    engine = read(RECIPES / "defaults.yaml", "one").profile["engine"]
    assert engine == {
        "name": "sglang",
        "backend": "auto",
        "tensor_parallel": 1,
        "gpu_memory_utilization": 0.75,
        "max_model_len": 16384,
        "extra_args": ["--enable-torch-compile"],
    }


@pytest.mark.parametrize("name", ["command", "defaults"])
def test_the_profile_is_valid(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.yaml"
    path.write_text(read(RECIPES / f"{name}.yaml", name).text(f"{name}.yaml"))
    (tmp_path / "unified-config.env").write_text(ENV_FILE)
    config = load(str(path), environ={"HOME": str(tmp_path)}, cwd=tmp_path)
    assert len(config.cluster.nodes) == {"command": 2, "defaults": 1}[name]


@pytest.mark.parametrize(
    ("changes", "nodes", "split"),
    [
        ({}, 1, 1),
        ({"min_nodes": 2}, 2, 2),
        ({"cluster_only": True}, 2, 2),
        ({"mode": "solo", "min_nodes": 2}, 1, 1),
        ({"defaults": {"tensor_parallel": 2}}, 2, 2),
        ({"defaults": {"tensor_parallel": 2, "pipeline_parallel": 2}}, 4, 2),
        ({"defaults": {"pipeline_parallel": 2}, "min_nodes": 2}, 2, 1),
    ],
)
def test_nodes_are_as_many_as_the_work_is_split_into(
    tmp_path: Path, changes: dict[str, Any], nodes: int, split: int
) -> None:
    profile = read(recipe(tmp_path, **changes), "x").profile
    assert (profile["nodes"], profile["engine"]["tensor_parallel"]) == (nodes, split)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": "/models/mine"}, ("given.yaml:2: model", "ORG/NAME")),
        ({"model": None}, ("model: nothing",)),
        ({"container": None}, ("container: nothing", "an image")),
        ({"runtime": "llama-cpp"}, ("runtime: 'llama-cpp'", "one of: vllm")),
        ({"include": "@official/base"}, ("include", "export")),
        ({"command": "vllm serve {model} --port {port}"}, ("{port} has no value",)),
        ({"command": "llama-server -m x"}, ("starts llama-server -m x", "one command that starts vLLM")),
        ({"command": "pip install x && vllm serve {model}"}, ("more than one command (&&)",)),
        ({"command": "vllm serve 'x"}, ("No closing quotation",)),
        ({"defaults": [1]}, ("defaults: not a mapping",)),
    ],
)
def test_nonsense_is_refused_with_its_line(tmp_path: Path, changes: dict[str, Any], words: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError) as caught:
        read(recipe(tmp_path, **changes), "x")
    said = "\n".join(map(str, caught.value.problems))
    for word in words:
        assert word in said


@pytest.mark.parametrize("text", ["", "- a\n", "a: &x 1\nb: *x\n", "a: [", "\x00"])
def test_no_yaml_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError):
        read(path, "x")


@settings(max_examples=60)
@given(
    st.dictionaries(
        st.sampled_from(
            ["defaults", "env", "command", "runtime", "min_nodes", "description", "mods", "model_revision"]
        ),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
            max_leaves=5,
        ),
        max_size=4,
    )
)
@example({"env": {"\b": None}})
def test_any_recipe_is_a_profile_or_an_error_of_ours(tmp_path_factory: pytest.TempPathFactory, changes: Any) -> None:
    path = recipe(tmp_path_factory.getbasetemp(), **changes)
    try:
        read(path, "x")
    except ConfigError as error:
        assert error.problems


@pytest.mark.parametrize(
    ("changes", "noted"),
    [
        ({"defaults": {"max_model_len": "infk"}}, "--max-model-len infk is not what"),
        ({"defaults": {"gpu_memory_utilization": float("nan")}}, "--gpu-memory-utilization nan is not what"),
        ({"defaults": {"gpu_memory_utilization": -1}}, "--gpu-memory-utilization -1 is not what"),
        ({"defaults": {"port": 99999}}, "--port 99999 is not what"),
        ({"env": {"A": None, "B": [1]}}, "env.A: not a plain value"),
        ({"defaults": {"data_parallel": 0}}, ""),
        ({"defaults": {"speculative_config": {"made": datetime.date(2024, 1, 1)}}}, ""),
    ],
)
def test_odd_values_are_noted_and_break_nothing(tmp_path: Path, changes: Any, noted: str) -> None:
    imported = read(recipe(tmp_path, **changes), "x")
    assert any(noted in note for note in imported.notes) or not noted


def test_stages_of_sglang_are_nodes(tmp_path: Path) -> None:
    changes = {"runtime": "sglang", "defaults": {"pipeline_parallel": 2, "tensor_parallel": 2}}
    assert read(recipe(tmp_path, **changes), "x").profile["nodes"] == 4


def test_a_profile_that_cannot_be_names_the_recipe(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read(recipe(tmp_path, model_revision="a/../../b"), "x")
    (problem,) = caught.value.problems
    assert (problem.name, problem.where.endswith(".yaml")) == ("model.revision", True)
    assert "mend the recipe" in caught.value.fix


def test_the_name_of_a_recipe_stays_a_comment() -> None:
    assert Imported({"name": "x"}, ()).text("a\nengine: {}\n.yaml").splitlines()[1:] == ["name: x"]


def test_plain_braces_stay_and_doubled_ones_are_one() -> None:
    assert fill("""--a '{"b":{"c":1}}' {m}""", {"m": "x"}) == """--a '{"b":{"c":1}}' x"""
    assert fill("""--a '{{"b": 1}}' {m}""", {"m": "x"}) == """--a '{"b": 1}' x"""


def test_values_behind_a_flag_and_an_equals_sign() -> None:
    command = take_apart("A=1 python3 -m sglang.launch_server --model-path m --x=1 --y a b -tp 2")
    assert (command.engine, dict(command.env)) == ("sglang", {"A": "1"})
    assert command.flags == (("--model-path", ("m",)), ("--x", ("1",)), ("--y", ("a", "b")), ("-tp", ("2",)))


@pytest.mark.parametrize(("stem", "name"), [("Qwen3.8_27B", "qwen3-8-27b"), ("...", "imported"), ("a" * 90, "a" * 64)])
def test_names(stem: str, name: str) -> None:
    assert profile_name(stem) == name


def test_the_command_writes_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    cli = Cli(monkeypatch, capsys, tmp_path).use(*small_world())
    argv = ("profile", "import", str(RECIPES / "command.yaml"), "-o", str(tmp_path / "mine/two.yaml"))
    assert cli(*argv) == 0
    assert "not carried over: command.yaml:13: mods" in cli.out
    assert cli(*argv) == 1
    assert "is there" in cli.err
    assert cli(*argv, "--force", "--json") == 0
    assert cli.document["profile"]["name"] == "two"
    assert cli("profile", "import", str(tmp_path / "none.yaml")) == 3
    assert cli(*argv[:3], "-o", "two.txt") == 3
    assert "ends in .yaml" in cli.err
