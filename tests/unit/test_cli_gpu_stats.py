"""gpu-stats on fake nodes: what it says of each, of one that is away, and to whoever reads along."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from cli_fakes import CONTAINER, Cli, cluster_of, small_world
from documents import check_document, own

from sparkctl.facts.probe import Answer, Facts
from sparkctl.report.gpu_stats import GpuStats, make_gpu_stats, show_gpu_stats, show_in_one_line
from sparkctl.report.look import UNICODE

IDS = {name: letter * 64 for name, letter in (("vllm", "a"), ("vllm-dev", "b"), ("theirs", "c"))}
MEMORY = "MemTotal=127535084\nMemAvailable=29535084\n"
GB10 = "driver=installed\ngpu=NVIDIA GB10, 96, 71, 88.32, [N/A], [N/A], GPU-4e2f\n"
A6000 = "driver=installed\ngpu=NVIDIA RTX A6000, [Not Supported], 41, [N/A], 49140, 312, GPU-5e2f\n"
HELD = (
    "app=101, VLLM::EngineCore, 98304\napp=102, python3, [N/A]\napp=103, ollama, 2048\n"
    f"cgroup=101 0::/docker/{IDS['vllm']}\ncgroup=103 0::/docker/{IDS['theirs']}\n"
)


def containers() -> str:
    """As the engine of a node lists them."""
    ours = {**CONTAINER, "id": IDS["vllm"]}
    dev = {**CONTAINER, "id": IDS["vllm-dev"], "name": "/sparkctl-demo-vllm-dev"}
    dev["labels"] = {"io.sparkctl.cluster": "demo", "io.sparkctl.service": "vllm-dev"}
    theirs = {**CONTAINER, "id": IDS["theirs"], "name": "/theirs", "labels": {"io.sparkctl.service": "x-dev"}}
    return "".join(f"{json.dumps(one)}\n" for one in (ours, dev, theirs))


def saying(load: str) -> Callable[[str], Answer | None]:
    answers = {"gpu-load": Answer(load), "containers": Answer(containers())}
    return answers.get


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Cli:
    cli = Cli(monkeypatch, capsys, tmp_path).use(*small_world())
    cli.hosts["spark-1"].probes = saying(MEMORY + GB10 + HELD)
    cli.hosts["spark-2"].probes = saying(MEMORY + A6000)
    return cli


def test_what_each_card_does_and_who_holds_it(cli: Cli) -> None:
    assert cli("gpu-stats") == 0
    assert cli.out.splitlines() == [
        "demo: GPUs of 2 nodes",
        "",
        "spark-1  head",
        "  NVIDIA GB10  96 %  71 °C  88 W",
        "  memory: 93.5 GiB of 121.6 GiB used, shared by GPU and CPU",
        "     96.0 GiB  vllm  VLLM::EngineCore, pid 101",
        "      2.0 GiB  theirs  ollama, pid 103",
        "      unknown  in no container  python3, pid 102",
        "",
        "spark-2  worker",
        "  NVIDIA RTX A6000  ? %  41 °C  ? W  312.0 MiB of 48.0 GiB of its own",
        "  memory: 93.5 GiB of 121.6 GiB used",
        "  no process holds it",
    ]
    assert [host.round_trips for host in cli.hosts.values()] == [1, 1]


def test_the_document_is_that_of_the_page(cli: Cli) -> None:
    seen = set()
    for other in (MEMORY + GB10, MEMORY + A6000 + HELD):
        cli.hosts["spark-2"].probes = saying(other)
        assert cli("gpu-stats", "--json") == 0
        schema, places = check_document(cli.document)
        seen |= places
    assert seen == own(schema).keys() | {"schema"}
    (process, *_) = cli.document["nodes"][0]["processes"]
    assert process == {
        "pid": 101,
        "name": "VLLM::EngineCore",
        "bytes": 96 << 30,
        "container": "sparkctl-demo-vllm",
        "service": "vllm",
        "role": "",
    }


def test_a_node_that_is_away_is_shown(cli: Cli) -> None:
    cli.hosts["spark-2"].unreachable = True
    assert cli("gpu-stats") == 2
    assert "spark-2  worker\n  ✗ spark-2 did not answer. Next: switch it on\n" in cli.out
    assert "NVIDIA GB10" in cli.out
    cli.hosts["spark-1"].unreachable = True
    assert cli("gpu-stats", "--json") == 4
    assert [node["error"] for node in cli.document["nodes"]] == [
        f"spark-{n} did not answer. Next: switch it on" for n in (1, 2)
    ]


def test_watched_through_a_pipe_each_look_is_a_line(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        cli.hosts["spark-2"].unreachable = True
        cli.hosts["spark-2"].closed = True
        if len(waits) == 2:
            raise KeyboardInterrupt

    clock = SimpleNamespace(sleep=sleep, monotonic=time.monotonic)
    monkeypatch.setattr("sparkctl.cli.watching.time", clock)
    assert cli("gpu-stats", "--watch", "--interval", "3") == 0
    first, second = cli.out.splitlines()
    assert first.endswith(
        "  spark-1 96 % 71 °C 88 W 93.5 GiB of 121.6 GiB used, 98.0 GiB by 3 processes; "
        "spark-2 ? % 41 °C ? W 93.5 GiB of 121.6 GiB used, 0 B by 0 processes"
    )
    assert second.endswith("; spark-2 unreachable")
    assert waits == [3, 3]


def stats(load: str, *roles: str) -> GpuStats:
    answers = {"gpu-load": Answer(load), "containers": Answer(containers())}
    now = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
    return make_gpu_stats(cluster_of(1), roles, Facts({"spark-1": answers}), {}, now)


def test_a_process_of_a_role_is_told() -> None:
    load = f"{GB10}app=7, VLLM::Worker, 1024\ncgroup=7 0::/docker/{IDS['vllm-dev']}\n"
    (node,) = stats(load, "dev", "architect").nodes
    assert [(one.service, one.role) for one in node.processes] == [("vllm-dev", "dev")]
    lines = [
        f"{''.join(text for text, _ in line.heads)}{line.text}" for line in show_gpu_stats(stats(load, "dev"), UNICODE)
    ]
    assert lines[-1] == "  1.0 GiB  vllm-dev (role dev)  VLLM::Worker, pid 7"
    foreign = f"{GB10}app=8, x, 1\ncgroup=8 0::/docker/{IDS['theirs']}\n"
    assert [(one.service, one.role) for one in stats(foreign, "dev").nodes[0].processes] == [("", "")]


@pytest.mark.parametrize(
    ("load", "words"),
    [("", "no NVIDIA driver"), ("driver=installed\ngpu=No devices", "the NVIDIA driver does not answer")],
)
def test_a_node_without_a_gpu_says_so(load: str, words: str) -> None:
    texts = [line.text for line in show_gpu_stats(stats(load), UNICODE)]
    assert texts[-2:] == [words, "memory: unknown"]
    assert (
        show_in_one_line(stats(load)).text == "2026-11-21T12:00:00+00:00  spark-1 no GPU unknown, 0 B by 0 processes"
    )


def test_the_exit_code_of_one_node_among_many() -> None:
    (node,) = stats(GB10).nodes
    away = replace(node, error="it is off")
    nodes = {0: (node, node), 2: (node, away), 4: (away, away)}
    assert [GpuStats("demo", "", both).exit_code for both in nodes.values()] == [*nodes]
