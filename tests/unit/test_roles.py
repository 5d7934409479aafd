"""Roles as data: what each does by what its node says, who makes room for whom, and which steps a launch takes."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from config_world import TWO_SPARKS, World

from sparkctl.cli.complete_nodes import complete_roles
from sparkctl.config.load import Config
from sparkctl.core.plan import id_of
from sparkctl.core.step import Blocked, Ok, Pending
from sparkctl.errors import SparkctlError
from sparkctl.facts.engine import log_probe
from sparkctl.facts.probe import Answer, Facts
from sparkctl.stacks.role_state import Look, RoleState, State
from sparkctl.stacks.roles import Room, ending, forgetting, launching, preparing, role, roles
from sparkctl.steps.memory import MemoryStep

GIB_KB = 2**20
TEXT = """
name: team
image: {ref: 'registry.lab:5000/vllm:1'}
host: {gpu: '', reserve_gib: 10}
engine: {overhead_gib: 4, weights_gib: 18}
models:
  helper:
    model: {id: lab/helper}
    nodes: [1]
    ports: {api: 8010}
    engine: {gpu_memory_utilization: 0.5}
  architect:
    model: {id: lab/architect}
    nodes: head
    start: demand
    engine: {gpu_memory_utilization: 0.5}
    role: {temperature: 0.1, sleep: true}
  dev:
    model: {id: lab/dev}
    nodes: head
    start: demand
    engine: {gpu_memory_utilization: 0.6}
    ports: {api: 8001}
    role: {temperature: 0.3}
  po:
    model: {id: lab/po}
    nodes: head
    start: demand
    engine: {gpu_memory_utilization: 0.15, weights_gib: 5}
    ports: {api: 8002}
    role: {temperature: 0.5}
timeouts: {ready_s: 120}
"""


WIDE = """\
  wide:
    model: {id: lab/wide}
    start: demand
    engine: {gpu_memory_utilization: 0.3, weights_gib: 5}
    ports: {api: 8003}
  small:
    model: {id: lab/small}
    nodes: [1]
    start: demand
    engine: {gpu_memory_utilization: 0.15, weights_gib: 5}
    ports: {api: 8004}
