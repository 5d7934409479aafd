from pathlib import Path

import pytest
from config_world import TINY_PROFILE, TWO_SPARKS, World, lines, two_sparks

from sparkctl.config.load import NAMES, load
from sparkctl.config.origin import Origin
from sparkctl.errors import ConfigError, Problem

DOCUMENT_1 = Path(__file__).parent / "data/document-1.env"
SHELL = "what `sparkctl config schema` lists"


world = pytest.fixture(two_sparks)


def test_each_layer_hides_the_one_below_value_by_value(world: World) -> None:
    world.shared(**TWO_SPARKS, MAX_MODEL_LEN="1", VLLM_PORT="8001", RAY_PORT="7001", NCCL_DEBUG="INFO")
    world.local(VLLM_PORT="8002", RAY_PORT="7002", NCCL_DEBUG="WARN")
    world.environ |= {"RAY_PORT": "7003", "NCCL_DEBUG": "TRACE"}
    config = world.load(NCCL_DEBUG="VERSION")
    assert config.origins["MAX_MODEL_LEN"] == Origin("1", "unified-config.env:5")
    assert config.origins["VLLM_PORT"] == Origin("8002", "unified-config.local.env:1")
    assert config.origins["RAY_PORT"] == Origin("7003", "environment")
    assert config.origins["NCCL_DEBUG"] == Origin("VERSION", "flag")
    assert config.origins["CLUSTER_NAME"] == Origin("spark", "default")


def test_overrides_reach_the_profile_with_their_origin(world: World) -> None:
    config = world.local(MAX_MODEL_LEN="2048", SHM_SIZE="512m", VLLM_LOG_LEVEL="DEBUG").load()
    assert config.profile.engine.max_model_len == 2048
    assert config.profile.engine.shm_gib == 0.5
    assert config.profile.engine.env["VLLM_LOGGING_LEVEL"] == "DEBUG"
    assert config.origins["engine.max_model_len"] == Origin("2048", "unified-config.local.env:1")
    assert config.origins["engine.gpu_memory_utilization"] == Origin("0.8", "profile stacked")
    assert config.origins["engine.env.VLLM_LOGGING_LEVEL"].where == "unified-config.local.env:3"


def test_another_model_drops_what_the_profile_says_of_its_own(world: World) -> None:
    text = TINY_PROFILE.replace("lab/tiny}", "lab/tiny, revision: abc, allow: ['*.json'], served_name: t}")
    world.profile("tiny", text + "engine: {weights_gib: 3, extra_args: [--enforce-eager]}\n")
    own, other = world.load("tiny"), world.load("tiny", MODEL="lab/other", EXTRA_ARGS="--seed 7")
    assert (own.profile.model.revision, own.profile.model.served_name) == ("abc", "t")
    assert (other.profile.model.id, other.profile.model.revision) == ("lab/other", "main")
    assert (other.profile.model.allow, other.profile.model.served_name) == ((), None)
    assert other.profile.engine.weights_gib is None
    assert other.profile.engine.extra_args == ("--enforce-eager", "--seed", "7")
    assert world.load("tiny", MODEL="lab/tiny").profile.model.revision == "abc"


def test_an_empty_value_means_the_default(world: World) -> None:
    config = world.shared(**TWO_SPARKS, VLLM_PORT="8001", CLUSTER_NAME="mine").local(CLUSTER_NAME="").load()
    assert config.settings.cluster_name == "spark"
    assert config.origins["CLUSTER_NAME"].where == "default"
    assert config.profile.ports.api == 8001


def test_the_component_switch(world: World) -> None:
    world.environ |= {"ENABLE_VLLM": "0", "ENABLE_MULTI_AGENT": "0"}
    config = world.load()
    assert config.profile.components == ()
    assert config.notes == ()
    world.environ |= {"ENABLE_VLLM": "1", "ENABLE_MULTI_AGENT": "1"}
    config = world.load()
    assert config.profile.components == ("agents", "postgres", "ui", "vllm")
    assert config.notes == ()


