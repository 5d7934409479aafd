"""sparkctl fit: a model of a folder, of the hub and of the head's cache against nodes that are there or not."""

import json
import socket
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from cli_fakes import CONTAINER, Cli
from documents import check_document, own
from loopback import serving
from memory_models import config

from sparkctl.facts.probe import Answer
from sparkctl.lab import hub

TOTAL, AVAILABLE = 127535084, 123731968
MODEL = "deepseek-ai/DeepSeek-R1-Distill-Llama-8B"
"""What the profile `stacked` serves, with the sizes of Llama 3.1 8B."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model on this machine: its config.json, and weights that are large by their size alone."""
    made = tmp_path / "model"
    made.mkdir()
    (made / "config.json").write_text(config("gpt-oss-20b"))
    with (made / "model.safetensors").open("wb") as file:
        file.truncate(13_800_000_000)
    return made


def answering(cli: Cli, looked: str, available: int = AVAILABLE, running: str = "") -> None:
    """Nodes with so many KiB available, and what the head found of the model; with a model that runs by that share."""
    detail = json.dumps({"command": ["vllm", "serve", "--gpu-memory-utilization", running]})
    for name, host in cli.hosts.items():
        said = {"host": f"MemTotal={TOTAL}\nMemAvailable={available}\n", "containers": ""}
        service = {"spark-1": "vllm", "spark-2": "ray-worker"}[name]
        labels = {"io.sparkctl.cluster": "demo", "io.sparkctl.service": service, "io.sparkctl.detail": detail}
        if running:
            said["containers"] = json.dumps({**CONTAINER, "labels": labels})
        host.probes = lambda probe, said=said: Answer(said.get(probe, looked))


def cached(name: str = "llama-3.1-8b") -> str:
    return f"source=cache\nconfig={config(name)}\nindex=\n"


def test_what_the_profile_serves_on_nodes_as_they_are(cli: Cli) -> None:
    answering(cli, cached())
    assert cli("fit", "--json") == 0
    document = cli.document
    assert (document["model"], document["source"], document["fits"]) == (MODEL, "cache", True)
    assert [node["available"] for node in document["nodes"]] == [AVAILABLE * 1024] * 2
    assert document["wish"]["max_model_len"] == 4096
    assert all(host.round_trips <= 1 for host in cli.hosts.values())


def test_who_has_no_sparks_yet_needs_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, folder: Path
) -> None:
    bare = tmp_path / "bare.env"
    bare.write_text("CONTROL_PLANE_API_IP=\nWORKER_NODE_SSH_TARGET=\n")
    cli = Cli(monkeypatch, capsys, tmp_path)
    assert cli("fit", str(folder), "--env-file", str(bare), "--json") == 3
    assert cli("fit", str(folder), "--env-file", str(bare), "--offline", "--json") == 0
    assert cli.document["fits"]
    bare.write_text("CONTROL_PLANE_API_IP=300.0.0.1\n")
    assert cli("fit", str(folder), "--env-file", str(bare), "--offline") == 3
    assert "CONTROL_PLANE_API_IP" in cli.err


def test_what_runs_of_ours_is_not_counted(cli: Cli) -> None:
    answering(cli, cached(), available=15_000_000, running="0.8")
    assert cli("fit", "--json") == 0
    answering(cli, cached(), available=15_000_000)
    assert cli("fit", "--json") == 2


def test_a_reader_sees_bar_sums_and_choices(cli: Cli) -> None:
    answering(cli, cached(), available=62_914_560)
    assert cli("fit") == 2
    assert "spark-1, spark-2  ███▒▒" in cli.out
    assert "60.0 GiB available - 97.3 GiB = -37.3 GiB, reserve 10.0 GiB: 47.3 GiB too little" in cli.out
    assert "what fits instead:\n  gpu_memory_utilization 0.41" in cli.out


def test_a_folder_and_sparks_that_are_not_there(cli: Cli, folder: Path) -> None:
    assert cli("fit", str(folder), "--offline", "--tp", "4", "--json") == 0
    document = cli.document
    assert [node["name"] for node in document["nodes"]] == ["spark-1", "spark-2", "spark-3", "spark-4"]
    assert document["nodes"][0]["weights"] > 13_800_000_000 / 4, "padding of MXFP4 is added to what the files hold"
    assert document["nodes_needed"] == 1
    assert cli("fit", str(folder), "--offline", "--tp", "1", "--max-model-len", "131072", "--concurrency", "200") == 2
    assert "concurrency 2" in cli.out