"""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return World(tmp_path).shared(**TWO_SPARKS).profile("team", TEXT).load("team")


@dataclass
class Seen:
    """What the node of a role says; nothing of it runs at first."""

    config: Config
    name: str
    containers: list[dict[str, object]] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)
    silent: bool = False
    service: str = "vllm"

    def container(self, status: str = "running", exit_code: int = 0) -> "Seen":
        made = {
            "id": "c1",
            "name": f"/sparkctl-{self.config.cluster.name}-{self.service}-{self.name}",
            "image": "i",
            "labels": {},
        }
        self.containers.append({**made, "status": status, "exit_code": exit_code, "started": "2026-11-21T10:00:00Z"})
        return self

    def api(self, text: str) -> "Seen":
        return self.says(f"api:{role(self.config, self.name).ports.api}", text)

    def log(self, *lines: str) -> "Seen":
        name = f"sparkctl-{self.config.cluster.name}-vllm-{self.name}"
        return self.says(log_probe(name).name, "\n".join(lines))

    def sleeps(self, asleep: bool) -> "Seen":
        return self.says(f"sleeping:{role(self.config, self.name).ports.api}", json.dumps({"is_sleeping": asleep}))

    def says(self, probe: str, text: str) -> "Seen":
        self.answers[probe] = text
        return self

    def state(self) -> RoleState:
        listed = "\n".join(map(json.dumps, self.containers))
        told = {"containers": Answer(listed, 1 if self.silent else 0)}
        told |= {name: Answer(text) for name, text in self.answers.items()}
        return Look(self.config, role(self.config, self.name)).state(Facts({"spark-1": told}))


UP = "sparkctl: has been up"
TOKEN = 'health=200\ndata: {"choices": [{"text": "a"}]}\ndata: [DONE]\ncompletion=200\ncurl=0'
REFUSED = 'health=200\n{"error": "no"}\ncompletion=500\ncurl=0'
HUNG = "health=200\ncompletion=0\ncurl=28"


def test_what_does_not_run_is_stopped_and_who_is_silent_unknown(config: Config) -> None:
    assert Seen(config, "dev").state().state is State.STOPPED
    by_hand = Seen(config, "dev").container("exited", 143).state()
    assert (by_hand.state, by_hand.fix) == (State.STOPPED, "sparkctl role launch dev")
    unknown = Seen(config, "dev", silent=True).state()
    assert (unknown.state, unknown.note) == (State.UNKNOWN, "spark-1 does not answer")


def test_what_answers_runs(config: Config) -> None:
    found = Seen(config, "dev").container().api(TOKEN).state()
    assert (found.state, found.since, found.note) == (State.RUNNING, "2026-11-21T10:00:00Z", "")


def test_what_has_not_answered_yet_loads_in_the_words_of_its_engine(config: Config) -> None:
    seen = Seen(config, "dev").container().api("health=000")
    assert (seen.state().state, seen.state().note) == (State.LOADING, "the engine starts")
    seen.log("x", "Loading safetensors checkpoint shards:  50%")
    assert seen.state().note == "Loading safetensors checkpoint shards:  50%"


@pytest.mark.parametrize(
    ("api", "log", "word"),
    [
        ("health=000", (UP, "x"), "has answered, and does not any more"),
        ("health=503", ("x",), "/health answers 503"),
        (REFUSED, (UP,), "a completion answers 500"),
        (HUNG, (UP,), "no token came within 5 s"),
    ],
)
def test_what_does_not_answer_as_it_should_is_unhealthy(config: Config, api: str, log: Any, word: str) -> None:
    found = Seen(config, "dev").container().api(api).log(*log).state()
    assert found.state is State.UNHEALTHY
    assert word in found.note
    assert found.fix == "sparkctl role launch dev"


def test_an_ollama_loads_until_its_model_is_in_memory(tmp_path: Path) -> None:
    """Its API answers from the first second on; for a model that is on its way with an error."""
    text = TEXT.replace("role: {temperature: 0.3}", "").replace("0.6}", "0.6, name: ollama}")
    config = World(tmp_path).shared(**TWO_SPARKS).profile("team", text).load("team")
    seen = (
        Seen(config, "dev", service="ollama")
        .container()
        .api('health=200\n{"error": "not found"}\ncompletion=404\ncurl=0')
    )
    there = {"pulled": {}, "loaded": {}, "parameters": ""}
    found = seen.says("ollama:8001", json.dumps(there)).state()
    assert (found.state, found.note) == (
        State.LOADING,
        "pull lab/dev, make lab/dev of lab/dev with its context, load lab/dev",
    )
    sizes = {"lab/dev:latest": 1 << 30}
    seen.says("ollama:8001", json.dumps({"pulled": sizes, "loaded": sizes, "parameters": "num_ctx 32768"}))
    assert seen.state().state is State.UNHEALTHY
    assert seen.api(TOKEN).state().state is State.RUNNING


def test_a_frozen_container_is_unhealthy(config: Config) -> None:
    found = Seen(config, "dev").container("paused").api("health=000").state()
    assert (found.state, found.note) == (State.UNHEALTHY, "vllm-dev is paused")


def test_what_ended_by_itself_has_crashed_with_its_last_words(config: Config) -> None:
    words = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB"
    found = Seen(config, "dev").container("exited", 1).log("x", words).state()
    assert (found.state, found.fix) == (State.CRASHED, "lower GPU_MEMORY_UTIL or MAX_MODEL_LEN")
    assert found.note == f"vllm-dev exited with status 1: {words}"
    killed = Seen(config, "dev").container("exited", 137).state()
    assert (killed.state, killed.fix) == (State.CRASHED, "sparkctl role logs dev")


def test_an_engine_that_died_has_crashed_although_its_server_ends_well(config: Config) -> None:
    """vLLM's API server ends with status 0 when its engine is dead, as when it is asked to end (seen with 0.32.0)."""
    words = "[shutdown] MPClient: engine core exited unexpectedly; starting cleanup"
    died = f"(APIServer pid=7) WARNING 11-21 10:00:00 [core_client.py:817] {words}"
    found = Seen(config, "dev").container("exited", 0).log(UP, "x", died, "INFO: Finished server process [7]").state()
    assert (found.state, found.fix) == (State.CRASHED, "sparkctl role logs dev")
    assert found.note == f"vllm-dev exited with status 0: {words}"
    asked = Seen(config, "dev").container("exited", 0).log(UP, "INFO: Finished server process [7]").state()
    assert (asked.state, asked.note) == (State.STOPPED, "its container was stopped, by hand or by the memory guard")


