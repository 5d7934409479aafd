"""What `status` and `doctor` advise on fake nodes, and how they show what is old."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cli_fakes import Cli, small_world

from sparkctl.report.page import Line
from sparkctl.report.status import show_stale


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Cli:
    cli = Cli(monkeypatch, capsys, tmp_path).use(*small_world())
    cli.world.states = {step.key: "ok" for step in cli.steps}
    return cli


def test_up_is_not_proposed_where_it_cannot_work(cli: Cli) -> None:
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
