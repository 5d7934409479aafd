"""A node that loses its power in each phase of `up`: the run ends in a clear way, and the next one finishes.

The engine is a stand-in on both nodes.
"""

import re
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import pytest
import stub
from faults import Deployment, assert_clear, assert_ok
from machines import Machine, TestLab

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("bare", "published")]

HUB_RATE = 60_000
"""Bytes per second: the model takes 25 seconds."""


@pytest.fixture(scope="module")
def published(bare: None, lab: TestLab) -> None:
    stub.publish(lab.head)


@dataclass(frozen=True)
class Cut:
    """The node of that rank loses its power once the run has said `words`, and a file as `some` is there.

    The run may end with `codes`: as soon as the node is back, it may go on.
    """

    phase: str
    rank: int
    words: str
    codes: tuple[int, ...] = (0, 1, 4)
    some: str = ""


CUTS = (
    Cut("host", 1, "guard@spark-2 started"),
    Cut("image", 0, "image@spark-1 pull"),
    Cut("model", 0, "model@spark-1 started", some="/home/nvidia/.cache/huggingface/hub/*/blobs/*.incomplete"),
    Cut("workload", 1, "serving@spark-1 started", (1, 4)),
)


@pytest.mark.parametrize("cut", CUTS, ids=lambda cut: cut.phase)
def test_power_is_lost_in_the_middle(deploy: Deployment, cut: Cut) -> None:
    assert_ok(deploy("down", "--purge", "-y"))
    fault = "slow" * (cut.phase == "workload")
    said = up_without_power(deploy, cut, fault)
    finish(deploy, fault)
    if "ended with status 255" in said:
        assert "most likely its node, or Docker there, was restarted" in said


def test_power_of_the_head_is_lost_in_a_change(deploy: Deployment) -> None:
    """Stands on the one above, whose generation serves. The keeper may hold the lock until that serves again."""
    cut = Cut("workload", 0, "serving@spark-1 started", (1, 4, 5))
    up_without_power(deploy, cut, "slow", NAME="second")
    finish(deploy, "slow", NAME="second")


def up_without_power(deploy: Deployment, cut: Cut, fault: str, **env: str) -> str:
    """What an `up` said in which the power was lost and came back."""
    lab, profile = deploy.lab, stub.two_ranks(deploy, fault, env=env)
    machine = lab.nodes[cut.rank]
    with slowly(lab, cut), deploy.started("up", "-y", profile=profile) as run:
        run.wait_for(lambda: cut.words in run.said() and is_there(machine, cut.some))
        with machine.killed():
            pass
        result = run.result(240)
    assert result.returncode in cut.codes, result.stdout
    assert_clear(result, result.returncode)
    assert re.search(r"connection lost|out of reach|does not answer|did not answer", result.stdout), result.stdout
    return result.stdout


def slowly(lab: TestLab, cut: Cut) -> AbstractContextManager[None]:
    return lab.slow_hub(HUB_RATE) if cut.phase == "model" else nullcontext()


def is_there(machine: Machine, pattern: str) -> bool:
    """Whether a file of that pattern is on the node; nothing always is."""
    return not pattern or bool(machine.root("sh", "-c", f"ls {pattern} 2>/dev/null", check=False).strip())


def finish(deploy: Deployment, fault: str, limit: float = 120, **env: str) -> None:
    """The next `up` that the keeper lets in does what is left, and another one has nothing to do."""
    profile, deadline = stub.two_ranks(deploy, fault, env=env), time.monotonic() + limit
    while (result := deploy("up", "-y", profile=profile)).returncode == 5 and time.monotonic() < deadline:
        time.sleep(1)
    assert_ok(result)
    assert_clear(deploy("up", "-y", profile=profile), 0, "no changes")
