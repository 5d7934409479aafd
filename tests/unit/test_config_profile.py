import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from config_world import TINY_PROFILE, TWO_SPARKS, World
from pydantic.fields import FieldInfo

from sparkctl import data
from sparkctl.config import profiles, yamlfile
from sparkctl.config.profile import Placed, Profile, part_of
from sparkctl.errors import ConfigError, Problem

NO_YAML = "a YAML mapping of plain values"
SPARK = TINY_PROFILE + "host: {gpu: NVIDIA GB10}\n"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path).shared(**TWO_SPARKS)


def problems(world: World, text: str, **flags: str) -> tuple[Problem, ...]:
    return world.profile("tiny", text).problems("tiny", None, **flags)


@pytest.mark.parametrize("name", ["lab", "lab-roles", "lab-vm", "roles", "single", "stacked"])
def test_shipped_profiles_load(world: World, name: str) -> None:
    config = world.lab(**TWO_SPARKS).load(name)
    assert config.profile.name == name
    assert config.profile.description


@pytest.mark.parametrize("name", sorted(path.stem for path in data.path("profiles").glob("*.yaml")))
def test_the_marks_of_the_guard_are_below_the_reserve_and_a_lab_leaves_the_machines_memory_alone(
    world: World, name: str
) -> None:
    config = world.lab(**TWO_SPARKS).load(name)
    guard = config.profile.guard
    assert not [note for note in config.notes if "guard.low_gib" in note]
    if config.profile.where == "lab":
        assert (guard.low_gib <= 1, guard.swap, guard.earlyoom) == (True, "keep", False)


def test_a_guard_that_stops_what_a_plan_lets_start_is_noted(world: World) -> None:
    world.profile("tiny", f"{TINY_PROFILE}guard: {{low_gib: 24}}\n")
    note = "guard.low_gib is 24, host.reserve_gib 10: the watchdog stops an engine that a plan lets start"
    assert note in world.load("tiny").notes


def test_the_annotated_profile_has_every_key() -> None:
    _, document = profiles.read("stacked", data.path("."))
    written = {path for path in document.places if path}
    expected = set(_paths(Profile.model_fields, ()))
    assert expected - written == {("where",), ("models",)}, "these keys stand in no line of profiles/stacked.yaml"
    assert '# where: ""' in data.path("profiles/stacked.yaml").read_text()


def test_the_annotated_profile_shows_several_models() -> None:
    text = data.path("profiles/stacked.yaml").read_text()
    block = re.search(r"^# models:\n(?:#   .*\n)+", text, re.M)
    assert block, "a commented block of models"
    several = yamlfile.parse(re.sub(r"^# ?", "", block[0], flags=re.M), "models").data["models"]
    written = {key for placed in several.values() for key in placed}
    assert written == set(Placed.model_fields), "every key of a model stands there"
    one = yamlfile.parse(text, "stacked").data
    Profile.model_validate({**one, "model": None, "models": several})


def _paths(fields: Mapping[str, FieldInfo], prefix: tuple[str, ...]) -> list[tuple[str, ...]]:
    found = []
    for name, field in fields.items():
        inner, named = part_of(field.annotation) or (None, False)
        below = _paths(inner.model_fields, (*prefix, name)) if inner and not named else []
        found += [(*prefix, name), *below]
    return found


def test_the_profile_that_differs_in_the_store_differs_in_nothing_else() -> None:
    lab, vm = (profiles.read(name, data.path("."))[0] for name in ("lab", "lab-vm"))
    changes = {"name", "description", "store"}
    assert lab.model_dump(exclude=changes) == vm.model_dump(exclude=changes)
    assert (lab.store.kind, vm.store.kind) == ("copy", "nfs")


def test_an_unknown_profile_names_the_nearest(world: World) -> None:
    accepted = "one of: lab, lab-roles, lab-vm, roles, single, stacked, tiny"
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
        ("engine: {backend: roy}", 4, "engine.backend", "'roy'", "'ray', 'mp', 'mpi' or 'auto'", ""),
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