PAIR = """\
name: pair
image: {ref: 'a/b:1'}
models:
  big: {model: {id: org/big}, nodes: head, engine: {gpu_memory_utilization: 0.5}}
  small: {model: {id: org/small}, nodes: head, engine: {gpu_memory_utilization: 0.3}, ports: {api: 8001}}
  far: {model: {id: org/far}, nodes: [1], engine: {gpu_memory_utilization: 0.5}}
  role: {model: {id: org/role}, nodes: head, start: demand, engine: {gpu_memory_utilization: 0.5}, ports: {api: 8002}}
"""


@pytest.mark.parametrize(
    ("model", "beside", "rc"), [("big", 0.3, 0), ("small", 0.5, 0), ("far", 0.0, 0), ("role", 0.8, 2), ("a/b", 0, 0)]
)
def test_models_that_serve_on_the_same_node_are_counted_beside(cli: Cli, model: str, beside: float, rc: int) -> None:
    answering(cli, cached())
    (cli.folder / "pair.yaml").write_text(PAIR)
    assert cli("fit", model, "--profile", "./pair.yaml", "--json") == rc
    assert cli.document["nodes"][0]["beside"] == pytest.approx(beside * TOTAL * 1024, rel=1e-6)


OLLAMA = "name: own\nnodes: 1\nimage: {ref: 'ollama/ollama:0.13.0'}\nmodel: {id: 'llama3.1:8b'}\nengine: {name: ollama"


@pytest.mark.parametrize("offline", [(), ("--offline",)])
def test_stated_weights_stand_in_for_a_model_that_no_hub_has(cli: Cli, offline: tuple[str, ...]) -> None:
    answering(cli, "source=cache\nconfig=never asked")
    (cli.folder / "own.yaml").write_text(f"{OLLAMA}, weights_gib: 5}}\n")
    assert cli("fit", *offline, "--profile", "./own.yaml", "--json") == 0
    assert (cli.document["source"], cli.document["nodes"][0]["weights"]) == ("profile", 5 * 2**30)
    assert (cli.document["longest"], cli.document["most"]) == (None, None)
    assert cli("fit", *offline, "--profile", "./own.yaml") == 0
    assert "weights as the profile states them" in cli.out
    assert "fits: its weights alone on 1 node" in cli.out
    assert "not counted: its cache" in cli.out and "longest context" not in cli.out
    (cli.folder / "own.yaml").write_text(f"{OLLAMA}}}\n")
    assert cli("fit", *offline, "--profile", "./own.yaml") == 1
    assert "nobody says what llama3.1:8b takes" in cli.err


def test_stated_weights_stand_in_while_the_hub_is_silent(cli: Cli) -> None:
    silent = "HF_ENDPOINT=http://127.0.0.1:9"
    assert cli("fit", "--offline", "--set", silent, "--json") == 0
    assert cli.document["source"] == "profile", "the profile says weights_gib"
    assert cli("fit", "org/other", "--offline", "--set", silent) == 1


def test_more_tokens_than_a_model_was_made_for_are_named(cli: Cli, folder: Path) -> None:
    for tokens, told in (("131072", False), ("131073", True)):
        assert cli("fit", str(folder), "--offline", "--max-model-len", tokens) == 0
        assert ("made for 131072 tokens" in cli.out) == told


def test_a_folder_against_nodes_that_are_there(cli: Cli, folder: Path) -> None:
    answering(cli, "source=cache\nconfig=never asked")
    assert cli("fit", str(folder), "--json") == 0
    assert cli.document["source"] == "folder"


