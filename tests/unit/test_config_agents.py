"""The agents in the configuration: document 1's variables of them, and components that need each other."""

from pathlib import Path

import pytest
from config_world import World, two_sparks

from sparkctl.config.agents import Platform

world = pytest.fixture(two_sparks)
DOCUMENT_1 = Path(__file__).with_name("data") / "document-1.env"
TWO_MODELS = """\
name: mine
image: {ref: 'registry.lab:5000/tiny:1'}
models:
  big: {model: {id: openai/gpt-oss-120b}, engine: {gpu_memory_utilization: 0.4}}
  small:
    model: {id: openai/gpt-oss-20b}
    engine: {gpu_memory_utilization: 0.4}
    ports: {api: 8001, ray: 6380, master: 29502}
components: [vllm, agents]
agents:
  team:
    supervisor: {kind: supervisor, model: big}
    rag: {kind: rag, model: big}
    library: {kind: rag, model: big}
    coding: {kind: coding, model: big}
"""


def platform(world: World, profile: str = "mine", **flags: str) -> Platform:
    found = world.load(profile, None, **flags).profile.platform
    assert found
    return found


def mine(world: World, text: str = TWO_MODELS) -> World:
    return world.profile("mine", text)


def test_a_model_variable_changes_every_agent_of_its_kind(world: World) -> None:
    config = mine(world).load("mine", RAG_AGENT_MODEL="gpt-oss-20b", CODE_AGENT_MODEL="small")
    team = config.profile.platform.team
    assert {name: agent.model for name, agent in team.items()} == {
        "supervisor": "big",
        "rag": "small",
        "library": "small",
        "coding": "small",
    }
    assert config.origins["agents.team.library.model"].where == "flag"
    assert config.origins["agents.team.supervisor.model"].where == "profile mine"
    assert config.notes == ()


def test_a_model_that_is_not_served_is_said_and_changes_nothing(world: World) -> None:
    config = mine(world).load("mine", SUPERVISOR_MODEL="Phi-4", IMAGE_AGENT_MODEL="gpt-oss-20b")
    assert config.profile.platform.team["supervisor"].model == "big"
    assert config.notes == (
        "SUPERVISOR_MODEL=Phi-4 has no effect: that model is not served, and the agent keeps its own",
        "IMAGE_AGENT_MODEL=gpt-oss-20b has no effect: there is no agent of kind image",
    )


def test_the_only_model_is_named_as_clients_do(world: World) -> None:
    world.environ |= {"ENABLE_MULTI_AGENT": "1"}
    model = world.load().profile.model
    assert model
    short = model.id.rpartition("/")[2]
    assert platform(world, "stacked", SUPERVISOR_MODEL=short).team["supervisor"].model == model.id
    other = platform(world, "stacked", MODEL="lab/other", SUPERVISOR_MODEL="other")
    assert other.team["supervisor"].model == "lab/other"


def test_agents_are_left_out_by_kind(world: World) -> None:
    team = platform(mine(world), ENABLE_RAG_SYSTEM="0", ENABLE_CODE_GENERATION="1").team
    assert list(team) == ["supervisor", "coding"]
    assert list(platform(world, ENABLE_CODE_GENERATION="0").team) == ["supervisor", "rag", "library"]
    (note,) = world.load("mine", ENABLE_IMAGE_UNDERSTANDING="1").notes
    assert note == "ENABLE_IMAGE_UNDERSTANDING=1 adds no agent: write one of kind image into agents.team"


def test_ports_of_the_platform(world: World) -> None:
    world.environ |= {"ENABLE_MULTI_AGENT": "1"}
    ports = {"AGENT_BACKEND_PORT": "8100", "MILVUS_PORT": "1", "PROMETHEUS_PORT": "2", "GRAFANA_PORT": "3"}
    config = world.load("stacked", None, **ports, VLLM_PORT="8200")
    found = config.profile.platform
    assert found
    assert (config.profile.ports.api, found.milvus_port, found.prometheus_port, found.grafana_port) == (8100, 1, 2, 3)
    assert config.origins["ports.api"].value == "8100"
    assert config.origins["agents.grafana_port"].where == "flag"


def test_without_agents_their_variables_change_nothing_and_say_so(world: World) -> None:
    config = world.load(AGENT_BACKEND_PORT="8100", ENABLE_PROMETHEUS="1", ENABLE_GRAFANA="0", SUPERVISOR_MODEL="x")
    assert config.profile == world.load().profile
    names = "AGENT_BACKEND_PORT, SUPERVISOR_MODEL, ENABLE_PROMETHEUS"
    assert config.notes == (f"without effect: {names}: no agents are deployed",)


def test_switches_of_what_watches(world: World) -> None:
    world.environ |= {"ENABLE_MULTI_AGENT": "1", "ENABLE_PROMETHEUS": "1", "ENABLE_GRAFANA": "1"}
    assert set(world.load().profile.components) == {"vllm", "agents", "postgres", "ui", "prometheus", "grafana"}
    assert "grafana" not in world.load(ENABLE_GRAFANA="0").profile.components
    (problem,) = world.problems(ENABLE_PROMETHEUS="0")
    assert problem.found == "grafana without prometheus"


