"""The memory watchdog on a node of the lab: it trips for real, the user is told, and up brings the engine back."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import stub
from faults import CLUSTER, STUB, Deployment, assert_clear, assert_ok, containers, until
from machines import Machine, TestLab

UNIT = f"sparkctl-guard-{CLUSTER}"
CONFIG, TRIPS = f"/etc/sparkctl/{CLUSTER}/guard.json", f"/var/lib/sparkctl/{CLUSTER}/trips.json"
FOREIGN = "guard-foreign"


@pytest.fixture(scope="module")
def serving(bare: None, lab: TestLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A light engine that serves on the head, and its profile."""
    stub.publish(lab.head)
    deploy = Deployment(lab, tmp_path_factory.mktemp("guard"))
    profile = deploy.profile(image={"ref": STUB}, nodes=1, timeouts={"ready_s": 60, "drain_s": 2})
    assert_ok(deploy("up", "-y", profile=profile))
    yield profile
    lab.head.root("docker", "rm", "-f", FOREIGN, check=False)
    assert_ok(deploy("down", "-y", profile=profile))
    left = lab.head.root("sh", "-c", "ls -d /etc/sparkctl /var/lib/sparkctl /usr/local/lib/sparkctl", check=False)
    assert f"{UNIT}" not in lab.head.root("systemctl", "list-unit-files", "--no-legend")
    assert "cannot access" in left and "\n/" not in f"\n{left}", left


def demand_more(head: Machine) -> None:
    """A floor above all memory that there is: at the next look the machine is below it."""
    change = "c = json.load(open(f)); c.update(floor=1 << 60, low=1 << 61); json.dump(c, open(f, 'w'))"
    head.root("python3", "-c", f"import json; f = {CONFIG!r}; {change}")
    head.root("systemctl", "restart", UNIT)


def test_up_installs_it_and_it_watches(serving: Path, lab: TestLab) -> None:
    assert lab.head.root("systemctl", "is-active", UNIT).strip() == "active"
    assert lab.head.root("systemctl", "is-enabled", UNIT).strip() == "enabled"
    until(lambda: "watching for cluster faults: stop below 0.5 GiB" in lab.head.root("journalctl", "-qu", UNIT))


def test_a_trip_stops_the_engine_and_is_told_until_up(serving: Path, lab: TestLab, deploy: Deployment) -> None:
    head = lab.head
    head.ssh(f"docker run -d --name {FOREIGN} --label io.sparkctl.cluster=other {STUB} sleep 600")
    (vllm,) = containers(head, f"{CLUSTER}-vllm").values()
    demand_more(head)
    until(
        lambda: head.root("docker", "inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", vllm) == "exited 137\n"
    )
    until(lambda: bool(head.ssh(f"cat {TRIPS}", check=False).stdout))
    (trip,) = json.loads(head.ssh(f"cat {TRIPS}").stdout)["trips"]
    assert trip["services"] == ["vllm"] and int(trip["did"].split()[1]) > 0
    assert head.root("docker", "inspect", "-f", "{{.State.Status}}", FOREIGN) == "running\n"
    told = "guard-trip: the watchdog killed vllm on spark-1 at "
    assert_clear(deploy("status", profile=serving), 2, told, "available, less than the floor of", "Next: sparkctl up")
    assert_clear(deploy("doctor", profile=serving), 2, told.partition(": ")[2], "it would run into the same wall")
    time.sleep(3)  # nothing is started again by itself
    assert head.root("docker", "inspect", "-f", "{{.State.Status}}", vllm) == "exited\n"
    assert_ok(deploy("up", "-y", profile=serving))
    assert_ok(deploy("status", profile=serving))


def test_one_that_was_killed_comes_back_and_one_that_was_changed_is_replaced(
    serving: Path, lab: TestLab, deploy: Deployment
) -> None:
    head = lab.head
    head.root("systemctl", "kill", "-s", "KILL", UNIT)
    until(lambda: head.root("systemctl", "is-active", UNIT, check=False).strip() == "active")
    head.root("sh", "-c", f"echo '# changed' >>/usr/local/lib/sparkctl/{CLUSTER}/watchdog.py")
    head.root("systemctl", "stop", UNIT)
    assert_clear(deploy("status", profile=serving), 2, "watchdog.py is not as wished", "guard: no watchdog runs")
    (before,) = containers(head, f"{CLUSTER}-vllm").values()
    assert_ok(deploy("up", "-y", profile=serving))
    assert_ok(deploy("status", profile=serving))
    assert containers(head, f"{CLUSTER}-vllm") == {f"sparkctl-{CLUSTER}-vllm": before}, "the engine stays"


def test_an_up_whose_engine_is_stopped_while_it_loads_says_by_whom(
    serving: Path, lab: TestLab, deploy: Deployment
) -> None:
    assert_ok(deploy("stop", "-y", profile=serving))
    slow = deploy.profile(image={"ref": STUB}, nodes=1, engine={"env": {"STUB_FAULT": "slow300"}})
    with deploy.started("up", "-y", profile=slow) as up:
        up.wait_for(lambda: "serving@spark-1 wait until" in up.said())
        demand_more(lab.head)
        told = "does not serve: the watchdog killed vllm on spark-1 at "
        assert_clear(up.result(), 1, told, "lower engine.gpu_memory_utilization")