def test_what_sleeps_is_not_asked_for_a_token(config: Config) -> None:
    assert Seen(config, "architect").container().api(HUNG).sleeps(True).state().state is State.ASLEEP
    assert Seen(config, "architect").container().api(TOKEN).sleeps(False).state().state is State.RUNNING
    asked = [want.probe.name for want in Look(config, role(config, "dev")).wants]
    assert "sleeping:8001" not in asked, "it has no such route"


def room(config: Config, available: float = 100.0, total: float = 121.7, **states: State) -> Room:
    """The head with that much memory, in GiB; roles do what `states` says, else nothing."""
    host = f"MemTotal={total * GIB_KB:.0f}\nMemAvailable={available * GIB_KB:.0f}"
    facts = Facts({"spark-1": {"host": Answer(host)}, "spark-2": {"host": Answer(host)}})
    known = {r.name: RoleState(r, states.get(r.name, State.STOPPED)) for r in roles(config)}
    return Room(config, known, facts)


def leaving(found: Room, name: str) -> list[tuple[str, bool]]:
    return [(each.role.name, each.sleeps) for each in found.leaving(role(found.config, name))]


def test_what_fits_beside_needs_nobody_s_place(config: Config) -> None:
    assert leaving(room(config), "dev") == []
    assert leaving(room(config, 40, dev=State.RUNNING), "po") == []
    assert leaving(room(config, 40, dev=State.RUNNING), "dev") == [], "it holds its memory already"


def test_the_largest_goes_first_and_no_more_than_needed(config: Config) -> None:
    both = room(config, 20, dev=State.RUNNING, po=State.RUNNING)
    assert leaving(both, "architect") == [("dev", False)]
    assert (
        both.short(role(config, "architect"))
        == "architect 0.50 + dev 0.60 + po 0.15 = 1.25 of spark-1's memory; 0.9 is the most"
    )


def test_what_can_sleep_sleeps_where_that_is_enough(config: Config) -> None:
    """Asleep architect holds 22 of 121.7 GiB: 0.18 beside 0.6 of dev."""
    assert leaving(room(config, 60, architect=State.RUNNING), "dev") == [("architect", True)]
    assert leaving(room(config, 90, architect=State.ASLEEP), "dev") == []
    crowded = room(config, 40, architect=State.RUNNING, po=State.RUNNING)
    assert leaving(crowded, "dev") == [("architect", True), ("po", False)]


def test_what_is_sick_or_loads_ends_as_it_would_not_obey(config: Config) -> None:
    """To be rid of a role that hangs is a reason to switch."""
    for state in (State.UNHEALTHY, State.LOADING, State.UNKNOWN):
        assert leaving(room(config, 60, architect=state), "dev") == [("architect", False)]


def test_who_has_no_part_of_the_node_that_is_short_stays(tmp_path: Path) -> None:
    """The wide one lacks memory on the worker alone, where what serves always leaves too little beside small."""
    text = TEXT.replace("timeouts:", WIDE + "timeouts:")
    config = World(tmp_path).shared(**TWO_SPARKS).profile("team", text).load("team")
    both = room(config, dev=State.RUNNING, small=State.RUNNING)
    assert leaving(both, "wide") == [("small", False)]


def test_live_memory_counts_beside_shares(config: Config) -> None:
    assert leaving(room(config, 70, po=State.RUNNING), "dev") == [("po", False)], "73 + 10 needed, 70 + 18 there"
    with pytest.raises(SparkctlError, match="dev does not fit, whichever roles make room: 83") as no:
        room(config, 30, po=State.RUNNING).leaving(role(config, "dev"))
    assert "gpu_memory_utilization" in no.value.fix


