"""The agent platform as data: who listens where, what each container may do, what makes one another one."""

import json
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from cli_fakes import cluster_of
from config_world import TWO_SPARKS, World, two_sparks
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from stack import config_of

from sparkctl.agent_spec import AgentsDocument
from sparkctl.config.load import Config
from sparkctl.core.plan import id_of
from sparkctl.core.service import Service
from sparkctl.core.step import Absent, Drifted, Layer, Ok
from sparkctl.facts.probe import Answer, Facts
from sparkctl.stacks.agents import FOLDERS, Agents, agents_of
from sparkctl.stacks.serving import all_steps, endpoints, steps
from sparkctl.steps.agents import Folder, FoldersStep
from sparkctl.steps.image import PullStep

world = pytest.fixture(two_sparks)
OURS = ("postgres", "sandbox", "gateway", "node-stats", "ui")


def deployed(**variables: str) -> tuple[Config, Agents]:
    config = config_of(cluster_of(), ENABLE_MULTI_AGENT="1", **variables)
    agents = agents_of(config)
    assert agents
    return config, agents


def service(agents: Agents, name: str) -> Service:
    return next(one for one in agents.services if one.name == name)


def test_without_the_component_there_is_nothing_of_it() -> None:
    config = config_of(cluster_of())
    assert agents_of(config) is None
    assert not {id_of(step).partition("@")[0] for step in steps(config)} & {*OURS, "agents-folders", "image-agents"}


def test_the_gateway_has_the_port_of_the_clients_and_the_engine_goes_behind_it() -> None:
    config, agents = deployed()
    head = config.cluster.head
    (served,) = config.served
    assert (served.ports.api, served.cluster.api_ip) == (18000, head.data_ip)
    assert service(agents, "gateway").ports == ((config.cluster.api_ip, 8000),)
    assert [place.url for place in endpoints(config)] == [f"http://{config.cluster.api_ip}:8000/v1"]
    document = AgentsDocument.model_validate(json.loads(agents.document))
    assert document.models["main"].url == f"http://{head.data_ip}:18000/v1"
    assert document.where.port == 8000


def test_one_spark_alone_serves_behind_the_gateway_on_its_loopback() -> None:
    config, _ = deployed()
    alone = replace(config, cluster=config.cluster.part((config.cluster.head,)))
    assert alone.served[0].cluster.api_ip == "127.0.0.1"


def test_every_container_is_confined_and_database_and_sandbox_have_no_network() -> None:
    _, agents = deployed()
    assert {one.name for one in agents.services} == set(OURS)
    for one in agents.services:
        assert one.confined and one.confined.memory_bytes and one.confined.pids
        assert not one.capabilities and not one.devices
    assert {one.name for one in agents.services if one.network == "none"} == {"postgres", "sandbox"}
    sandbox = service(agents, "sandbox")
    assert sandbox.confined and sandbox.confined.user == "65534:node" and sandbox.confined.first
    assert sandbox.secrets == ()


def test_uploads_wait_on_the_disk_to_be_read() -> None:
    _, agents = deployed()
    for name in ("gateway", "ui"):
        one = service(agents, name)
        (mount,) = [mount for mount in one.mounts if mount.target == dict(one.env)["TMPDIR"]]
        assert not mount.read_only
        assert Path(mount.source).name in {folder.name for folder in FOLDERS}


def test_all_that_a_user_keeps_in_the_sandbox_has_his_limit() -> None:
    _, agents = deployed()
    command = service(agents, "sandbox").command
    assert command[command.index("--user-mib") + 1] == str(agents.platform.limits.stored_mib)


def test_the_database_listens_where_its_images_own_programs_look_and_wants_its_password_at_every_socket() -> None:
    """The official entrypoint makes the database by a psql that is told no host (docker-library/postgres#935)."""
    _, agents = deployed()
    database = service(agents, "postgres")
    words = dict(word.split("=", 1) for word in database.command if "=" in word)
    mounted = {mount.target for mount in database.mounts}
    assert database.confined
    ours, own = words["unix_socket_directories"].split(",")
    assert (ours in mounted, own) == (True, "/var/run/postgresql")
    assert own in dict(database.confined.tmpfs)
    assert dict(database.env)["POSTGRES_INITDB_ARGS"] == "--auth=scram-sha-256"


def test_the_database_is_well_when_the_gateway_could_log_in_and_its_password_is_on_no_command_line() -> None:
    """While its entrypoint makes it, a server without it answers pg_isready; after a cut that one stays."""
    _, agents = deployed()
    look = agents.look(service(agents, "postgres"))
    assert "-d agents" in look and "PGPASSWORD=$(cat /run/secrets/database-password)" in look
    assert "'PGPASSWORD" in look, "the container's own shell reads it"


