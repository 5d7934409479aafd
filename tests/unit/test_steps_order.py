"""Who comes before whom: the step that opens a node's connection anew must not cut what works on it."""

from typing import Any

import pytest
from stack import setup_of, stack_of

from sparkctl.core.plan import id_of
from sparkctl.core.step import Step
from sparkctl.topology import Cluster, Node, Role

HEAD = Node("spark-1", Role.HEAD, "10.0.0.1", "nvidia", fabric_ip="192.168.100.10", fabric_interface="enp1s0f1np1")
WORKERS = tuple(
    Node(f"spark-{n}", Role.WORKER, f"10.0.0.{n}", "nvidia", fabric_ip=f"192.168.100.{n}", fabric_interface="enp1")
    for n in (2, 3)
)
DEPLOYMENTS: dict[str, dict[str, Any]] = {
    "ray over nfs": {},
    "mp over copies": {"engine": {"backend": "mp"}, "store": {"kind": "copy"}},
    "with a token": {"HF_TOKEN": "hf_x"},
    "nothing served": {"ENABLE_VLLM": "0"},
}


@pytest.mark.parametrize("workers", [(), WORKERS], ids=["alone", "three"])
@pytest.mark.parametrize("args", DEPLOYMENTS.values(), ids=DEPLOYMENTS.keys())
def test_nothing_is_at_work_on_a_node_while_its_connection_is_opened_anew(
    args: dict[str, Any], workers: tuple[Node, ...]
) -> None:
    steps = {id_of(step): step for step in stack_of(Cluster("lab", HEAD, workers, "10.0.0.1"), args)}
    at_risk = []
    for key, step in steps.items():
        for node in {step.node, *(want.node for want in step.wants)}:
            docker = f"docker@{node}"
            apart = docker in under(steps, key) or key in under(steps, docker) or key == docker
            if not apart and step.name != "host":  # the preflight never works: it holds, or the plan is blocked
                at_risk.append(f"{key} beside {docker}")
    assert at_risk == []


@pytest.mark.parametrize("workers", [(), WORKERS], ids=["alone", "three"])
def test_setup_leaves_a_node_alone_while_its_connection_is_opened_anew(workers: tuple[Node, ...]) -> None:
    steps = {id_of(step): step for step in setup_of(Cluster("lab", HEAD, workers, "10.0.0.1"), {})}
    at_risk = []
    for key, step in steps.items():
        for node in {step.node, *(want.node for want in step.wants)}:
            for gate in (steps[name] for name in (f"docker@{node}", f"netplan@{node}") if name in steps):
                in_turn = (step.node, step.layer) == (gate.node, gate.layer)
                apart = id_of(gate) in under(steps, key) or key in under(steps, id_of(gate))
                if not (in_turn or apart or step.name in ("host", "gpu")):  # which only look, and stop the plan
                    at_risk.append(f"{key} beside {id_of(gate)}")
    assert at_risk == []


def under(steps: dict[str, Step], key: str) -> set[str]:
    """All that a step stands on, in whatever depth."""
    found: set[str] = set()
    todo = [key]
    while todo:
        new = [need for need in steps[todo.pop()].needs if need in steps and need not in found]
        found.update(new)
        todo += new
    return found
