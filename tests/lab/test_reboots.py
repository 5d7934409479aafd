"""A node that loses its power in each phase of `up`: the run says so, and the next one finishes.

The engine is a stand-in on both nodes. The tests stand in the order in which a deployment goes on.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import stub
from faults import STUB, Deployment, assert_clear, until
from machines import TestLab

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("bare", "published")]


@pytest.fixture(scope="module")
def published(bare: None, lab: TestLab) -> Iterator[None]:
    stub.publish(lab.head)
    yield


@dataclass(frozen=True)
class Cut:
    """Which node loses its power in which phase: once the run has said `words`, and `some` files are on the node.

    `told` is what the run says of it besides the lost connection.
    """

    phase: str
    node: int
    words: str
    some: str = ""
    model: str = "first"
    told: str = ""


CUTS = (
    Cut("host", 1, "guard@spark-2 write"),
    Cut("image", 0, "image@spark-1 started", "/var/lib/docker/tmp/GetImageBlob*"),
    Cut("model", 0, "model@spark-1 started", "/home/nvidia/.cache/huggingface/hub/models--*/blobs/*.incomplete"),
    Cut("workload", 1, "serving@spark-1 started", told="the node was restarted?"),
    Cut("workload", 0, "serving@spark-1 started", model="second"),
)


def slow_engine(deploy: Deployment, name: str) -> Path:
    """Two ranks of the stand-in, which loads for 12 s."""
    engine = {"env": {"STUB_FAULT": "slow", "NAME": name}, "weights_gib": 0.5}
    return deploy.profile(image={"ref": STUB}, engine=engine, timeouts={"ready_s": 60, "drain_s": 2})


@pytest.mark.parametrize("cut", CUTS, ids=lambda cut: f"{cut.phase}-{cut.node + 1}")
def test_power_is_lost_in_the_middle(deploy: Deployment, cut: Cut) -> None:
    lab, profile = deploy.lab, slow_engine(deploy, cut.model)
    machine = lab.nodes[cut.node]
    with lab.slow_hub(300_000), deploy.started("up", "-y", "--until", cut.phase, profile=profile) as run:
        run.wait_for(lambda: cut.words in run.said())
        run.wait_for(lambda: not cut.some or bool(machine.root("sh", "-c", f"ls {cut.some}", check=False).strip()))
        with machine.killed():
            assert run.process.poll() is None, run.said()
        result = run.result(240)
    assert result.returncode in (0, 1, 4, 5), result.stdout  # as soon as it is back, the run may go on
    assert_clear(result, result.returncode, "connection lost", machine.name, cut.told)
    until(lambda: deploy("up", "-y", "--until", cut.phase, profile=profile).returncode == 0, 120)
    assert_clear(deploy("up", "-y", "--until", cut.phase, profile=profile), 0, "no changes")
