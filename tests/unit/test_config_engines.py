"""Engines in a profile: how one is chosen, and what it does not take."""

import pytest
from config_world import SGLANG_PROFILE, World, problems, two_sparks

world = pytest.fixture(two_sparks)


def test_every_engine_is_chosen_by_its_name(world: World) -> None:
    for name in ("vllm", "sglang", "trtllm"):
        assert world.profile("tiny", SGLANG_PROFILE.replace("sglang", name)).load("tiny").served[0].engine.name == name
    (unknown,) = problems(world, SGLANG_PROFILE.replace("sglang", "sglan"))
    assert (unknown.where, unknown.name, unknown.nearest) == ("profiles/tiny.yaml:5", "engine.name", "sglang")
    for odd in ("'sglang '", "''", "SGLang", "../vllm"):
        (unknown,) = problems(world, SGLANG_PROFILE.replace("sglang", odd))
        assert unknown.accepted == "one of: vllm, sglang, trtllm, ollama"


@pytest.mark.parametrize(
    ("text", "name", "accepted"),
    [
        ("name: trtllm\n  dtype: float16", "engine.dtype", "nothing: trtllm-serve takes the type"),
        ("name: ollama\n  load_format: auto", "engine.load_format", "nothing: Ollama knows one format"),
        ("name: sglang\n  extra_args: [--api-key, k]", "engine.extra_args", "arguments without --api-key; use VLLM_"),
        ("name: trtllm\n  extra_args: [--max-seq-len=9]", "engine.extra_args", "use engine.max_model_len"),
        ("name: ollama\n  extra_args: [--x]", "engine.extra_args", "use engine.env"),
        ("name: sglang\n  backend: ray", "engine.backend", "mp or auto"),
    ],
)
def test_what_an_engine_does_not_know_is_refused(world: World, text: str, name: str, accepted: str) -> None:
    found = problems(world, SGLANG_PROFILE.replace("name: sglang", text) + "nodes: 1\n")
    assert [problem.name for problem in found] == [name]
    assert accepted in found[0].accepted


@pytest.mark.parametrize(
    ("name", "variable"), [("vllm", "VLLM_SERVER_DEV_MODE"), ("vllm", "VLLM_HOST_IP"), ("sglang", "SGLANG_HOST_IP"),
                           ("ollama", "OLLAMA_HOST")])  # fmt: skip
def test_variables_that_sparkctl_sets(world: World, name: str, variable: str) -> None:
    """Another value would open the engine to the network, or tear its ranks apart."""
    env = f"  env: {{{variable}: 0.0.0.0, NCCL_DEBUG: INFO}}\nnodes: 1\n"
    (problem,) = problems(world, SGLANG_PROFILE.replace("sglang", name) + env)
    assert (problem.where, problem.name) == ("profiles/tiny.yaml:6", "engine.env")
    assert problem.accepted.startswith(f"variables without {variable}; use ")


def test_a_tag_is_ollamas(world: World) -> None:
    tagged = SGLANG_PROFILE.replace("o/m", "'gpt-oss:20b'") + "nodes: 1\n"
    assert [problem.name for problem in problems(world, tagged)] == ["model.id"]
    config = world.profile("tiny", tagged.replace("sglang", "ollama")).load("tiny")
    assert config.served[0].url == "http://127.0.0.1:8000/v1"
