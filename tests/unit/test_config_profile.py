"""A profile as text: where it is found, and where it is wrong."""

import pytest
from config_world import TINY_PROFILE, World, problems, two_sparks

from sparkctl.config import profiles
from sparkctl.errors import ConfigError, Problem

NO_YAML = "a YAML mapping of plain values"
world = pytest.fixture(two_sparks)


def test_an_unknown_profile_names_the_nearest(world: World) -> None:
    accepted = "one of: lab, lab-agents, lab-roles, lab-vm, roles, single, stacked, tiny, unified"
    world.profile("tiny", TINY_PROFILE)
    assert world.problems("stakced") == (
        Problem("profile", "stakced", "no profile of that name", accepted, "stacked"),
    )


def test_profiles_of_the_user_hide_shipped_ones(world: World) -> None:
    world.profile("single", TINY_PROFILE.replace("tiny", "single", 1))
    assert world.load("single").profile.model.id == "lab/tiny"
    (world.folder / "elsewhere").mkdir()
    (world.folder / "elsewhere/own.yml").write_text(TINY_PROFILE.replace("tiny", "own", 1))
    assert world.load("elsewhere/own.yml").profile.name == "own"


@pytest.mark.parametrize(
    ("text", "where", "name", "found", "accepted", "nearest"),
    [
        ("nodes: none", 4, "nodes", "'none'", "a whole number or 'all'", ""),
        ("engine: {load_format: FAST}", 4, "engine.load_format", "'FAST'", "vLLM's --load-format", ""),
        ("engine: {tensor_paralel: 2}", 4, "engine.tensor_paralel", "unknown key", None, "tensor_parallel"),
        ("enigne: {}", 4, "enigne", "unknown key", None, "engine"),
        ("engine:\n  gpu_memory_utilization: 0.95", 5, "engine.gpu_memory_utilization", "'0.95'", "less than or equal to 0.9", ""),  # noqa: E501
        ("engine: {max_model_len: '512'}", 4, "engine.max_model_len", "'512'", "a whole number", ""),
        ("engine: {trust_remote_code: 1}", 4, "engine.trust_remote_code", "'1'", "true or false", ""),
        ("engine: {backend: roy}", 4, "engine.backend", "'roy'", "'ray', 'mp', 'mpi' or 'auto'", "ray"),
        ("engine: {extra_args: [a, 1]}", 4, "engine.extra_args.1", "'1'", "text; quote it if it looks like a number", ""),  # noqa: E501
        ("engine: {extra_args: abc}", 4, "engine.extra_args", "'abc'", "a list", ""),
        ("nodes: 0", 4, "nodes", "'0'", "greater than or equal to 1 or 'all'", ""),
        ("host: [1]", 4, "host", "not such a value", "a mapping of keys", ""),
        ("where: home", 4, "where", "'home'", "'' or 'lab'", ""),
        ("ports: {api: 70000}", 4, "ports.api", "'70000'", "less than or equal to 65535", ""),
        ("image: 5", 4, "image", "set already in line 2", "each key once", ""),
        ("5: x", 4, "key", "not a name", "a name; quote it if it looks like a number", ""),
        ("nodes: [", 5, "YAML", "expected the node content, but found '<stream end>'", NO_YAML, ""),
        ("nodes: &a 1", 4, "YAML", "anchor, alias or tag", NO_YAML, ""),
        ("nodes: !!int 1", 4, "YAML", "anchor, alias or tag", NO_YAML, ""),
        ("nodes: 2001-99-99", None, "YAML", "a value that YAML forbids", NO_YAML, ""),
        ("description: \"\\0\"", 4, "description", r"'\x00'", None, ""),
    ],
)  # fmt: skip
def test_a_bad_profile_says_where(
    world: World, text: str, where: int | None, name: str, found: str, accepted: str | None, nearest: str
) -> None:
    (problem,) = problems(world, f"{TINY_PROFILE}{text}\n")
    assert problem.where == (f"profiles/tiny.yaml:{where}" if where else "profiles/tiny.yaml")
    assert (problem.name, problem.found, problem.nearest) == (name, found, nearest)
    assert accepted is None or problem.accepted == accepted


def test_missing_keys_say_what_they_are(world: World) -> None:
    assert problems(world, "name: tiny\nimage: {}\n") == (
        Problem("profiles/tiny.yaml:2", "image.ref", "missing", "Image with tag or digest"),
    )
    assert problems(world, "name: tiny\n") == (
        Problem("profiles/tiny.yaml:1", "model", "neither model nor models", "one model, or models by name"),
    )


@pytest.mark.parametrize("text", ["", "- a\n", "just text", "5"])
def test_what_is_no_mapping(world: World, text: str) -> None:
    assert problems(world, text) == (Problem("profiles/tiny.yaml:1", "file", "not a mapping", NO_YAML),)


def test_a_file_that_nests_without_end(world: World) -> None:
    assert problems(world, "[" * 5000)[0].found == "nested too deep"


def test_the_name_is_the_file_s(world: World) -> None:
    text = TINY_PROFILE.replace("tiny", "other", 1)
    assert problems(world, text) == (
        Problem("profiles/tiny.yaml:1", "name", "'other'", "tiny, as the file is called"),
    )


def test_secrets_are_refused_and_not_shown(world: World) -> None:
    (problem,) = problems(world, TINY_PROFILE + "engine:\n  env:\n    HF_TOKEN: hf_canary\n")
    assert problem.accepted == "names of no secrets: those belong in unified-config.local.env"
    assert "hf_canary" not in repr(problem)
    (problem,) = problems(world, TINY_PROFILE + "engine: {extra_args: '--api-key hf_canary'}\n")
    assert "hf_canary" not in repr(problem)


def test_a_profile_that_cannot_be_read(world: World) -> None:
    with pytest.raises(ConfigError) as caught:
        profiles.read("./no/such.yaml", world.folder)
    assert caught.value.problems[0].found == "cannot be read: No such file or directory"
    assert profiles.summary(world.folder / "none.yaml") == "(cannot be read: sparkctl profile show says why)"
