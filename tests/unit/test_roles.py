"""Roles as data: which steps a launch takes, what a role cannot be, and how one is called."""

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
from cli_fakes import Cli
from config_world import TWO_SPARKS, World
from role_team import GIB_KB, TEXT, team

from sparkctl.cli.complete_nodes import complete_roles
from sparkctl.config.load import Config
from sparkctl.core.plan import id_of
from sparkctl.core.step import Blocked, Ok, Pending
from sparkctl.errors import UnknownNameError
from sparkctl.facts.probe import Answer, Facts
from sparkctl.stacks.roles import ending, forgetting, launching, preparing, role
from sparkctl.steps.memory import MemoryStep

config = pytest.fixture(team)


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
    with pytest.raises(UnknownNameError, match="there is no role architct; did you mean architect"):
        role(config, "architct")
    with pytest.raises(UnknownNameError, match="there is no role helper") as no:
        role(config, "helper")
    assert (no.value.exit_code, no.value.fix) == (3, "there are: architect, dev, po")


@pytest.mark.parametrize("verb", ["list", "status"])
def test_a_profile_without_roles_says_so(cli: Cli, verb: str) -> None:
    assert cli("role", verb) == 0
    assert "stacked has no roles; next: sparkctl profile list" in cli.out + cli.err


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
