"""logs: lines as they come from Docker, and nodes that are not there."""

import json

import pytest
import requests
from cli_fakes import Cli, FakeEngine, FakeLog, with_logs


def test_logs_of_several_in_order_of_time(cli: Cli) -> None:
    with_logs(cli)
    assert cli("logs") == 0
    assert cli.out == "vllm@spark-1 │ loading\nray-worker@spark-2 │ joined\nvllm@spark-1 │ ready\n"
    assert cli("logs", "vllm", "--tail", "1") == 0
    assert cli.out == "ready\n"
    assert cli("logs", "--node", "spark-2", "--json") == 0
    line = {"schema": "sparkctl/logs/1", "node": "spark-2", "service": "ray-worker", "line": "joined"}
    assert cli.document == line


def test_logs_follow_until_all_have_ended(cli: Cli) -> None:
    with_logs(cli)
    assert cli("logs", "-f") == 0
    assert sorted(cli.out.splitlines()) == [
        "ray-worker@spark-2 │ joined",
        "vllm@spark-1 │ loading",
        "vllm@spark-1 │ ready",
    ]


def test_logs_that_break_off_say_so(cli: Cli) -> None:
    broken = FakeLog("vllm", "2026-01-01T00:00:01Z loading")
    broken.lost = True
    cli.hosts["spark-1"].engine = FakeEngine(broken)  # type: ignore[assignment]
    assert cli("logs", "-f", "--node", "spark-1") == 4
    assert cli.out == "loading\n"
    assert "connection to Docker broke" in cli.err


def test_logs_of_what_is_not_there_say_what_is(cli: Cli) -> None:
    with_logs(cli)
    assert cli("logs", "vlm") == 3
    assert "there is no container of vlm" in cli.err
    assert "vllm@spark-1, ray-worker@spark-2" in cli.err
    cli.hosts["spark-2"].engine = FakeEngine()  # type: ignore[assignment]
    assert cli("logs", "--node", "spark-2") == 1
    assert "sparkctl up" in cli.err


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


def test_a_node_that_is_away_does_not_hide_the_others(cli: Cli) -> None:
    with_logs(cli)
    cli.hosts["spark-2"].unreachable = True
    assert cli("logs", "vllm") == 0
    assert cli.out == "loading\nready\n"
    assert cli.err == "not shown: spark-2 did not answer\n  where: spark-2\n  next: switch it on\n"
    assert cli("logs", "--json") == 0
    assert [json.loads(line)["line"] for line in cli.out.splitlines()] == ["loading", "ready\x1b[0m"]
    assert "spark-2 did not answer" in cli.err
    assert cli.hosts["spark-1"].closed
    assert cli("logs", "-f") == 0
    assert cli.out == "loading\nready\n"
    assert "not shown: spark-2 did not answer" in cli.err


def test_an_engine_that_is_away_does_not_hide_the_others(cli: Cli) -> None:
    with_logs(cli)
    cli.hosts["spark-2"].engine = Broken()  # type: ignore[assignment]
    assert cli("logs") == 0
    assert cli.out == "loading\nready\n"
    assert "not shown: the connection to Docker broke while trying to list containers\n  where: spark-2\n" in cli.err


def test_a_log_that_breaks_off_does_not_hide_the_others(cli: Cli) -> None:
    with_logs(cli)
    cli.hosts["spark-2"].engine = FakeEngine(Cut("ray-worker"))  # type: ignore[assignment]
    assert cli("logs") == 0
    assert cli.out == "vllm@spark-1 │ loading\nvllm@spark-1 │ ready\n"
    assert "not shown: the connection to Docker broke while trying to read the log of ray-worker" in cli.err
    assert cli("logs", "ray-worker") == 4
    assert "error: the connection to Docker broke" in cli.err


def test_what_is_wanted_may_be_on_the_node_that_is_away(cli: Cli) -> None:
    with_logs(cli)
    cli.hosts["spark-2"].unreachable = True
    assert cli("logs", "ray-worker") == 4
    assert (
        "error: there is no container of ray-worker on the nodes that could be asked\n  where: cluster demo" in cli.err
    )
    assert cli("logs", "--node", "spark-2") == 4
    assert cli.err == "error: spark-2 did not answer\n  where: spark-2\n  next: switch it on\n"
    cli.hosts["spark-1"].unreachable = True
    assert cli("logs") == 4
    assert "error: no node could be asked: spark-1 did not answer; spark-2 did not answer\n" in cli.err


class Broken(FakeEngine):
    """An engine whose connection breaks."""

    def list(self, **_: object) -> list[FakeLog]:
        raise requests.exceptions.ConnectionError


class Cut(FakeLog):
    """A container whose log breaks off."""

    def logs(self, **_: object) -> bytes:
        raise requests.exceptions.ConnectionError