def test_document_1_works_as_it_is(tmp_path: Path) -> None:
    world = World(tmp_path).shared(DOCUMENT_1.read_text(encoding="utf-8"))
    config = world.load()
    head, worker = config.cluster.nodes
    assert (head.address, head.fabric_ip, head.user) == ("192.168.86.50", "10.10.10.1", "nvidia")
    assert (worker.name, worker.address, worker.fabric_ip) == ("spark-ba63", "192.168.86.39", "10.10.10.2")
    assert worker.user == "nvidia"
    assert config.profile.model.id == "openai/gpt-oss-120b"
    assert config.profile.engine.gpu_memory_utilization == 0.9
    assert config.profile.ports.ray == 6380
    assert "without effect: SWAP_SPACE: vLLM has no swap space since 0.18" in config.notes
    assert any(note.startswith("HF_CACHE=/raid/hf-cache: a Spark has no /raid") for note in config.notes)
    assert any(note.startswith("the fabric is enP7s7 on the head and enp1s0f0np0") for note in config.notes)
    switches = "ENABLE_COMFYUI=1, ENABLE_FLUX_MODEL=1, ENABLE_SDXL_MODEL=1, ENABLE_TENSORRT_OPTIMIZATION=1"
    reason = "image generation is a component that this version does not deploy"
    assert f"{switches}, ENABLE_MULTIMODAL=1 deploy nothing: {reason}" in config.notes
    assert not [note for note in config.notes if "ENABLE_JAEGER" in note]


def test_the_shipped_file_lacks_only_what_nobody_can_know(tmp_path: Path) -> None:
    problems = World(tmp_path).problems()
    assert {(p.name, p.found) for p in problems} == {
        ("CONTROL_PLANE_API_IP", "not set"),
        ("WORKER_NODE_SSH_TARGET", "not set"),
    }
    config = World(tmp_path).load(CONTROL_PLANE_API_IP="192.168.1.5", WORKER_NODE_SSH_TARGET="192.168.1.6")
    assert [node.fabric_ip for node in config.cluster.nodes] == ["192.168.100.10", "192.168.100.11"]


def test_missing_addresses_point_to_init(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        World(tmp_path).load()
    assert caught.value.fix == "sparkctl init"
    assert caught.value.exit_code == 3


def test_env_file_replaces_both_files(world: World) -> None:
    world.local("this is not read")
    (world.folder / "other.env").write_text(lines({**TWO_SPARKS, "CLUSTER_NAME": "other"}))
    config = world.load(env_file=Path("other.env"))
    assert config.cluster.name == "other"
    assert config.origins["CLUSTER_NAME"].where == "other.env:5"
    assert world.problems(env_file=Path("none.env"))[0] == Problem(
        "none.env", "file", "cannot be read: No such file or directory", "a readable file"
    )


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("CLUSTER_NAME", "My Cluster", "up to 31 of a-z, 0-9 and -, starting with a letter"),
        ("CONTROL_PLANE_API_IP", "spark.local", "an IPv4 address"),
        ("CONTROL_PLANE_API_IP", "0.0.0.0", "an IPv4 address"),
        ("FABRIC_CTRL_IP", "127.0.0.1", "an IPv4 address"),
        ("FABRIC_CTRL_IP", "10.0.0.256", "an IPv4 address"),
        ("HEAD_SSH_TARGET", "-oProxyCommand=sh", "[user@]host[:port]: a host name, an alias or an address"),
        ("HEAD_SSH_TARGET", "a b", "[user@]host[:port]: a host name, an alias or an address"),
        ("HEAD_SSH_USER", "ro ot", "a login name"),
        ("HEAD_SSH_PORT", "0", "1 to 65535"),
        ("VLLM_PORT", "65536", "1 to 65535"),
        ("RAY_PORT", "ray", "1 to 65535"),
        ("FABRIC_CTRL_CIDR", "/33", "an address with its prefix such as 192.168.100.10/24, or the prefix alone"),
        ("FABRIC_CTRL_INTERFACE", "en/0", "the name of a network interface, such as enp1s0f1np1"),
        ("HF_CACHE", "cache", "an absolute folder, or one below ~/, of letters, digits and _ @ % + = . -"),
        ("HF_CACHE", "/", "an absolute folder, or one below ~/, of letters, digits and _ @ % + = . -"),
        ("HF_CACHE", "/a/../b", "an absolute folder, or one below ~/, of letters, digits and _ @ % + = . -"),
        ("HF_ENDPOINT", "ftp://hub", "http:// or https:// and a host"),
        ("MODEL", "a/b/c", "ORG/NAME as on the model hub"),
        ("TENSOR_PARALLEL", "0", "1 or more"),
        ("GPU_MEMORY_UTIL", "0.95", "more than 0 and at most 0.90"),
        ("GPU_MEMORY_UTIL", "0", "more than 0 and at most 0.90"),
        ("GPU_MEMORY_UTIL", "nan", "more than 0 and at most 0.90"),
        ("MAX_MODEL_LEN", "8k", "1 to 10000000"),
        ("SHM_SIZE", "much", "a size such as 16g, at least 64m"),
        ("TRUST_REMOTE_CODE", "maybe", "1 or 0, true or false"),
        ("VLLM_IMAGE", "an image", "an image reference such as nvcr.io/nvidia/vllm:25.11-py3"),
        ("VLLM_LOG_LEVEL", "LOUD", "DEBUG, INFO, WARNING or ERROR"),
        ("EXTRA_ARGS", "--a 'b", "words with closed quotes"),
    ],
)
def test_a_bad_value_says_where_it_is_and_what_is_accepted(world: World, name: str, value: str, accepted: str) -> None:
    problems = world.local("\n# a comment\n", **{name: f'"{value}"'}).problems()
    assert problems == (Problem("unified-config.local.env:3", name, repr(value), accepted),)


