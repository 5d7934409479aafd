"""plan and up on fake nodes: what they show, what they make, what stops them."""

import pytest
from cli_fakes import Cli, FakeStep, small_world

from sparkctl.cli.plan import within
from sparkctl.core.step import Layer
from sparkctl.errors import StepFailed
from sparkctl.transport.memory import MemoryHost


def commands(hosts: dict[str, MemoryHost]) -> list[object]:
    return [command for host in hosts.values() for command in host.log]


def test_plan_changes_nothing_and_exits_with_0(cli: Cli) -> None:
    assert cli("plan") == 0
    assert "Plan: 3 to create, 0 to change, 0 unchanged." in cli.out
    assert (cli.world.did, commands(cli.hosts)) == ([], [])
    assert [host.round_trips for host in cli.hosts.values()] == [1, 1]
    assert all(host.closed for host in cli.hosts.values())


@pytest.mark.parametrize(
    ("states", "argv", "code"),
    [
        ({}, [], 0),
        ({}, ["--exit-code"], 2),
        ({"vllm@spark-1": "blocked"}, [], 1),
        ({"vllm@spark-1": "ok", "packages@spark-1": "ok", "packages@spark-2": "ok"}, ["--exit-code"], 0),
    ],
)
def test_exit_codes_of_plan(cli: Cli, states: dict[str, str], argv: list[str], code: int) -> None:
    cli.world.states = states
    assert cli("plan", *argv) == code


def test_a_quiet_plan_is_its_sum(cli: Cli) -> None:
    assert cli("plan", "-q") == 0
    assert cli.out == "Plan: 3 to create, 0 to change, 0 unchanged.\n"
    assert cli("plan", "-q", "--json") == 0
    assert cli.document["summary"]["create"] == 3
    assert cli("up", "-q") == 0
    assert "Plan:" not in cli.out


def test_dry_run_is_plan(cli: Cli) -> None:
    assert cli("plan") == 0
    shown = cli.out
    assert cli("up", "--dry-run") == 0
    assert cli.out == shown
    assert cli.world.did == []


def test_up_makes_everything_once(cli: Cli) -> None:
    assert cli("up", "--timings") == 0
    assert sorted(cli.world.did) == ["make packages", "make packages", "make vllm"]
    assert "vllm@spark-1 changed after" in cli.out
    assert "critical path" in cli.out
    assert cli.out.endswith("next: sparkctl test\n")
    assert "http://192.0.2.1:8000/v1" in cli.out
    assert cli("up") == 0
    assert "no changes\n" in cli.out
    assert len(cli.world.did) == 3
    assert all(hold.released for hold in cli.hosts["spark-1"].holds)


def test_up_until_a_layer(cli: Cli) -> None:
    assert cli("up", "--until", "host") == 0
    assert cli.world.did == ["make packages"] * 2
    assert "answers at" not in cli.out
    assert cli("up", "--until", "roof") == 3
    assert "Invalid value for --until: 'roof' is none of host, storage, image, model, workload" in cli.err
    assert "next: try: sparkctl up --help" in cli.err


def test_until_a_layer_takes_what_it_needs_of_a_later_one() -> None:
    """Packages and the cache are of late layers, since they stay on `down`; a mount needs them all the same."""
    world, _ = small_world()
    tools = FakeStep(world, "tools", "spark-1", Layer.IMAGE)
    folder = FakeStep(world, "folder", "spark-1", Layer.MODEL, needs=(tools.key,))
    mount = FakeStep(world, "mount", "spark-1", Layer.STORAGE, needs=(folder.key,))
    model = FakeStep(world, "model", "spark-1", Layer.MODEL, needs=(mount.key,))
    assert within([tools, folder, mount, model], "storage") == [tools, folder, mount]
    assert within([tools, folder, mount, model], "host") == []


def test_up_refuses_what_is_blocked(cli: Cli) -> None:
    cli.world.states["packages@spark-2"] = "blocked"
    assert cli("up") == 1
    assert cli.world.did == []
    assert "error: the plan is blocked; nothing was changed" in cli.err
    assert "packages@spark-2: packages is in the way" in cli.err
    assert "next: move packages" in cli.err


def test_up_asks_before_it_stops_what_serves(cli: Cli) -> None:
    cli.world.states = {"packages@spark-1": "ok", "packages@spark-2": "drifted", "vllm@spark-1": "ok"}
    assert cli("up") == 0, "nothing that serves is stopped, so there is no question"
    cli.world.states["vllm@spark-1"] = "stale"
    assert cli("up") == 1
    assert "--yes" in cli.err
    assert cli.world.states["vllm@spark-1"] == "stale"
    assert cli("up", "--yes") == 0
    assert cli.world.states["vllm@spark-1"] == "ok"


def test_a_failure_says_what_where_and_what_next(cli: Cli) -> None:
    error = StepFailed("it exited with status 1", where="spark-1: docker start vllm", output="one\ntwo\x1b[2J", fix="")
    cli.use(*small_world(fails=error))
    assert cli("up") == 1
    assert "vllm@spark-1 failed after" in cli.out
    assert cli.err == (
        "error: it exited with status 1\n"
        "  where: vllm@spark-1: spark-1: docker start vllm\n"
        "  │ one\n"
        "  │ two\n"
        "  next: run again, it goes on from what the nodes hold: sparkctl up\n"
    )
    assert cli("up", "--json") == 1
    assert cli.document["error"]["what"] == "it exited with status 1"
    assert cli.document["run"]["outcome"] == "failed"


def test_another_admin_is_locked_out(cli: Cli) -> None:
    cli.hosts["spark-1"].hold_line = "busy\tann@laptop\tup\t2026-11-20T10:00:00Z"
    assert cli("up") == 5
    assert "ann@laptop" in cli.err
    assert cli.world.did == []