class TestFit:
    def test_more_nodes_than_there_are(self, world: World) -> None:
        assert problems(world, TINY_PROFILE + "nodes: 3\n") == (
            Problem("profiles/tiny.yaml:4", "nodes", "3", "at most 2, as many as are configured"),
        )

    def test_fewer_nodes_than_there_are(self, world: World) -> None:
        world.shared(**TWO_SPARKS, WORKER_IPS="192.168.100.11,192.168.100.12", WORKER_SSH_TARGETS="192.168.1.6,c")
        config = world.profile("tiny", TINY_PROFILE + "nodes: 2\n").load("tiny")
        assert len(config.cluster.nodes) == 2
        assert config.notes == ("2 of 3 nodes take part: the profile says nodes: 2",)

    def test_more_gpus_than_there_are(self, world: World) -> None:
        accepted = "2: one GPU on each of 2 nodes; nodes: N in a profile uses fewer"
        assert problems(world, TINY_PROFILE + "engine:\n  tensor_parallel: 4\n") == (
            Problem("profiles/tiny.yaml:5", "engine.tensor_parallel", "4", accepted),
        )
        assert world.problems("stacked", TENSOR_PARALLEL="1") == (Problem("flag", "TENSOR_PARALLEL", "1", accepted),)

    def test_pipeline_stages_count(self, world: World) -> None:
        text = TINY_PROFILE + "engine: {tensor_parallel: 1, extra_args: [--pipeline-parallel-size, '2']}\n"
        assert world.profile("tiny", text).load("tiny").profile.engine.tensor_parallel == 1

    @pytest.mark.parametrize(
        ("arguments", "found", "accepted"),
        [
            ("--pipeline-parallel-size 2", "2 x 2 pipeline stages", "1: "),
            ("--data_parallel_size=2", "2 x 2 replicas", "1: "),
            ("-pp 4 -pp 2", "2 x 2 pipeline stages", "1: "),
            ("-pp 2 -dp 2", "2 pipeline stages x 2 replicas", "what divides 2: "),
            ("--pipeline-parallel-size=4", "4 pipeline stages", "what divides 2: "),
            ("-pp 0", "0 pipeline stages", "what divides 2: "),
        ],
    )
    def test_gpus_of_all_kinds_of_parallelism_are_counted(
        self, world: World, arguments: str, found: str, accepted: str
    ) -> None:
        accepted += "one GPU on each of 2 nodes; nodes: N in a profile uses fewer"
        (problem,) = world.problems("stacked", EXTRA_ARGS=arguments)
        assert (problem.found, problem.accepted) == (found, accepted)
        assert problem.name == ("engine.tensor_parallel" if accepted[0] == "1" else "EXTRA_ARGS")
        words = ", ".join(f"'{word}'" for word in arguments.split())
        (problem,) = problems(world, TINY_PROFILE + f"engine: {{extra_args: [{words}]}}\n")
        assert (problem.found, problem.accepted) == (found, accepted)
        assert problem.where == "profiles/tiny.yaml:4"

    def test_one_gpu_of_each_node_is_fine_however_it_is_split(self, world: World) -> None:
        for arguments in ("-dp 2", "-pp 2", "--data-parallel-size-local 1 --data-parallel-size 2", "-pcp 2"):
            world.load("stacked", TENSOR_PARALLEL="1", EXTRA_ARGS=arguments)

    def test_the_ways_of_every_engine_are_counted(self, world: World) -> None:
        for name, flags in (
            ("sglang", "--pp-size, '2'"),
            ("sglang", "--dp-size=2"),
            ("sglang", "--dp=2"),
            ("trtllm", "--cp_size, '2'"),
        ):
            text = SGLANG.replace("sglang", name) + f"  tensor_parallel: 1\n  extra_args: [{flags}]\n"
            world.profile("tiny", text).load("tiny")
            assert " x 2 " in problems(world, text.replace("l: 1", "l: 2"))[0].found
        text = SGLANG + "  extra_args: [--dp-size, '2', --enable-dp-attention]\n"
        world.profile("tiny", text).load("tiny")

    def test_every_replica_needs_all_of_the_weights(self, world: World) -> None:
        text = SPARK + "engine: {weights_gib: 120, tensor_parallel: 1, extra_args: [-dp, '2']}\n"
        assert problems(world, text)[0].found == "120 GiB on 2 nodes need 124 GiB each"
        assert world.profile("tiny", text.replace("-dp", "-pp")).load("tiny")

    def test_more_memory_than_there_is(self, world: World) -> None:
        text = SPARK + "engine: {weights_gib: 218, gpu_memory_utilization: 0.8}\n"
        assert problems(world, text) == (
            Problem(
                "profiles/tiny.yaml:5",
                "engine.weights_gib",
                "218 GiB on 2 nodes need 113 GiB each",
                "at most 97 GiB a node: 0.8 of 121.7 GiB",
            ),
        )
        assert world.profile("tiny", text.replace("218", "180")).load("tiny")

    @pytest.mark.parametrize("flag", ["--host", "--tensor-parallel-size=2", "--served_model_name", "--swap-space"])
    def test_arguments_that_sparkctl_sets(self, world: World, flag: str) -> None:
        (problem,) = problems(world, TINY_PROFILE + f"engine: {{extra_args: ['{flag}', x]}}\n")
        assert problem.found == "an argument that sparkctl sets"
        assert problem.accepted.startswith(f"arguments without {flag.partition('=')[0].replace('_', '-')}; use ")

    def test_one_port_for_two_services(self, world: World) -> None:
        assert problems(world, TINY_PROFILE + "ports:\n  api: 6379\n") == (
            Problem("profiles/tiny.yaml:5", "ports.api", "6379, as ray", "a port of its own"),
        )
        world.profile("tiny", TINY_PROFILE)
        assert world.problems("tiny", RAY_PORT="29501") == (
            Problem("flag", "RAY_PORT", "29501, as master", "a port of its own"),
        )