@pytest.mark.parametrize(
    ("name", "nearest"), [("TENSOR_PARALEL", "TENSOR_PARALLEL"), ("hf_tokn", "HF_TOKEN"), ("XYZZY", "")]
)
def test_an_unknown_variable_names_the_nearest(world: World, name: str, nearest: str) -> None:
    shown = name if name.isupper() else "name"
    problems = world.local(**{name: "1"}).problems()
    assert problems == (Problem("unified-config.local.env:1", shown, "unknown variable", SHELL, nearest),)


def test_helper_variables_of_the_user_are_welcome(world: World) -> None:
    config = world.local("LAN=192.168.7\nCONTROL_PLANE_API_IP=${LAN}.5\n").load()
    assert config.cluster.api_ip == "192.168.7.5"


def test_an_unknown_flag_is_a_problem(world: World) -> None:
    assert world.problems(MODLE="x") == (Problem("flag", "MODLE", "unknown variable", SHELL, "MODEL"),)


def test_all_problems_come_at_once(world: World) -> None:
    world.shared(**TWO_SPARKS, VLLM_PORT="0", NOPE="1", GPU_MEMORY_UTIL="2")
    world.profile("bad", TINY_PROFILE.replace("tiny", "bad", 1) + "nodes: none\n")
    assert {(p.where, p.name) for p in world.problems("bad")} == {
        ("profiles/bad.yaml:4", "nodes"),
        ("unified-config.env:5", "VLLM_PORT"),
        ("unified-config.env:6", "NOPE"),
        ("unified-config.env:7", "GPU_MEMORY_UTIL"),
    }


class TestSecrets:
    CANARY = "hf_canary_0123456789"

    def test_they_are_hidden_in_origins_and_still_there(self, world: World) -> None:
        config = world.local(HF_TOKEN=self.CANARY).load()
        assert config.settings.hf_token.get_secret_value() == self.CANARY
        assert config.origins["HF_TOKEN"] == Origin("(hidden)", "unified-config.local.env:1")
        assert self.CANARY not in repr(config)

    def test_a_file_that_others_can_read_is_noted(self, world: World) -> None:
        note = "unified-config.local.env holds secrets and others can read it: chmod 600 unified-config.local.env"
        world.local(HF_TOKEN=self.CANARY)
        assert world.load().notes == (note,)
        (world.folder / "unified-config.local.env").chmod(0o600)
        assert world.load().notes == ()

    def test_a_bad_secret_is_not_shown(self, world: World) -> None:
        world.environ["HF_TOKEN"] = f"{self.CANARY} "
        assert world.problems() == (
            Problem("environment", "HF_TOKEN", "(hidden)", "one line of printable ASCII without spaces"),
        )

    @pytest.mark.parametrize(
        "name", ["HF_TOKEN", "NGC_API_KEY", "REGISTRY_PASSWORD", "VLLM_API_KEY", "MINIO_SECRET_KEY"]
    )
    def test_a_flag_sets_no_secret(self, world: World, name: str) -> None:
        found = "a secret on the command line, which everybody on this machine can read"
        accepted = "in unified-config.local.env, or in the environment"
        assert world.problems("stacked", None, **{name: self.CANARY}) == (Problem("flag", name, found, accepted),)
        assert self.CANARY not in repr(
            world.problems("stacked", None, **{name: self.CANARY, "MODEL": f"{self.CANARY} x"})
        )
        assert world.load("stacked", None, **{name: ""})
        assert world.lab(**TWO_SPARKS).problems("lab", None, **{name: self.CANARY})[0].found == found

    def test_a_secret_within_another_value_is_not_shown(self, world: World) -> None:
        world.environ["MY_TOKEN"] = self.CANARY
        problems = world.local("MODEL='a b ${HF_TOKEN}'\nVLLM_IMAGE=\"x ${MY_TOKEN}\"\n").problems()
        assert [p.name for p in problems] == ["MODEL", "VLLM_IMAGE"]
        assert self.CANARY not in repr(problems)

    def test_a_mistyped_name_does_not_show_its_value(self, world: World) -> None:
        assert self.CANARY not in repr(world.local(f"HF_TOKNE={self.CANARY}\n{self.CANARY}\n").problems())

    def test_a_secret_in_extra_arguments_is_refused_and_hidden(self, world: World) -> None:
        problems = world.problems(EXTRA_ARGS=f"--api-key={self.CANARY}")
        assert problems[0].accepted.startswith("arguments without --api-key; use VLLM_API_KEY")
        assert self.CANARY not in repr(problems)


