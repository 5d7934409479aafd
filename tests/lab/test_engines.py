"""SGLang, TensorRT-LLM and Ollama from the profile to the first token, and as they fail: the stand-ins for them, in
real containers on two nodes. None of the three engines themselves runs here."""

from pathlib import Path
from typing import Any

import pytest
import standins
from conformance import Asked, assert_conforms, tunnel
from faults import Deployment, assert_clear, assert_ok, containers
from machines import TestLab
from standins import STANDIN

from sparkctl.engines.engine import Api
from sparkctl.engines.registry import engine
from sparkctl.lab.spec import FABRIC_NIC

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("published")]
MODEL = "sparklab/tiny-llama"
PORT = 8040


@pytest.fixture(scope="module")
def published(bare: None, lab: TestLab) -> None:
    standins.publish(lab.head)


def profile(deploy: Deployment, name: str, nodes: int, fault: str = "", **changes: Any) -> Path:
    """The stand-in for that engine on so many nodes."""
    model = changes.pop("model", {})
    words = {"name": name, "dtype": None, "env": {"STANDIN_FAULT": fault} if fault else {}, **changes}
    limits = {"ready_s": 60, "drain_s": 2}
    return deploy.profile(
        image={"ref": STANDIN}, engine=words, nodes=nodes, timeouts=limits, ports={"api": PORT}, model=model
    )


def conforms(deploy: Deployment, api: Api, model: str) -> None:
    """Ask what every engine is asked."""
    head, at = deploy.lab.head, deploy.lab.head.address
    key = head.ssh("cat ~/.sparkctl/faults/secrets/api-key").stdout.strip()
    with tunnel(head, at if api.keyed else "127.0.0.1", PORT) as url:
        assert_conforms(Asked(url, api, model, key if api.keyed else ""))


def assert_stops(deploy: Deployment, chosen: Path) -> None:
    """No container of an engine, no listener, and nothing but the engine gone."""
    assert_ok(deploy("stop", "-y", profile=chosen))
    for machine in deploy.lab.nodes:
        assert not {name for name in containers(machine) if name.startswith("sparkctl-faults-")}
        assert f":{PORT} " not in machine.ssh("ss -Hltn").stdout


def assert_no_key(deploy: Deployment) -> None:
    """Neither in what Docker tells, nor in what the engine logs, nor on a command line."""
    key = deploy.lab.head.ssh("cat ~/.sparkctl/faults/secrets/api-key").stdout.strip()
    told = "for c in $(docker ps -aq); do docker inspect $c; docker logs $c 2>&1; done"
    for machine in deploy.lab.nodes:
        assert key not in machine.ssh(told).stdout + machine.root("ps", "-eww", "-o", "args=")


@pytest.mark.parametrize(("name", "nodes"), [("sglang", 1), ("sglang", 2), ("trtllm", 1), ("trtllm", 2)])
def test_conforms(deploy: Deployment, name: str, nodes: int) -> None:
    chosen = profile(deploy, name, nodes)
    assert_ok(deploy("up", "-y", profile=chosen))
    conforms(deploy, engine(name).API, MODEL)
    assert_no_key(deploy)
    assert_ok(deploy("test", profile=chosen))
    assert_stops(deploy, chosen)


def test_ranks_of_mpi_are_reached_by_the_clusters_own_key_and_fall_together(deploy: Deployment) -> None:
    chosen, worker = profile(deploy, "trtllm", 2), deploy.lab.worker
    assert_ok(deploy("up", "-y", profile=chosen))
    listening = worker.ssh("ss -Hltn 'sport = :29501'").stdout.split()
    assert listening[3] == f"{worker.fabric_ip}:29501"
    inside = "docker exec sparkctl-faults-trtllm"
    said = deploy.lab.head.ssh(f"{inside} ssh {worker.fabric_ip} 'echo $NCCL_SOCKET_IFNAME; hostname'").stdout
    assert said.split() == [FABRIC_NIC, worker.name]
    stranger = worker.ssh(
        f"ssh -o BatchMode=yes -o StrictHostKeyChecking=no -p 29501 root@{worker.fabric_ip}", check=False
    )
    assert "Permission denied (publickey)" in stranger.stderr
    listed = deploy.lab.head.ssh("docker inspect -f '{{json .Mounts}}' sparkctl-faults-trtllm").stdout
    assert "/.ssh" not in listed
    deploy.lab.worker.ssh("docker kill sparkctl-faults-trtllm-rank1")
    assert_clear(deploy("status", profile=chosen), 2, "trtllm-rank1@spark-2")
    assert_ok(deploy("up", "-y", profile=chosen))
    conforms(deploy, engine("trtllm").API, MODEL)


