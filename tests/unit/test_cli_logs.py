"""logs and ssh: lines as they come from Docker, and nodes that are not there."""

from pathlib import Path

import pytest
from cli_fakes import Cli, FakeEngine, FakeLog, small_world


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Cli:
    return Cli(monkeypatch, capsys, tmp_path).use(*small_world())


def test_a_line_that_was_drawn_over_shows_its_last_state(cli: Cli) -> None:
    bar = "2026-01-01T00:00:01Z shards: 0%\rshards: 50%\rshards:\x0c 99%\r"
    first = FakeLog("vllm", bar, "2026-01-01T00:00:03Z ready\r")
    cli.hosts["spark-1"].engine = FakeEngine(first)  # type: ignore[assignment]
    worker = FakeLog("ray-worker", "2026-01-01T00:00:02Z joined", "2026-01-01T00:00:04Z")
    cli.hosts["spark-2"].engine = FakeEngine(worker)  # type: ignore[assignment]
    vllm, ray = "vllm@spark-1 │ ", "ray-worker@spark-2 │ "
    lines = [f"{vllm}shards: 99%", f"{ray}joined", f"{vllm}ready", ray, ""]
    assert cli("logs") == 0
    assert cli.out.split("\n") == lines
    assert cli("logs", "-f") == 0
    assert sorted(cli.out.split("\n")) == sorted(lines)


@pytest.mark.parametrize("argv", [["logs", "--node", "spark-3"], ["ssh", "spark-3"]])
def test_a_node_that_there_is_not_is_a_wrong_argument(cli: Cli, argv: list[str]) -> None:
    assert cli(*argv) == 3
    said = "Invalid value for NODE: 'spark-3' is none of head, spark-1, spark-2; did you mean spark-2?"
    assert said in " ".join(cli.err.split())
    assert f"next: try: sparkctl {argv[0]} --help" in cli.err
    assert "configuration" not in cli.err