class TestLab:
    def test_it_replaces_the_files_and_ignores_addresses_of_the_environment(self, world: World) -> None:
        world.lab(**{**TWO_SPARKS, "CONTROL_PLANE_API_IP": "10.77.0.11", "CLUSTER_NAME": "sparklab"})
        world.environ |= {"CONTROL_PLANE_API_IP": "192.168.1.9", "HF_TOKEN": "hf_12345", "MAX_MODEL_LEN": "256"}
        config = world.load("lab")
        assert config.cluster.api_ip == "10.77.0.11"
        assert config.settings.hf_token.get_secret_value() == ""
        assert config.profile.engine.max_model_len == 256
        assert config.notes == ("ignored from the environment, the lab has its own: CONTROL_PLANE_API_IP, HF_TOKEN",)

    def test_its_addresses_cannot_be_set_by_a_flag(self, world: World) -> None:
        world.lab(**TWO_SPARKS)
        assert world.problems("lab", WORKER_IPS="192.168.1.9") == (
            Problem("flag", "WORKER_IPS", "set by a flag, while the profile names a lab", "what the lab itself says"),
        )

    def test_no_lab_says_how_to_get_one(self, world: World) -> None:
        world.environ["SPARKCTL_LAB_HOME"] = str(world.folder / "labs")
        with pytest.raises(ConfigError) as caught:
            world.load("lab")
        assert caught.value.fix == "sparkctl lab up"
        found = f"no lab: {world.folder}/labs/sparklab/lab.env does not exist"
        assert caught.value.problems == (Problem("profile", "where: lab", found, "the file of a running lab"),)

    def test_another_lab_is_chosen_by_name(self, world: World) -> None:
        world.lab("second", CLUSTER_NAME="second", **TWO_SPARKS)
        world.environ["SPARKCTL_LAB"] = "second"
        assert world.load("lab").cluster.name == "second"

    @pytest.mark.parametrize("name", ["..", "/x", "../second"])
    def test_a_lab_is_chosen_by_name_not_by_path(self, world: World, name: str) -> None:
        world.environ["SPARKCTL_LAB"] = name
        accepted = "2 to 31 of a-z, 0-9 and -, starting with a letter"
        assert world.problems("lab") == (Problem("environment", "SPARKCTL_LAB", repr(name), accepted),)


def test_the_profile_comes_from_the_environment_where_none_is_named(world: World) -> None:
    world.profile("tiny", TINY_PROFILE)
    world.environ["SPARKCTL_PROFILE"] = "tiny"
    assert load(environ=world.environ, cwd=world.folder).profile.name == "tiny"


def test_every_variable_has_an_origin(world: World) -> None:
    assert set(world.load().origins) >= NAMES


def test_a_file_that_cannot_be_read_is_the_only_problem(world: World) -> None:
    with pytest.raises(ConfigError) as caught:
        load(env_file=world.folder / "nope", environ={}, cwd=world.folder)
    assert [(problem.name, problem.found) for problem in caught.value.problems] == [
        ("file", "cannot be read: No such file or directory")
    ]
    assert caught.value.fix != "sparkctl init"


def test_a_variable_of_the_environment_that_is_nearly_ours_is_named(world: World) -> None:
    world.environ |= {"HEAD_SSH_USR": "x", "SPARKCTL_PROFIL": "lab", "HOMEBREW_PREFIX": "/x", "MODELS_DIR": "/m"}
    assert [note for note in world.load().notes if "did you mean" in note] == [
        "HEAD_SSH_USR in the environment is no variable of sparkctl; did you mean HEAD_SSH_USER?",
        "SPARKCTL_PROFIL in the environment is no variable of sparkctl; did you mean SPARKCTL_PROFILE?",
    ]
