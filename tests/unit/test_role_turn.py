"""A role's turn as it goes wrong: whoever was answered before is answered again. Steps and nodes are fakes."""

import json
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from cli_fakes import Cli, FakeEngine, FakeLog, FakeStep, World, small_world
from role_team import GIB_KB, TEXT, TOKEN

from sparkctl.core.step import Layer, Step
from sparkctl.errors import SparkctlError, StepFailed, UnreachableError
from sparkctl.facts.probe import Answer
from sparkctl.steps.memory import MemoryStep

HEAD = "spark-1"
NOTHING: Callable[[], None] = lambda: None  # noqa: E731


@dataclass
class Roles:
    """Fake roles on the fake head: a container each, which is there or not. `before` is what happens as one starts."""

    cli: Cli
    world: World = field(default_factory=World)
    fails: dict[str, SparkctlError] = field(default_factory=dict)
    before: dict[str, Callable[[], None]] = field(default_factory=dict)
    blind: int = 0  # how many looks more do not see the memory

    def start(self, *names: str) -> None:
        self.world.states |= {f"vllm-{name}@{HEAD}": "ok" for name in names}

    @property
    def running(self) -> set[str]:
        ids = (key for key, state in self.world.states.items() if state in ("ok", "stale"))
        return {key.removeprefix("vllm-").removesuffix(f"@{HEAD}") for key in ids}

    def step(self, name: str) -> FakeStep:
        return FakeStep(self.world, f"vllm-{name}", HEAD, Layer.WORKLOAD, fails=self.fails.get(name))

    def launching(self, config: Any, role: Any) -> tuple[Step, ...]:
        self.before.pop(role.name, NOTHING)()
        return (MemoryStep(config.cluster, config.cluster.head, (), 0), self.step(role.name))

    def probe(self, name: str) -> Answer:
        if name == "host" and self.blind:
            self.blind -= 1
            return Answer("")
        containers = [
            {
                "id": n,
                "name": f"/sparkctl-demo-vllm-{n}",
                "image": "i",
                "labels": {},
                "status": "running",
                "exit_code": 0,
            }
            for n in self.running
        ]
        said = {
            "alive": "yes",
            "containers": "\n".join(json.dumps({**each, "started": "2026-11-21T10:00:00Z"}) for each in containers),
            "host": f"MemTotal={122 * GIB_KB}\nMemAvailable={110 * GIB_KB}",
        }
        return Answer(TOKEN if name.startswith("api:") else said.get(name, ""))


@pytest.fixture
def roles(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[Roles]:
    cli = Cli(monkeypatch, capsys, tmp_path).use(*small_world())
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles/team.yaml").write_text(TEXT)
    made = Roles(cli)
    cli.hosts[HEAD].probes = made.probe
    room = "sparkctl.cli.role_turn"
    monkeypatch.setattr("sparkctl.__main__._leave", sys.exit)  # which ends the process of the tests, too
    monkeypatch.setattr(f"{room}.launching", made.launching)
    monkeypatch.setattr(f"{room}.preparing", lambda *_: ())
    monkeypatch.setattr(f"{room}.ending", lambda _config, role: (replace(made.step(role.name), fails=None),))
    monkeypatch.setattr(f"{room}.forgetting", lambda *_: ())
    yield made


def switch(roles: Roles, name: str, verb: str = "switch") -> int:
    return roles.cli("role", verb, name, "-y", "--profile", "team")


def test_who_made_room_serves_again_after_a_failure(roles: Roles) -> None:
    roles.start("dev")
    roles.fails["architect"] = StepFailed("it exited")
    assert switch(roles, "architect") == 1
    assert roles.running == {"dev"}
    assert "dev serves again" in roles.cli.out


def test_who_made_room_serves_again_after_ctrl_c_between_two_runs(roles: Roles) -> None:
    """The old one is gone by then, and nothing runs that could be stopped."""
    roles.start("dev")
    roles.before["architect"] = lambda: signal.raise_signal(signal.SIGINT)
    assert switch(roles, "architect") == 130
    assert roles.running == {"dev"}
    assert "dev serves again" in roles.cli.out


def test_who_made_room_serves_again_where_a_look_at_the_nodes_fails(roles: Roles) -> None:
    def cut() -> None:
        raise UnreachableError("spark-1 did not answer", where=HEAD, fix="switch it on")

    roles.start("dev")
    roles.before["architect"] = cut
    assert switch(roles, "architect") == 4
    assert roles.running == {"dev"}


def test_who_cannot_come_back_is_said_to_be_away(roles: Roles) -> None:
    roles.start("dev", "po")
    roles.fails |= {"architect": StepFailed("it exited"), "dev": StepFailed("no more")}
    assert switch(roles, "architect") == 1
    assert roles.running == {"po"}
    assert "dev does not serve: sparkctl role launch --profile team dev" in roles.cli.out
    assert "error: no more" in roles.cli.err


def test_who_does_not_say_whether_it_sleeps_is_launched_all_the_same(roles: Roles) -> None:
    """It was to sleep, and did not answer: a launch finds out, and mends what hangs."""
    roles.start("architect")
    assert switch(roles, "dev") == 1
    assert "does not say whether it sleeps" in roles.cli.err
    assert roles.running == {"architect"}
    assert "architect serves again" in roles.cli.out


def test_a_change_of_a_role_that_runs_takes_nothing_away_when_it_fails(roles: Roles) -> None:
    """What served before was put back by then: by `take_back`, as after `up`."""
    roles.world.states[f"vllm-dev@{HEAD}"] = "stale"
    roles.fails["dev"] = StepFailed("it exited")
    assert switch(roles, "dev", "launch") == 1
    assert roles.running == {"dev"}


def test_memory_that_comes_back_late_is_waited_for(roles: Roles) -> None:
    """A Spark gives back what a container held seconds after its end."""
    roles.start("dev")
    roles.before["architect"] = lambda: setattr(roles, "blind", 1)
    assert switch(roles, "architect") == 0
    assert roles.running == {"architect"}


def test_memory_that_does_not_come_back_gives_the_place_back(roles: Roles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sparkctl.cli.role_turn.MEMORY_SECONDS", 0.0)
    roles.start("dev")
    roles.before["architect"] = lambda: setattr(roles, "blind", 1)
    assert switch(roles, "architect") == 1
    assert "MemAvailable cannot be read" in roles.cli.err
    assert roles.running == {"dev"}


def test_the_log_of_a_role_that_never_ran_comes_after_its_launch(roles: Roles) -> None:
    """`up`, which brings a container of everything else, starts no role."""
    for logs in ((), (FakeLog("vllm-po", "2026-01-01T00:00:01Z ready"),)):
        roles.cli.hosts[HEAD].engine = FakeEngine(*logs)  # type: ignore[assignment]
        assert roles.cli("role", "logs", "dev", "--profile", "team") == 1
        assert roles.cli.err.endswith("next: sparkctl role launch --profile team dev\n")