def test_what_loads_or_is_unhealthy_holds_its_memory_and_what_crashed_does_not(config: Config) -> None:
    for state in (State.LOADING, State.UNHEALTHY, State.UNKNOWN):
        assert leaving(room(config, 100, dev=state), "architect") == [("dev", False)]
    for state in (State.CRASHED, State.STOPPED):
        assert leaving(room(config, 100, dev=state), "architect") == []


def test_a_launch_takes_the_steps_of_up_for_one_role_alone(config: Config) -> None:
    ids = {id_of(step) for step in launching(config, role(config, "dev"))}
    assert {"serving-dev@spark-1", "vllm-dev@spark-1", "model-dev@spark-1", "memory@spark-1", "state@spark-1"} <= ids
    assert not {key for key in ids if "-helper" in key and "image" not in key}, "what up starts is left alone"
    assert not {key for key in ids if key.startswith(("vllm-po", "serving-architect", "model-architect"))}
    weighed = [b.model for s in launching(config, role(config, "dev")) if isinstance(s, MemoryStep) for b in s.budgets]
    assert weighed == ["lab/dev"], "who is not launched need neither be there nor fit beside it"
    ready = {id_of(step) for step in preparing(config, role(config, "dev"))}
    assert {"model-dev@spark-1"} <= ready < ids
    assert not {key for key in ready if key.startswith(("vllm", "serving", "leftovers"))}
    assert {id_of(step) for step in ending(config, role(config, "dev"))} <= ids
    assert [id_of(step) for step in forgetting(config, role(config, "dev"))] == ["generation-dev@spark-1"]


def test_a_model_too_large_for_its_share_is_refused_before_others_leave(config: Config) -> None:
    """What memory is available plays no role by then: others hold what it is to get."""
    (step,) = (step for step in preparing(config, role(config, "dev")) if isinstance(step, MemoryStep))
    (budget,) = step.budgets
    host = f"MemTotal={122 * GIB_KB}\nMemAvailable={10 * GIB_KB}"
    known = {"host": Answer(host), "containers": Answer("")}
    assert isinstance(step.check(Facts({"spark-1": known})), Pending), "nobody knows the model yet"
    large = replace(step, budgets=(replace(budget, probe=None, weights=100 << 30),))
    assert isinstance(large.check(Facts({"spark-1": known})), Blocked)
    right = replace(step, budgets=(replace(budget, probe=None, weights=18 << 30),))
    assert isinstance(right.check(Facts({"spark-1": known})), Ok)


@pytest.mark.parametrize("key", ["temperature", "sleep"])
def test_what_only_vllm_can_is_refused_of_others(tmp_path: Path, key: str) -> None:
    """With a reason; a role that asks for neither is theirs, too."""
    wish = {"temperature": "{temperature: 0.3}", "sleep": "{sleep: true}"}[key]
    text = TEXT.replace("{temperature: 0.3}", wish).replace(
        "{gpu_memory_utilization: 0.6}", "{name: sglang, backend: mp}"
    )
    world = World(tmp_path).shared(**TWO_SPARKS).profile("team", text)
    assert [problem.name for problem in world.problems("team")] == [f"models.dev.role.{key}"]
    world.profile("team", text.replace(f"role: {wish}", "role: {description: Writes}"))
    assert role(world.load("team"), "dev").engine.name == "sglang"


def test_a_role_that_there_is_not(config: Config) -> None:
    with pytest.raises(SparkctlError, match="there is no role architct; did you mean architect"):
        role(config, "architct")
    with pytest.raises(SparkctlError, match="there is no role helper") as no:
        role(config, "helper")
    assert no.value.fix == "there are: architect, dev, po"


def test_names_are_completed_from_the_text_of_the_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    World(tmp_path).profile("team", TEXT)
    monkeypatch.chdir(tmp_path)

    class Words:
        params: ClassVar[dict[str, str]] = {"profile": "team"}

    assert complete_roles(Words()) == ["architect", "dev", "po"]  # type: ignore[arg-type]
    Words.params = {"profile": "roles"}
    assert complete_roles(Words()) == ["architect", "dev", "po"]  # type: ignore[arg-type]
    Words.params = {"profile": "none-of-these"}
    assert complete_roles(Words()) == []  # type: ignore[arg-type]