def test_a_model_of_the_hub_from_here(cli: Cli, tmp_path: Path) -> None:
    files = tmp_path / "hub" / "repos" / "org" / "tiny"
    files.mkdir(parents=True)
    (files / "config.json").write_text(config("qwen3-8b"))
    (files / "model.safetensors").write_bytes(b"x" * 1000)
    (tmp_path / "hub" / "gated").write_text("org/tiny")
    (tmp_path / "hub" / "tokens").write_text("hf_good")
    with serving(hub.make_server(tmp_path / "hub", "127.0.0.1", 0)) as port:
        endpoint = f"HF_ENDPOINT=http://127.0.0.1:{port}"
        assert cli("fit", "org/tiny", "--offline", "--set", endpoint) == 3
        assert "gated or private (401)" in cli.err
        cli.patch.setenv("HF_TOKEN", "hf_good")
        assert cli("fit", "org/tiny", "--offline", "--set", endpoint, "--json") == 0
        assert (cli.document["source"], cli.document["nodes"][0]["weights"]) == ("hub", 500)
        assert cli("fit", "org/other", "--offline", "--set", endpoint) == 3
        assert "no org/other" in cli.err
    assert cli("fit", "org/tiny", "--offline", "--set", endpoint) == 1
    assert "the hub does not answer" in cli.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--tp", "3"], "at most 2, as many as are configured"),
        (["--tp", "3", "--offline"], "attention heads: 64 heads by tensor parallelism 3"),
        (["--util", "0.95"], "at most 0.90"),
        (["--quantization", "nvpf4"], "did you mean nvfp4?"),
        (["--kv-dtype", "fp3"], "type of the cache"),
        (["--concurrency", "0"], "--concurrency"),
        (["--max-model-len", "-1"], "--max-model-len"),
        (["--tp", "1000000000000", "--offline"], "--tp"),
    ],
)
def test_values_that_cannot_be(cli: Cli, folder: Path, words: list[str], told: str) -> None:
    answering(cli, "")
    (folder / "config.json").write_text(config("llama-3.3-70b"))
    assert cli("fit", str(folder), *words) == 3
    assert told in cli.err


@pytest.mark.parametrize(
    ("text", "told"),
    [(None, "No such file"), ("", "its text: nothing"), ("{}", "hidden_size: not there"), ("[]", "a JSON list")],
)
def test_folders_that_hold_no_model(cli: Cli, folder: Path, text: str | None, told: str) -> None:
    (folder / "config.json").unlink()
    if text is not None:
        (folder / "config.json").write_text(text)
    assert cli("fit", str(folder), "--offline") == 3
    assert told in cli.err
    assert "next: " in cli.err


@pytest.mark.parametrize("word", ["org/na me", "org/[1-9]", "a" * 5000 + "/", "a?b", "ünï"])
def test_words_that_name_no_model(cli: Cli, word: str) -> None:
    assert cli("fit", word) == 3
    assert "is no ORG/NAME" in cli.err
    assert not any(host.log for host in cli.hosts.values())


def test_a_home_of_nobody_is_no_folder(cli: Cli) -> None:
    assert cli("fit", "~no-such-user/model", "--offline") == 3
    assert "No such file" in cli.err


def test_a_hub_that_talks_nonsense_does_not_answer(cli: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = Thread(target=lambda: server.accept()[0].sendall(b"hello\r\n\r\n"))
        thread.start()
        endpoint = f"HF_ENDPOINT=http://127.0.0.1:{server.getsockname()[1]}"
        assert cli("fit", "org/tiny", "--offline", "--set", endpoint) == 1
        thread.join()
    assert "the hub does not answer" in cli.err


@pytest.mark.parametrize("index", ['{"metadata": {"total_size": 1e999}}', "[" * 100_000])
def test_an_index_of_nonsense_says_nothing(cli: Cli, folder: Path, index: str) -> None:
    (folder / "model.safetensors.index.json").write_text(index)
    assert cli("fit", str(folder), "--offline", "--json") == 0


def test_a_node_that_does_not_say_what_it_has(cli: Cli) -> None:
    answering(cli, cached())
    cli.hosts["spark-2"].probes = {}
    assert cli("fit") == 1
    assert "MemTotal and MemAvailable cannot be read" in cli.err


def test_the_document_holds_what_the_page_says(cli: Cli) -> None:
    seen: set[str] = set()
    for available in (AVAILABLE, 62_914_560):
        answering(cli, cached(), available)
        cli("fit", "--json")
        seen |= fit_members(cli.document)
    assert own("fit").keys() <= seen


def fit_members(document: dict[str, Any]) -> set[str]:
    schema, places = check_document(document)
    assert schema == "fit"
    return places