def test_another_text_of_an_agent_makes_another_gateway_and_no_other_sandbox_or_database() -> None:
    config, agents = deployed()
    changed = agents.platform.model_copy(update={"entry": "rag"})
    other = Agents(config, changed)
    different = [a.name for a, b in zip(agents.services, other.services, strict=True) if a.spec != b.spec]
    assert different == ["gateway", "ui"]


def test_the_password_of_the_engines_registry_goes_to_that_registry_alone() -> None:
    account = {"REGISTRY_USER": "me", "REGISTRY_PASSWORD": "no-one-elses", "VLLM_IMAGE": "nvcr.io/nvidia/vllm:1"}
    config, agents = deployed(ENABLE_PROMETHEUS="1", **account)
    platform = agents.platform.model_copy(update={"image": "nvcr.io/mine/agents:1"})
    pulls = {step.reference: step.login for step in Agents(config, platform).steps() if isinstance(step, PullStep)}
    assert {reference for reference, login in pulls.items() if login} == {"nvcr.io/mine/agents:1"}
    assert {"postgres:17-bookworm", "prom/prometheus:v3.5.0"} < pulls.keys()


def test_the_database_and_its_password_last_until_purge() -> None:
    config, _ = deployed()
    layers = {id_of(step): step.layer for step in steps(config)}
    assert layers["agents-folders@spark-1"] is layers["secret-database-password@spark-1"] is Layer.MODEL
    assert layers["agents-document@spark-1"] is layers["secret-agents-key@spark-1"] is Layer.HOST
    assert layers["gateway@spark-1"] is layers["gateway-health@spark-1"] is Layer.WORKLOAD


def test_a_profile_without_agents_undoes_those_of_an_earlier_one() -> None:
    undone = {id_of(step) for step in all_steps(config_of(cluster_of()))}
    assert {f"{name}@spark-1" for name in (*OURS, "agents-folders", "agents-document")} <= undone
    assert "node-stats@spark-2" in undone


def test_folders_are_made_and_mended() -> None:
    cluster = cluster_of()
    step = FoldersStep(cluster, cluster.head, (Folder("data"), Folder("workspaces", owner=65534)))

    def found(text: str) -> Facts:
        return Facts({cluster.head.name: {"agents-folders": Answer(text)}})

    assert isinstance(step.check(found("")), Absent)
    assert isinstance(step.check(found("700 - data\n700 65534 workspaces\n")), Ok)
    finding = step.check(found("755 - data\n700 65534 workspaces\n"))
    assert isinstance(finding, Drifted)
    assert finding.differences == ("data has mode and owner 755 -",)
    assert step.undo(found("")) == ()


@pytest.mark.parametrize(
    ("team", "name", "accepted"),
    [
        ("{eyes: {kind: image}}", "agents.team.eyes.model", "a model that sees"),
        ("{one: {kind: plain, model: tiny}}", "agents.team.one.model", "one of: openai/gpt-oss-20b"),
        ("{one: {kind: plain}}", "agents.entry", "one of: one"),
    ],
)
def test_a_team_that_cannot_work_is_refused(world: World, team: str, name: str, accepted: str) -> None:
    text = Path(__file__).parents[2].joinpath("profiles/single.yaml").read_text()
    text = text.replace("name: single", "name: mine").replace("gpt-oss-120b", "gpt-oss-20b")
    world.lab(**TWO_SPARKS).profile("mine", f"{text}components: [vllm, agents]\nagents:\n  team: {team}\n")
    problems = {problem.name: problem for problem in world.problems("mine")}
    assert accepted in problems[name].accepted
    assert "profiles/mine.yaml:" in problems[name].where


def test_the_labs_base_has_every_library_that_the_image_asks_for() -> None:
    """The nodes of a lab reach no package index: what is missing there fails `up`."""
    root = Path(__file__).parents[2]
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    lines = (root / "sparkctl/lab/images/agents/lock.txt").read_text().splitlines()
    pairs = (line.split("==") for line in lines if not line.startswith("#"))
    pinned = {canonicalize_name(name): version for name, version in pairs}
    for text in (*project["dependencies"], *project["optional-dependencies"]["agents"]):
        asked = Requirement(text)
        version = pinned.get(canonicalize_name(asked.name))
        assert version and asked.specifier.contains(version), f"{text}: make the lock file anew"
