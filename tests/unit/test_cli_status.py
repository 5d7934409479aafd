"""What `status` and `doctor` show and advise on fake nodes, and how they show what is old."""

import json
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from cli_fakes import Cli, containers, deployed

from sparkctl.report.page import Line
from sparkctl.report.status import show_stale


def test_status_of_what_is_well(cli: Cli) -> None:
    deployed(cli)
    containers(cli)
    assert cli("status") == 0
    assert "✓ vllm          running for" in cli.out
    assert "All of 3 steps as configured." in cli.out


def test_status_shows_drift_and_what_died(cli: Cli) -> None:
    deployed(cli)
    cli.world.states["vllm@spark-1"] = "drifted"
    containers(cli, status="exited", exit_code=137)
    assert cli("status") == 2
    assert "✗ vllm          exited with status 137, started" in cli.out
    assert "~ vllm: it differs" in cli.out
    assert "Drifted. 3 steps: 1 not as configured. Next: sparkctl up" in cli.out


def test_status_with_a_node_down_shows_the_other(cli: Cli) -> None:
    deployed(cli)
    containers(cli)
    cli.hosts["spark-2"].unreachable = True
    assert cli("status") == 2
    assert "✗ spark-2 did not answer. Next: switch it on" in cli.out
    assert "✓ vllm" in cli.out
    assert "1 unknown" in cli.out
    cli.hosts["spark-1"].unreachable = True
    assert cli("status", "--json") == 4
    assert cli.document["state"] == "unreachable"


def test_status_before_anything_is_deployed(cli: Cli) -> None:
    assert cli("status") == 2
    assert "Not deployed." in cli.out


def test_status_of_a_node_that_breaks_off_while_it_answers(cli: Cli) -> None:
    deployed(cli)
    cli.hosts["spark-2"].cut_after = 0
    assert cli("status") == 2
    assert "the connection to spark-2 broke" in cli.out


def test_watch_draws_again_until_ctrl_c(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    deployed(cli)
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        cli.world.states["vllm@spark-1"] = "drifted"
        if len(waits) == 2:
            raise KeyboardInterrupt

    clock = SimpleNamespace(sleep=sleep, monotonic=time.monotonic)
    monkeypatch.setattr("sparkctl.cli.watching.time", clock)
    assert cli("status", "--watch", "--interval", "5", "--json") == 0
    first, second = map(json.loads, cli.out.splitlines())
    assert (first["state"], second["state"]) == ("ok", "drifted")
    assert waits == [5, 5]


def test_up_is_not_proposed_where_it_cannot_work(cli: Cli) -> None:
    deployed(cli)
    cli.world.states |= {"packages@spark-1": "blocked", "vllm@spark-1": "drifted"}
    assert cli("status") == 2
    assert "Next: mend packages@spark-1: move packages, then sparkctl up\n" in cli.out
    assert cli("doctor") == 2
    assert "fix: mend packages@spark-1: move packages, then sparkctl up\n" in cli.out
    cli.world.states["packages@spark-2"] = "blocked"
    assert cli("status") == 2
    assert "Next: mend packages@spark-1, packages@spark-2 (sparkctl plan says how), then sparkctl up\n" in cli.out
    cli.hosts["spark-2"].unreachable = True
    assert cli("status") == 2
    assert "Next: bring back spark-2, then sparkctl up\n" in cli.out
    assert cli("doctor", "--json") == 2
    fixes = {finding["step"]: finding["fix"] for finding in cli.document["findings"]}
    assert fixes == {"packages@spark-1": "move packages", "vllm@spark-1": "bring back spark-2, then sparkctl up"}


def test_an_old_picture_is_grey_and_says_how_old_it_is() -> None:
    seen = datetime(2026, 11, 21, 9, 0, 0, tzinfo=UTC)
    fine = Line("All of 3 steps as configured.", "bold green", heads=(("+ ", "green"),))
    old, note = show_stale([fine], seen, seen + timedelta(seconds=12), ("spark-2",))
    assert (old.text, old.style, old.heads) == (fine.text, "dim", (("+ ", "dim"),))
    assert note.text == f"as of {seen.astimezone():%H:%M:%S}, 12 s ago: waiting for spark-2"
