"""Several models on one node: their budgets add up, what runs is counted once, roles take turns."""

import json
from pathlib import Path
from typing import Any

import pytest
from memory_models import config
from stack import ENV

from sparkctl.config.load import load
from sparkctl.config.wishes import wish_of
from sparkctl.core.plan import id_of
from sparkctl.core.step import Blocked, Finding, Ok, Pending
from sparkctl.facts.probe import Answer, Facts
from sparkctl.stacks.serving import all_steps, steps

GIB = 2**30
PROFILE: dict[str, Any] = {
    "name": "several",
    "image": {"ref": "nvcr.io/nvidia/vllm:25.11-py3"},
    "models": {
        "dev": {"model": {"id": "org/dev"}, "engine": {"gpu_memory_utilization": 0.4}, "nodes": "head"},
        "chat": {
            "model": {"id": "org/chat"},
            "engine": {"gpu_memory_utilization": 0.4},
            "nodes": "head",
            "ports": {"api": 8001},
        },
    },
}


def finding(folder: Path, available: float, *running: str, node: str = "spark-1", **models: dict[str, Any]) -> Finding:
    """What the step of a node finds, with so many GiB available and containers that hold 0.4 of the memory."""
    merged = {name: {**PROFILE["models"].get(name, {}), **of} for name, of in {**PROFILE["models"], **models}.items()}
    path = folder / "several.yaml"
    path.write_text(json.dumps({**PROFILE, "models": merged}))
    loaded = load(str(path), environ={"HOME": str(folder), **ENV}, cwd=folder)
    step = {id_of(step): step for step in steps(loaded)}[f"memory@{node}"]
    host = f"MemTotal={round(121.7 * GIB / 1024)}\nMemAvailable={round(available * GIB / 1024)}\n"
    look = Answer(f"source=cache\nconfig={config('qwen3-8b')}\n")
    looks = {want.probe.name: look for want in step.wants if want.probe.name.startswith("checkpoint:")}
    containers = Answer("\n".join(map(container, running)))
    return step.check(
        Facts(
            {"spark-1": {"host": Answer(host), "containers": containers, **looks}, "spark-2": {"host": Answer(host)}}
        )
    )


def container(service: str) -> str:
    detail = json.dumps({"command": ["vllm", "serve", "--gpu-memory-utilization", "0.4"]})
    labels = {"io.sparkctl.cluster": "spark", "io.sparkctl.service": service, "io.sparkctl.detail": detail}
    return json.dumps({"id": service, "name": f"/sparkctl-spark-{service}", "labels": labels, "status": "running"})


def test_budgets_add_up(tmp_path: Path) -> None:
    assert isinstance(finding(tmp_path, 118), Ok)
    found = finding(tmp_path, 100)
    assert isinstance(found, Blocked)
    assert "100.0 GiB available - 48.7 GiB of other models - 48.7 GiB = 2.6 GiB" in found.problem
    assert len(found.problem.splitlines()) == 4, "each of the two would leave too little beside the other"


def test_what_runs_is_counted_once(tmp_path: Path) -> None:
    assert isinstance(finding(tmp_path, 20, "vllm-dev", "vllm-chat"), Ok)
    assert isinstance(finding(tmp_path, 65, "vllm-dev"), Ok)
    assert isinstance(finding(tmp_path, 50, "vllm-dev"), Blocked), "the other one is still to come"


def test_what_is_replaced_gives_back_first(tmp_path: Path) -> None:
    """dev runs with 0.4 and is wished with 0.3, which leaves room for chat to grow."""
    shares: dict[str, Any] = {
        "dev": {"engine": {"gpu_memory_utilization": 0.3}},
        "chat": {"engine": {"gpu_memory_utilization": 0.5}},
    }
    assert isinstance(finding(tmp_path, 14, "vllm-dev", "vllm-chat", **shares), Ok)
    assert isinstance(finding(tmp_path, 14, "vllm-dev", **shares), Blocked)


def test_a_role_takes_turns_and_must_fit_beside_what_always_serves(tmp_path: Path) -> None:
    waits = {"start": "demand", "engine": {"gpu_memory_utilization": 0.5}}
    assert isinstance(finding(tmp_path, 60, chat=waits), Ok), "it is not started now"
    lonely = {**waits, "engine": {"gpu_memory_utilization": 0.85}}
    found = finding(tmp_path, 118, chat=lonely)
    assert isinstance(found, Blocked)
    assert found.problem.startswith("org/chat does not fit\n121.7 GiB available - 48.7 GiB of other models")


def test_a_node_without_models_is_not_asked(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        finding(tmp_path, 118, node="spark-2")
    assert isinstance(finding(tmp_path, 118, node="spark-2", dev={"nodes": [1]}), Ok | Pending)


def test_arguments_of_the_engine_count(tmp_path: Path) -> None:
    arguments = ["--kv-cache-dtype=fp8", "-q", "awq", "--quantization", "fp8", "-pp", "2"]
    arguments += ["--max-num-batched-tokens", "64"]
    engine = {"extra_args": arguments, "load_format": "fastsafetensors", "tensor_parallel": 1, "overhead_gib": 3}
    models = {"dev": {"model": {"id": "org/dev"}, "engine": engine}}
    (tmp_path / "several.yaml").write_text(json.dumps({**PROFILE, "models": models}))
    loaded = load(str(tmp_path / "several.yaml"), environ={"HOME": str(tmp_path), **ENV}, cwd=tmp_path)
    wish = wish_of(loaded.served[0])
    assert (wish.kv_dtype, wish.quantization, wish.tensor_parallel, wish.pipeline_parallel) == ("fp8", "fp8", 1, 2)
    assert wish.overhead == pytest.approx(7.4 * GIB, rel=1e-6)
    assert (wish.concurrency, wish.fills, wish.prefill) == (1, True, 64)


def test_what_the_planner_does_not_know_is_left_to_the_engine(tmp_path: Path) -> None:
    engine = {
        "extra_args": [
            "--kv-cache-dtype",
            "of-tomorrow",
            "--quantization",
            "experts_int8",
            "--max-num-batched-tokens=auto",
        ]
    }
    found = finding(tmp_path, 118, dev={"engine": {**engine, "gpu_memory_utilization": 0.4}})
    assert isinstance(found, Ok)


def test_undo_takes_nothing_away(tmp_path: Path) -> None:
    (tmp_path / "several.yaml").write_text(json.dumps(PROFILE))
    loaded = load(str(tmp_path / "several.yaml"), environ={"HOME": str(tmp_path), **ENV}, cwd=tmp_path)
    gates = [step for step in all_steps(loaded) if step.name == "memory"]
    assert [id_of(step) for step in gates] == ["memory@spark-1"]
    assert [step.undo(Facts({})) for step in gates] == [()]