FAULTS: list[tuple[str, int, str, dict[str, Any], tuple[str, ...]]] = [
    ("sglang", 1, "memory", {}, ("Not enough memory", "the weights leave no room for the KV cache")),
    ("sglang", 2, "absent", {}, ("DistNetworkError", "a rank is absent")),
    (
        "sglang",
        1,
        "",
        {"extra_args": ["--no-such"]},
        ("unrecognized arguments: --no-such", "this SGLang does not know"),
    ),
    ("trtllm", 1, "memory", {}, ("CUDA out of memory", "TRT_LLM_DISABLE_LOAD_WEIGHTS_IN_PARALLEL")),
    ("trtllm", 2, "rank", {}, ("ORTE has lost communication", "an MPI rank ended")),
    ("trtllm", 1, "", {"extra_args": ["--no_such"]}, ("No such option: --no_such", "this TensorRT-LLM does not know")),
    ("ollama", 1, "memory", {"model": {"id": "tiny:1b"}}, ("more system memory (97.1 GiB)", "a smaller model")),
    ("ollama", 1, "", {"model": {"id": "absent:1b"}}, ("file does not exist", "mend model.id")),
]


@pytest.mark.parametrize(("name", "nodes", "fault", "changes", "words"), FAULTS)
def test_its_last_words_come_with_a_fix(
    deploy: Deployment, name: str, nodes: int, fault: str, changes: dict[str, Any], words: tuple[str, ...]
) -> None:
    assert_clear(deploy("up", "-y", profile=profile(deploy, name, nodes, fault, **changes)), 1, *words)


def test_ollama_keeps_its_model_loaded_with_its_context(deploy: Deployment) -> None:
    """From no container to a shaped and loaded model; unloaded behind our back; with another context; stopped."""
    tiny: dict[str, Any] = {"model": {"id": "tiny:1b", "served_name": "tiny"}}
    head = deploy.lab.head
    both = profile(deploy, "trtllm", 2)
    assert_ok(deploy("stop", "-y", profile=both))  # what a failed change put back
    chosen, api = profile(deploy, "ollama", 1, **tiny), "http://127.0.0.1:8040"
    assert_ok(deploy("up", "-y", profile=chosen))
    conforms(deploy, engine("ollama").API, "tiny:latest")
    assert head.ssh(f"ss -Hltn 'sport = :{PORT}'").stdout.split()[3] == f"127.0.0.1:{PORT}"
    assert_clear(deploy("up", "-y", profile=chosen), 0, "no changes")
    head.ssh(f"""curl -sf --noproxy '*' {api}/api/generate -d '{{"model": "tiny", "keep_alive": 0}}'""")
    assert_clear(deploy("plan", profile=chosen), 0, "ollama-model  spark-1  load tiny", "Plan: 1 to create")
    assert_clear(deploy("up", "-y", profile=chosen), 0, "load tiny")
    wider = profile(deploy, "ollama", 1, max_model_len=1024, **tiny)
    assert_clear(deploy("up", "-y", profile=wider), 0, "context 512 -> 1024", "unload tiny")
    shown = head.ssh(f"""curl -sf --noproxy '*' {api}/api/show -d '{{"model": "tiny"}}'""").stdout
    assert "1024" in shown
    assert_stops(deploy, wider)
    assert head.ssh("ls ~/.sparkctl/faults/ollama", check=False).returncode == 0