def test_a_profile_that_cannot_be_read(world: World) -> None:
    with pytest.raises(ConfigError) as caught:
        profiles.read("./no/such.yaml", world.folder)
    assert caught.value.problems[0].found == "cannot be read: No such file or directory"
    assert profiles.summary(world.folder / "none.yaml") == "(cannot be read: sparkctl profile show says why)"


SGLANG = "name: tiny\nimage: {ref: e:1}\nmodel: {id: o/m}\nengine:\n  name: sglang\n"


def test_every_engine_is_chosen_by_its_name(world: World) -> None:
    for name in ("vllm", "sglang", "trtllm"):
        assert world.profile("tiny", SGLANG.replace("sglang", name)).load("tiny").served[0].engine.name == name
    (unknown,) = problems(world, SGLANG.replace("sglang", "sglan"))
    assert (unknown.where, unknown.name, unknown.nearest) == ("profiles/tiny.yaml:5", "engine.name", "sglang")
    for odd in ("'sglang '", "''", "SGLang", "../vllm"):
        (unknown,) = problems(world, SGLANG.replace("sglang", odd))
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
    found = problems(world, SGLANG.replace("name: sglang", text) + "nodes: 1\n")
    assert [problem.name for problem in found] == [name]
    assert accepted in found[0].accepted


@pytest.mark.parametrize(
    ("name", "variable"), [("vllm", "VLLM_SERVER_DEV_MODE"), ("vllm", "VLLM_HOST_IP"), ("sglang", "SGLANG_HOST_IP"),
                           ("ollama", "OLLAMA_HOST")])  # fmt: skip
def test_variables_that_sparkctl_sets(world: World, name: str, variable: str) -> None:
    """Another value would open the engine to the network, or tear its ranks apart."""
    env = f"  env: {{{variable}: 0.0.0.0, NCCL_DEBUG: INFO}}\nnodes: 1\n"
    (problem,) = problems(world, SGLANG.replace("sglang", name) + env)
    assert (problem.where, problem.name) == ("profiles/tiny.yaml:6", "engine.env")
    assert problem.accepted.startswith(f"variables without {variable}; use ")


def test_a_tag_is_ollamas(world: World) -> None:
    tagged = SGLANG.replace("o/m", "'gpt-oss:20b'") + "nodes: 1\n"
    assert [problem.name for problem in problems(world, tagged)] == ["model.id"]
    config = world.profile("tiny", tagged.replace("sglang", "ollama")).load("tiny")
    assert config.served[0].url == "http://127.0.0.1:8000/v1"
