"""The command lines of a bench, on fake nodes: what is refused, what is asked, what is left out."""

import json

import pytest
from bench_samples import fabric, serve
from cli_fakes import Cli, containers
from documents import check_document

from sparkctl.bench import files
from sparkctl.facts.probe import Answer
from sparkctl.report.bench_page import result_page


def test_dry_run_says_what_would_be_measured(cli: Cli) -> None:
    assert cli("bench", "fabric", "--dry-run", "--json") == 0
    _, seen = check_document(cli.document)
    assert "measurements[].detail" in seen
    kinds = [one["kind"] for one in cli.document["measurements"]]
    assert kinds == ["tcp"] * 4
    left = {one["what"]: one["why"] for one in cli.document["left_out"]}
    assert left.keys() == {"ping", "iperf3", "ib_write_bw", "all-gather"}
    assert left["all-gather"] == "the engine's image is not there"
    assert all(not host.log and not host.holds for host in cli.hosts.values())


def test_dry_run_shows_commands_where_asked(cli: Cli) -> None:
    assert cli("bench", "fabric", "--dry-run", "--only", "tcp") == 0
    assert "throughput.py" not in cli.out
    assert "TCP spark-1 to spark-2 for 5 s, 8 connections, by sparkctl" in cli.out
    assert cli("bench", "fabric", "--dry-run", "-v", "--only", "tcp") == 0
    assert "spark-2: python3 -c throughput.py receive 192.168.100.11 192.168.100.10 35" in cli.out


def test_what_serves_is_asked_about(cli: Cli) -> None:
    containers(cli)
    assert cli("bench", "fabric") == 1
    assert "needs a confirmation" in cli.err
    assert all(not host.holds for host in cli.hosts.values())


@pytest.mark.parametrize("words", ["0", "1,", "", "a", "1,-2", "1025", "1.5", "²", "9" * 30])
def test_wrong_concurrency(cli: Cli, words: str) -> None:
    assert cli("bench", "serve", "--concurrency", words) == 3
    assert "whole numbers from 1 to 1024" in cli.err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("fabric", "--only", "tpc"), "did you mean tcp?"),
        (("fabric", "--streams", "0"), "--streams"),
        (("fabric", "--seconds", "0"), "--seconds"),
        (("serve", "--tool", "clint"), "did you mean client?"),
        (("serve", "--rounds", "0"), "--rounds"),
        (("compare", "a.json"), "B.json"),
    ],
)
def test_wrong_command_lines(cli: Cli, argv: tuple[str, ...], said: str) -> None:
    assert cli("bench", *argv) == 3
    assert said in cli.err


def test_requests_that_do_not_fit_are_refused_before_a_node_is_asked(cli: Cli) -> None:
    assert cli("bench", "serve", "--input-tokens", "1000000") == 1
    assert "do not fit into max_model_len" in cli.err
    assert all(not host.round_trips for host in cli.hosts.values())


def test_a_model_that_is_none_of_ours(cli: Cli) -> None:
    assert cli("bench", "serve", "gpt-5") == 1
    assert "no model named gpt-5" in cli.err


def test_a_model_that_does_not_answer(cli: Cli) -> None:
    cli.hosts["spark-1"].reply(["cat"], "sk-1\n")
    cli.hosts["spark-1"].ports = {(cli.hosts["spark-1"].node.address, 8000): 9}  # nobody listens there
    cli.hosts["spark-1"].probes = lambda name: Answer("yes\n" if name == "alive" else "")
    assert cli("bench", "serve", "--json", "-q") == 2
    assert cli.document["error"]["class"] == "UnhealthyError"
    assert "does not answer" in cli.document["error"]["what"]
    assert not (cli.folder / "bench-results").exists()


def test_a_folder_that_takes_nothing_is_found_before_anything_is_measured(cli: Cli) -> None:
    cli.hosts["spark-1"].reply(["cat"], "sk-1\n")
    (cli.folder / "file").write_text("")
    for verb in ("fabric", "serve"):
        assert cli("bench", verb, "-o", "file") == 1
        assert "cannot write file" in cli.err and "--output" in cli.err
    assert all(not host.holds for host in cli.hosts.values())


def test_a_node_that_is_away(cli: Cli) -> None:
    cli.hosts["spark-2"].unreachable = True
    for verb in ("fabric", "serve"):
        assert cli("bench", verb) == 4
        assert "spark-2" in cli.err


def test_compare_prints_a_table_and_writes_a_page(cli: Cli) -> None:
    paths = [files.save(result, result_page(result), cli.folder / name)[0] for name, result in
             (("a", fabric()), ("b", fabric(90.25)))]  # fmt: skip
    assert cli("bench", "compare", *map(str, paths)) == 0
    assert "0.50 x  worse" in cli.out
    page = paths[1].with_name(f"{paths[0].stem}-against-{paths[1].stem}.html")
    assert page.read_text().startswith("<!doctype html>")
    assert cli("bench", "compare", *map(str, paths), "--json", "-o", "both.html") == 0
    check_document(cli.document)
    assert (cli.folder / "both.html").exists()


def test_compare_refuses_what_is_no_result(cli: Cli) -> None:
    good = files.save(serve(), "", cli.folder)[0]
    (cli.folder / "bad.json").write_text(json.dumps({"schema": "sparkctl/plan/1"}))
    assert cli("bench", "compare", str(good), "bad.json") == 1
    assert "bad.json is no result of sparkctl bench" in cli.err
    assert cli("bench", "compare", "none.json", str(good)) == 1
    assert "cannot read none.json" in cli.err