def test_without_the_agents_nothing_of_them_is_left(world: World) -> None:
    text = TWO_MODELS.replace("[vllm, agents]", "[vllm, agents, postgres, ui, prometheus, grafana, milvus]")
    assert mine(world, text).load("mine", ENABLE_MULTI_AGENT="0").profile.components == ("vllm",)


@pytest.mark.parametrize(
    ("components", "agents", "name", "found", "accepted"),
    [
        ("vllm, agents, comfyui", "", "components", "comfyui", "nothing of that name yet: sparkctl does not deploy"),
        ("vllm, prometheus", "", "components", "prometheus without agents", "agents too"),
        ("vllm, agents, grafana", "", "components", "grafana without prometheus", "prometheus too"),
        ("vllm, milvus", "", "components", "milvus without agents", "agents too"),
        ("vllm, postgres", "", "components", "postgres without agents", "agents too"),
        ("vllm, ui", "", "components", "ui without agents", "agents too"),
        ("agents", "", "components", "agents without vllm", "vllm too"),
        ("vllm, agents", "rag: {index: milvus}", "agents.rag.index", "'milvus'", "milvus among the components"),
    ],
)
def test_what_cannot_work_is_refused_where_it_stands(
    world: World, components: str, agents: str, name: str, found: str, accepted: str
) -> None:
    text = "name: tiny\nimage: {ref: e:1}\nmodel: {id: o/m}\n"
    text += f"components: [{components}]\n" + (f"agents:\n  {agents}\n" if agents else "")
    problems = {problem.name: problem for problem in world.profile("tiny", text).problems("tiny")}
    assert problems[name].found == found
    assert accepted in problems[name].accepted
    assert problems[name].where == f"profiles/tiny.yaml:{6 if agents else 4}"


def test_a_misspelt_choice_is_shown_with_the_nearest_also_where_its_name_tells_of_a_token(world: World) -> None:
    text = "name: tiny\nimage: {ref: e:1}\nmodel: {id: o/m}\ncomponents: [vllm, agent]\n"
    text += "agents: {access: {token_algorithm: EdDSS}}\n"
    problems = {problem.name: problem for problem in world.profile("tiny", text).problems("tiny")}
    assert (problems["components.1"].found, problems["components.1"].nearest) == ("'agent'", "agents")
    algorithm = problems["agents.access.token_algorithm"]
    assert (algorithm.found, algorithm.nearest) == ("'EdDSS'", "EdDSA")


@pytest.mark.parametrize(
    ("flags", "found"),
    [
        ({"PROMETHEUS_PORT": "3001"}, "3001, as agents.grafana_port"),
        ({"GRAFANA_PORT": "9101"}, "9101, as node-stats"),
        ({"PROMETHEUS_PORT": "18001"}, "18001, as models.small.ports.api"),
        ({"AGENT_BACKEND_PORT": "5000"}, "5000, as agents.ui_port"),
        ({"MILVUS_PORT": "9091"}, "9091, as Milvus' health in its container"),
    ],
)
def test_two_services_of_the_head_at_one_port_are_refused(world: World, flags: dict[str, str], found: str) -> None:
    watched = "[vllm, agents, ui, milvus, prometheus, grafana]"
    mine(world, TWO_MODELS.replace("[vllm, agents]", watched) + "  rag: {index: milvus}\n").load("mine")
    (problem,) = world.problems("mine", None, **flags)
    assert (problem.name, problem.found, problem.accepted) == (*flags, found, "a port of its own")


def test_a_port_of_what_is_not_deployed_is_nobodys(world: World) -> None:
    assert mine(world).load("mine", GRAFANA_PORT="8000", MILVUS_PORT="9091", AGENT_BACKEND_PORT="9101")


def test_a_milvus_that_nobody_uses_is_said(world: World) -> None:
    text = TWO_MODELS.replace("[vllm, agents]", "[vllm, agents, milvus]")
    assert mine(world, text).load("mine").notes == ("nobody uses the component milvus: agents.rag.index is embedded",)
    assert mine(world, text + "  rag: {index: milvus}\n").load("mine").notes == ()


def test_document_1_deploys_what_watches_and_says_which_models_it_lacks(tmp_path: Path) -> None:
    config = World(tmp_path).shared(DOCUMENT_1.read_text(encoding="utf-8")).load()
    assert {"agents", "prometheus", "grafana"} <= set(config.profile.components)
    assert config.profile.platform.team["supervisor"].model == "openai/gpt-oss-120b"
    kept = "that model is not served, and the agent keeps its own"
    assert f"CODE_AGENT_MODEL=Llama-3.1-8B-Instruct has no effect: {kept}" in config.notes
    assert "IMAGE_AGENT_MODEL=Phi-4 has no effect: there is no agent of kind image" in config.notes
    assert [note for note in config.notes if "POSTGRES_PASSWORD" in note and "generated on the head" in note]
