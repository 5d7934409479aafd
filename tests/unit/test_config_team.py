"""Names in `agents` that nothing has are refused before anything is deployed, with the nearest that there is."""

import pytest
from config_world import World, two_sparks

world = pytest.fixture(two_sparks)
PROFILE = """\
name: mine
image: {ref: 'registry.lab:5000/tiny:1'}
model: {id: org/tiny}
components: [vllm, agents]
agents:
  team:
    supervisor: {kind: supervisor}
    other: OTHER
"""


@pytest.mark.parametrize(
    ("agent", "key", "found", "accepted", "nearest"),
    [
        ("{kind: codign}", "kind", "'codign'", "one of: supervisor, rag, coding, image, plain, MODULE:NAME", "coding"),
        ("{kind: 'my_kinds:'}", "kind", "'my_kinds:'", "MODULE:NAME of your own", ""),
        ("{kind: rag, tools: [search_docs]}", "tools", "'search_docs'", "one of: search_knowledge_base, get_", ""),
        ("{kind: coding, tools: [excute_code]}", "tools", "'excute_code'", "one of: execute_code,", "execute_code"),
        ("{kind: plain, tools: [read_file]}", "tools", "'read_file'", "none: the kind plain has no tools", ""),
    ],
)
def test_a_kind_that_is_none_and_a_tool_that_its_kind_lacks_are_refused(
    world: World, agent: str, key: str, found: str, accepted: str, nearest: str
) -> None:
    (problem,) = world.profile("mine", PROFILE.replace("OTHER", agent)).problems("mine")
    assert (problem.where, problem.name) == ("profiles/mine.yaml:8", f"agents.team.other.{key}")
    assert (problem.found, problem.nearest) == (found, nearest)
    assert accepted in problem.accepted


def test_a_kind_of_ones_own_has_tools_that_only_its_module_knows(world: World) -> None:
    text = PROFILE.replace("OTHER", "{kind: 'my.kinds:UNITS', tools: [miles]}")
    team = world.profile("mine", text).load("mine").profile.platform.team
    assert team["other"].tools == ("miles",)


def test_a_model_that_embeds_is_one_that_is_served(world: World) -> None:
    text = PROFILE.replace("OTHER", "{kind: rag}") + "  rag: {embeddings: org/tyny}\n"
    (problem,) = world.profile("mine", text).problems("mine")
    assert (problem.name, problem.found, problem.nearest) == ("agents.rag.embeddings", "'org/tyny'", "org/tiny")
    assert world.profile("mine", text.replace("tyny", "tiny")).load("mine")


@pytest.mark.parametrize("host", ["https://example.org/", "example.org/pictures", "me@example.org", ""])
def test_a_host_to_fetch_from_is_a_host_and_no_url(world: World, host: str) -> None:
    text = PROFILE.replace("OTHER", "{kind: rag}") + f"  fetch: {{hosts: ['{host}']}}\n"
    (problem,) = world.profile("mine", text).problems("mine")
    assert problem.name == "agents.fetch.hosts.0"
    assert "Names of hosts" in problem.accepted


@pytest.mark.parametrize("host", ["example.org", "example.org:8443", "[2001:db8::1]:80", "bücher.example"])
def test_hosts_to_fetch_from_are_taken(world: World, host: str) -> None:
    text = PROFILE.replace("OTHER", "{kind: rag}") + f"  fetch: {{hosts: ['{host}']}}\n"
    assert world.profile("mine", text).load("mine").profile.platform.fetch.hosts == (host,)
