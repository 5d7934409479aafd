"""Every file in tests/cases is one test of one step: what the probes printed in, finding and actions out.

A case names the step, the arguments of its room's `steps()`, and the answers of each node as text or lines. What is
left out of `expect` must not be there: a case states the whole finding, and what an undo of the same facts would do.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from probe_texts import LINES
from stack import setup_of, stack_of

from sparkctl.core.plan import id_of
from sparkctl.core.service import Service
from sparkctl.core.step import Absent, Blocked, Drifted, Ok, Pending, Step
from sparkctl.facts.probe import Answer, Facts
from sparkctl.steps import (
    copy,
    fabric,
    guard,
    guard_earlyoom,
    guard_swap,
    host,
    host_docker,
    host_ports,
    host_state,
    nfs,
    ollama,
    packages,
    ssh_trust,
)
from sparkctl.steps.agents import DocumentStep
from sparkctl.steps.network import NetworkStep
from sparkctl.steps.secret import SecretStep
from sparkctl.topology import Cluster, Node, Role

CASES = Path(__file__).parents[1] / "cases"
HEAD = Node("spark-1", Role.HEAD, "10.0.0.1", "nvidia", fabric_ip="192.168.100.10", fabric_interface="enp1s0f1np1")
WORKER = Node("spark-2", Role.WORKER, "10.0.0.2", "nvidia", fabric_ip="192.168.100.11", fabric_interface="enp1s0f1np1")


def _hosts(cluster: Cluster, args: dict[str, Any]) -> tuple[Step, ...]:
    return host.steps(cluster, {node.name: host.HostWish(**args) for node in cluster.nodes})


def _ports(cluster: Cluster, args: dict[str, Any]) -> tuple[Step, ...]:
    return host_ports.steps(cluster, [host_ports.PortWish(*wish) for wish in args["wishes"]])


def _guard(cluster: Cluster, args: dict[str, Any]) -> tuple[Step, ...]:
    """With a program of one line; what the real one does is the business of test_watchdog.py."""
    return guard.steps(cluster, guard.GuardWish(**args) if args else None, "print('a watchdog')\n")


def _ollama(cluster: Cluster, args: dict[str, Any]) -> tuple[Step, ...]:
    """One model of its library under another name, on the head."""
    service = Service("ollama", cluster.head.name, "ollama:1", ("serve",))
    model = ollama.OllamaModelStep(cluster, service, 11434, "gpt-oss:20b", "tiny", 8192)
    return (ollama.OllamaStoreStep(cluster, cluster.head), model)


def _folders(cluster: Cluster, folder: str) -> dict[str, str]:
    return {node.name: folder.replace("~", node.home, 1) for node in cluster.nodes}


ROOMS: dict[str, Callable[[Cluster, dict[str, Any]], tuple[Step, ...]]] = {
    "host": _hosts,
    "docker": lambda cluster, args: host_docker.steps(cluster),
    "state": lambda cluster, args: host_state.steps(cluster),
    "ports": _ports,
    "packages": lambda cluster, args: packages.steps(cluster, **args),
    "fabric": lambda cluster, args: fabric.steps(cluster, **args),
    **dict.fromkeys(("guard", "guard-trip"), _guard),
    "earlyoom": lambda cluster, args: guard_earlyoom.steps(cluster, args["percent"], allowed=True),
    "swap": lambda cluster, args: guard_swap.steps(cluster, args["off"], 10),
    "ssh-key": lambda cluster, args: ssh_trust.steps(cluster),
    "ssh-trust": lambda cluster, args: ssh_trust.steps(cluster),
    **dict.fromkeys(
        ("nfs-export", "nfs-mount", "nfs-readback"),
        lambda cluster, args: nfs.steps(
            cluster, _folders(cluster, args["folder"]), "org/tiny", wanted=args.get("wanted", True)
        ),
    ),
    **dict.fromkeys(("ollama-store", "ollama-model"), _ollama),
    "secret-mpi-ssh-key": lambda cluster, args: (SecretStep(cluster, cluster.head, "mpi-ssh-key"),),
    "agents-document": lambda cluster, args: (DocumentStep(cluster, tuple(args["files"].items())),),
    "milvus-network": lambda cluster, args: (NetworkStep(cluster, "milvus"),),
    "copy": lambda cluster, args: copy.steps(
        cluster, args["repo"], _folders(cluster, args["cache"]), args["parallel"], wanted=args.get("wanted", True)
    ),
    **dict.fromkeys(
        (
            "gpu",
            "links",
            "netplan",
            "setup-docker",
            "setup-packages",
            "setup-ssh-trust",
            "sources",
            "sudoers",
            "toolkit",
        ),
        setup_of,
    ),
    **dict.fromkeys(
        (
            "image",
            "image-check",
            "model",
            "secret-api-key",
            "secret-grafana-password",
            "secret-hf-token",
            "secret-ray-token",
            "cache",
            "ray-head",
            "ray-worker",
            "ray-join",
            "vllm",
            "serving",
            "leftovers",
            "keeper",
            "intent",
            "generation",
            "memory",
        ),
        stack_of,
    ),
}

FILES = sorted(path for room in ROOMS for path in (CASES / room).glob("*.json"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_case(path: Path) -> None:
    case = json.loads(path.read_text())
    assert outcome(path.parent.name, case) == case["expect"]


def test_every_room_has_cases() -> None:
    assert {path.parent.name for path in FILES} == set(ROOMS)


def outcome(room: str, case: Mapping[str, Any]) -> dict[str, Any]:
    """What the step finds and would undo, as plain data."""
    head, worker = (replace(node, **case.get("nodes", {}).get(node.name, {})) for node in (HEAD, WORKER))
    cluster = Cluster("lab", head, (worker,), "10.0.0.1")
    step = {id_of(step): step for step in ROOMS[room](cluster, case.get("args", {}))}[case["step"]]
    asked = {(want.node, want.probe.name) for want in step.wants}
    answers = {node: {name: _answer(said) for name, said in of.items()} for node, of in case["answers"].items()}
    given = {(node, name) for node, of in answers.items() for name in of}
    assert given <= asked, f"no probe of this step is called {sorted(given - asked)}; it asks {sorted(asked)}"
    facts = Facts(answers)
    undo = [action.summary for action in step.undo(facts)]
    return {**_finding(step, facts), **({"undo": undo} if undo else {})}


def _answer(said: str | list[str] | None) -> Answer:
    if said is None:
        return Answer("", 1)
    return Answer(said if isinstance(said, str) else "".join(f"{line}\n" for line in said))


def _finding(step: Step, facts: Facts) -> dict[str, Any]:
    finding = step.check(facts)
    match finding:
        case Ok(note):
            return {"finding": "ok", "note": note}
        case Pending(on, note):
            return {"finding": "pending", "on": on, **({"note": note} if note else {})}
        case Blocked(problem, fix):
            return {"finding": "blocked", "problem": problem, "fix": fix.splitlines()}
        case Drifted(differences, actions):
            return {"finding": "drifted", "differences": list(differences), "actions": _shown(actions)}
        case Absent(actions, note):
            return {"finding": "absent", **({"note": note} if note else {}), "actions": _shown(actions)}


def _shown(actions: tuple[Any, ...]) -> list[dict[str, Any]]:
    return [{"summary": action.summary, "detail": action.detail.splitlines()} for action in actions]


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
@settings(max_examples=10)
@given(data=st.data())
def test_no_answer_makes_a_check_raise(path: Path, data: st.DataObject) -> None:
    case = json.loads(path.read_text())
    for answers in case["answers"].values():
        for name, said in answers.items():
            lines = st.sampled_from(said) if isinstance(said, list) and said else st.just("")
            answers[name] = data.draw(st.lists(st.one_of(lines, LINES), max_size=6))
    outcome(path.parent.name, case)
