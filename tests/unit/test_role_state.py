"""What a role does, by what its node says."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from config_world import TWO_SPARKS, World
from role_team import TEXT, TOKEN, team

from sparkctl.config.load import Config
from sparkctl.facts.engine import log_probe
from sparkctl.facts.probe import Answer, Facts
from sparkctl.stacks.role_state import Look, RoleState, State
from sparkctl.stacks.roles import role

config = pytest.fixture(team)


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
