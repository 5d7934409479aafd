"""Changes that fail, laptops that vanish, power that goes: what served before serves again, without a human.

The engine is a stand-in on both nodes that fails as it is told; `python -m tests.bench survival` has the real one.
The tests stand in the order in which a cluster ages.
"""

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import stub
from faults import CLUSTER, REGISTRY, Deployment, Running, assert_clear, assert_ok, containers, until
from machines import Machine, TestLab

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("bare", "serving")]

SILENT = f"{REGISTRY}/sparklab/stub:silent"
API = f"sparkctl-{CLUSTER}-vllm"
KEEPER = f"sparkctl-keeper-{CLUSTER}"


@pytest.fixture(scope="module")
def serving(bare: None, lab: TestLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Generation 1: two ranks of the stand-in."""
    stub.publish(lab.head)
    stub.publish(lab.head, SILENT, "silent")
    first = Deployment(lab, tmp_path_factory.mktemp("first"))
    assert_ok(first("up", "-y", profile=stub.two_ranks(first)))
    yield


def well(deploy: Deployment) -> bool:
    """All is as the first generation was configured."""
    return deploy("status", profile=stub.two_ranks(deploy)).returncode == 0


def ids(lab: TestLab) -> dict[str, str]:
    return {name: id_ for machine in lab.nodes for name, id_ in containers(machine, f"sparkctl-{CLUSTER}-").items()}


def generations(deploy: Deployment) -> list[dict[str, object]]:
    """The history, newest first."""
    result = deploy("history", "--json")
    assert_ok(result)
    found = json.loads(result.stdout)["generations"]
    assert isinstance(found, list)
    return found


def gap(said: str) -> float:
    """What clients went without, in seconds, as the program says."""
    found = re.search(r"clients had no answers for (\d+) s", said)
    assert found, said
    return float(found[1])


def test_image_that_never_gets_ready_is_taken_back(deploy: Deployment) -> None:
    lab = deploy.lab
    before = ids(lab)
    result = deploy("up", "-y", profile=stub.two_ranks(deploy, image=SILENT, ready=8))
    assert_clear(result, 1, "no token within 8 s", "generation 1 was put back and answers again")
    print(f"gap: {gap(result.stdout)} s")
    assert ids(lab) == before
    assert well(deploy)
    newest = generations(deploy)[0]
    assert str(newest["outcome"]).startswith("failed: ")
    assert newest["image"] == SILENT
    assert any("image" in str(change) for change in newest["changes"])  # type: ignore[attr-defined]


def test_flag_that_crashes_is_taken_back(deploy: Deployment) -> None:
    lab = deploy.lab
    before = ids(lab)
    result = deploy("up", "-y", profile=stub.two_ranks(deploy, "memory"))
    assert_clear(result, 1, "with status 1", "generation 1 was put back and answers again")
    assert gap(result.stdout) < 60
    assert ids(lab) == before
    assert well(deploy)


def killed_while_loading(deploy: Deployment, profile: Path) -> None:
    """The laptop dies when the new containers run and do not answer yet."""

    def loading(run: Running) -> bool:
        return "serving@spark-1 wait until" in run.said()

    with deploy.started("up", "-y", profile=profile) as run:
        run.wait_for(lambda: loading(run))
        run.process.send_signal(signal.SIGKILL)


def test_laptop_that_dies_in_a_change_that_fails(deploy: Deployment) -> None:
    before = ids(deploy.lab)
    killed_while_loading(deploy, stub.two_ranks(deploy, "silent", ready=10))
    until(lambda: ids(deploy.lab) == before and well(deploy), 300)
    assert "sparkctl was cut off, and no token came within 10 s" in str(generations(deploy)[0]["outcome"])


def test_laptop_that_dies_in_a_change_that_works(deploy: Deployment) -> None:
    before = ids(deploy.lab)
    killed_while_loading(deploy, stub.two_ranks(deploy, "slow"))
    until(lambda: bool(generations(deploy)[0]["serves_now"]) and generations(deploy)[0]["outcome"] == "serves", 300)
    until(lambda: deploy("status", profile=stub.two_ranks(deploy, "slow")).returncode == 0, 60)
    after = ids(deploy.lab)
    assert after.keys() == before.keys()
    assert not {*after.values()} & {*before.values()}


def test_rollback_serves_the_generation_before_and_the_plan_says_how_it_differs(deploy: Deployment) -> None:
    now, slow = generations(deploy)[0]["number"], stub.two_ranks(deploy, "slow")
    result = deploy("rollback", "-y", profile=slow)
    assert_clear(result, 0, "what served as generation 1 serves again")
    newest = generations(deploy)[0]
    assert (newest["back_to"], newest["serves_now"]) == (1, True)
    assert int(str(newest["number"])) > int(str(now))
    assert well(deploy)
    plan = deploy("plan", profile=stub.two_ranks(deploy, "slow"))
    assert_clear(plan, 0, "STUB_FAULT=slow")
    assert_clear(deploy("rollback", "99", "-y", profile=slow), 1, "there is no generation 99", "sparkctl history")


def started(machine: Machine) -> str:
    return machine.ssh(f"docker inspect -f '{{{{.State.StartedAt}}}}' {API}").stdout


@pytest.mark.parametrize("names", [["worker"], ["head"], ["head", "worker"]], ids="+".join)
def test_power_cycle_serves_again_without_a_human(deploy: Deployment, names: list[str]) -> None:
    lab = deploy.lab
    before, machines = (ids(lab), started(lab.head)), [getattr(lab, name) for name in names]
    for machine in machines:
        machine.container.kill()
    for machine in machines:
        machine.start()
    until(lambda: started(lab.head) != before[1] and well(deploy), 300)
    assert ids(lab) == before[0]


def test_engine_that_crashes_is_not_restarted(deploy: Deployment) -> None:
    head = deploy.lab.head
    head.ssh(f"docker kill {API}")
    crashed = started(head)
    head.root("systemctl", "restart", KEEPER)
    lines = ["journalctl", "-u", KEEPER, "-o", "cat", "-n", "2"]
    until(lambda: "watching" in head.root(*lines))
    assert_clear(deploy("status", profile=stub.two_ranks(deploy)), 2)
    assert started(head) == crashed
    assert head.ssh(f"docker inspect -f '{{{{.State.Status}}}}' {API}").stdout == "exited\n"


def test_crashed_engine_cannot_be_put_back_and_that_is_said_once(deploy: Deployment) -> None:
    count = len(generations(deploy))
    result = deploy("up", "-y", profile=stub.two_ranks(deploy, "memory"))
    assert_clear(result, 1, f"cannot be put back: container {API} on spark-1 is gone: run sparkctl up")
    records = f"/var/lib/sparkctl/{CLUSTER}/units/main"
    assert "wish.json" not in deploy.lab.head.root("ls", records)
    assert len(generations(deploy)) == count + 1
    assert_ok(deploy("up", "-y", profile=stub.two_ranks(deploy)))
    assert well(deploy)


def test_what_was_stopped_stays_stopped(deploy: Deployment) -> None:
    lab, profile = deploy.lab, stub.two_ranks(deploy)
    numbers = [one["number"] for one in generations(deploy)]
    assert_ok(deploy("stop", "-y", profile=profile))
    assert ids(lab) == {}
    for machine in lab.nodes:
        machine.container.kill()
    for machine in lab.nodes:
        machine.start()
    until(lambda: "watching" in lab.head.root("journalctl", "-b", "-u", KEEPER, "-o", "cat", "-n", "2"))
    assert ids(lab) == {}
    assert lab.head.root("ls", f"/var/lib/sparkctl/{CLUSTER}/units") == ""
    assert_ok(deploy("up", "-y", profile=profile))
    assert [one["number"] for one in generations(deploy)] == numbers
