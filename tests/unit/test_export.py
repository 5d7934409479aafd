"""The Compose files of roles: the containers of `up`, read by Docker Compose itself, and no secret in them."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from config_world import TWO_SPARKS, World
from documents import check_document
from loopback import serving

from sparkctl.cli.app import invoke
from sparkctl.cli.export import MARK, dump, text_of
from sparkctl.config.load import Config
from sparkctl.core.service import Gpus, Mount, Secret, Service
from sparkctl.errors import SparkctlError
from sparkctl.runtimes.compose import compose
from sparkctl.stacks.export import compose_files
from sparkctl.stacks.goods import backends
from sparkctl.stacks.workload import Workload


def compose_command() -> list[str]:
    """Docker Compose as a plugin, else as the program of Debian; nothing where there is neither."""
    for words in (["docker", "compose"], ["docker-compose"]):
        if (
            shutil.which(words[0])
            and subprocess.run([*words, "version"], capture_output=True, check=False).returncode == 0
        ):
            return words
    return []


COMPOSE = compose_command()


class Healthy(BaseHTTPRequestHandler):
    """Answers 200 to everything."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return World(tmp_path).shared(**TWO_SPARKS).load("roles")


def read(path: Path) -> Any:
    """What Docker Compose makes of a file; fails where it refuses it."""
    done = subprocess.run(
        [*COMPOSE, "-f", str(path), "config"], capture_output=True, text=True, cwd=path.parent, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return yaml.safe_load(done.stdout)


def test_a_file_for_each_role_with_what_up_would_run(config: Config) -> None:
    files = {file.name: file for file in compose_files(config)}
    assert list(files) == ["docker-compose-architect.yml", "docker-compose-dev.yml", "docker-compose-po.yml"]
    for served in config.served:
        (made,) = files[f"docker-compose-{served.name}.yml"].document["services"].values()
        (service,) = Workload(config, served).services(backends(served)[0])
        assert [word.replace("$$", "$") for word in made["command"]] == list(service.command)
        assert [word.replace("$$", "$") for word in made["entrypoint"]] == list(service.entrypoint)
        assert made["environment"] == dict(service.env)
        assert made["image"] == service.image
        (device,) = made["deploy"]["resources"]["reservations"]["devices"]
        assert device == {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}
        assert made["healthcheck"]["start_period"] == "600s"
        assert f":{served.ports.api}/health" in made["healthcheck"]["test"][-1]


def test_a_secret_is_a_file_and_its_value_nowhere(tmp_path: Path) -> None:
    canary = "canary-1234567890"
    config = World(tmp_path).shared(**TWO_SPARKS).local(VLLM_API_KEY=canary, HF_TOKEN=canary).load("roles")
    for file in compose_files(config):
        assert canary not in text_of(file, "roles")
        paths = [secret["file"] for secret in file.document["secrets"].values()]
        assert paths == ["/home/nvidia/.sparkctl/spark/secrets/api-key"]


def test_ollama_is_looked_at_by_what_its_image_has(tmp_path: Path) -> None:
    """Python is not in it. And nobody but sparkctl brings its model: who runs the file must know."""
    text = (
        "name: small\nnodes: 1\nimage: {ref: 'r.lab/ollama:1'}\nmodel: {id: 'gpt-oss:20b'}\nengine: {name: ollama}\n"
    )
    (file,) = compose_files(World(tmp_path).shared(**TWO_SPARKS).profile("small", text).load("small"))
    assert file.document["services"]["ollama"]["healthcheck"]["test"] == ["CMD", "ollama", "list"]
    assert "exec ollama ollama pull gpt-oss:20b" in " ".join(file.notes)
    assert "secrets" not in file.document


def test_a_health_check_asks_no_proxy(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Docker hands a proxy to every container, where one is configured; the very words, put to a server here."""
    (_, command) = compose_files(config)[0].document["services"]["vllm-architect"]["healthcheck"]["test"][2:]
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Healthy)) as port:
        here = command.replace("192.168.1.5:8000", f"127.0.0.1:{port}")
        assert subprocess.run([sys.executable, "-c", here], capture_output=True, timeout=20).returncode == 0


def test_a_model_over_two_nodes_is_a_file_for_each(tmp_path: Path) -> None:
    config = World(tmp_path).shared(**TWO_SPARKS).load("stacked")
    files = compose_files(config)
    assert [(file.name, file.node) for file in files] == [
        ("docker-compose.yml", "spark-1"),
        ("docker-compose.spark-2.yml", "spark-2"),
    ]
    head, worker = (file.document["services"] for file in files)
    assert (list(head), list(worker)) == (["ray-head", "vllm"], ["ray-worker"])
    assert (head["vllm"]["ipc"], head["vllm"]["pid"]) == ("service:ray-head", "service:ray-head")
    assert head["vllm"]["depends_on"] == ["ray-head"]
    assert "start the file of each node" in " ".join(files[0].notes)


@pytest.mark.skipif(not COMPOSE, reason="no Docker Compose here")
@pytest.mark.parametrize("name", ["roles", "stacked", "single"])
def test_docker_compose_reads_them(tmp_path: Path, name: str) -> None:
    config = World(tmp_path).shared(**TWO_SPARKS).load(name)
    for file in compose_files(config):
        path = tmp_path / file.name
        path.write_text(text_of(file, name))
        for service, found in read(path)["services"].items():
            wished = file.document["services"][service]
            assert found["network_mode"] == "host"
            assert [word.replace("$$", "$") for word in found["command"]] == [
                word.replace("$$", "$") for word in wished["command"]
            ]


@pytest.mark.skipif(not COMPOSE, reason="no Docker Compose here")
def test_dollars_quotes_and_lines_arrive_as_they_are(tmp_path: Path) -> None:
    odd = ("$HOME", "${A:-b}", "$$", "it's", 'a "b"', "one\ntwo\n", "yes", "0x10", "- x", "# no", "")
    service = Service(
        name="odd", node="spark-1", image="i:1", command=odd, env=(("A", "$B"), ("C", "off")), gpus=Gpus.ALL,
        mounts=(Mount("vol", "/v"), Mount("/h o", "/t", read_only=True)), secrets=(Secret("k", "/s/k"),),
        ulimits=(("memlock", -1),), shm_bytes=1 << 30,
    )  # fmt: skip
    path = tmp_path / "docker-compose.yml"
    path.write_text(dump(compose([service], {"odd": ("ask", "$HOME")}, 40)))
    (found,) = read(path)["services"].values()
    assert [word.replace("$$", "$") for word in found["command"]] == list(odd)
    assert {name: value.replace("$$", "$") for name, value in found["environment"].items()} == {"A": "$B", "C": "off"}
    alone = compose([replace(service, joins="x", gpus=Gpus.NONE)], {}, 40)["services"]["odd"]
    assert "healthcheck" not in alone
    assert "deploy" not in alone


def test_the_command_writes_them_and_nothing_of_somebody_else_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    World(tmp_path).shared(**TWO_SPARKS)
    monkeypatch.chdir(tmp_path)
    argv = ["export", "compose", "--profile", "roles", "-o", "out/files"]
    assert invoke([*argv, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert check_document(document)[0] == "export-compose"
    assert [Path(file["path"]).name for file in document["files"]] == [
        "docker-compose-architect.yml", "docker-compose-dev.yml", "docker-compose-po.yml",
    ]  # fmt: skip
    assert invoke(argv) == 0, "its own files are written anew"
    other = tmp_path / "out/files/docker-compose-po.yml"
    assert other.read_text().startswith(MARK)
    other.write_text("services: {}\n")
    with pytest.raises(SparkctlError, match=r"docker-compose-po\.yml was not written by sparkctl"):
        invoke(argv)
    assert other.read_text() == "services: {}\n"
    with pytest.raises(SparkctlError, match="cannot be"):
        invoke([*argv[:-1], "/dev/null/x"])
