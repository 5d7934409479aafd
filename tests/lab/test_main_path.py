"""The contract, as a new user meets it: plan, up, no changes, drift, stop, down, and nothing left behind.

One deployment in file order: each test stands on those above it, and names what it stands on.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from admin import Admin, containers
from conformance import Asked, assert_conforms, tunnel
from machines import Machine, TestLab
from snapshot import Snapshot, differences, lasting, take

from sparkctl.engines import vllm

pytestmark = pytest.mark.lab

WORKLOAD = {"ray-head@spark-1", "ray-worker@spark-2", "vllm@spark-1"}
OF_WORKLOAD = ("containers", "volumes", "listeners", "processes", "mounts", "files", "contents")
"""Sections that running containers show in: their sockets lie below /tmp and /dev/shm."""


@pytest.fixture(scope="module")
def admin(lab: TestLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Admin[TestLab]]:
    """The one who deploys; whatever other modules left is taken away first, and all of it at the end."""
    somebody = Admin(lab, tmp_path_factory.mktemp("admin"))
    somebody("down", "--purge", "--yes")
    for machine in lab.nodes:
        machine.root("sh", "-c", "docker ps -aq | xargs -r docker rm -f && docker image prune -af")
        machine.root("sh", "-c", "rm -rf /home/nvidia/.sparkctl /home/nvidia/.cache")
    yield somebody
    somebody("down", "--purge", "--yes", code=None)


@pytest.fixture(scope="module")
def before(admin: Admin[TestLab]) -> list[Snapshot]:
    """The nodes before anything was deployed."""
    return look(admin)


LOCKS = "/run/lock/sparkctl-"
"""The lock of a cluster names who ran what last; it goes with down."""

KEPT = "/var/lib/sparkctl/"
"""What the keeper has on record; that a stack is wanted goes with stop, the rest with down."""


def look(admin: Admin[TestLab]) -> list[Snapshot]:
    return [take(machine) for machine in admin.lab.nodes]


def less(nodes: list[Snapshot], *sections: str) -> list[Snapshot]:
    return [node.less(*sections) for node in nodes]


def test_looking_changes_nothing(admin: Admin[TestLab], before: list[Snapshot]) -> None:
    document = admin.json("plan")
    assert document["summary"]["create"] > 0
    assert document["summary"]["blocked"] == 0
    assert "pull registry.lab:5000/" in admin("plan").out
    assert admin("plan", "--exit-code", code=2).out
    admin("up", "--dry-run")
    assert admin.json("status", code=2)["state"] == "not deployed"
    findings = admin.json("doctor", code=2)["findings"]
    assert [finding["step"] for finding in findings if not finding["why"]] == []
    assert lasting(lambda: differences(before, look(admin))) == []


def test_up_until_image_stops_there(admin: Admin[TestLab], before: list[Snapshot]) -> None:
    document = admin.json("up", "--until", "image", "--yes")
    assert document["result"] == "done"
    assert document["endpoints"] == []
    above = {item["step"] for item in document["items"] if item["layer"] not in ("host", "storage", "image")}
    assert above <= {"cache"}, "the folder of the store, which outlives it"
    assert containers(admin.lab) == {}
    after = look(admin)
    assert len({str(node.sections["images"]) for node in after}) == 1
    assert after[0].sections["images"].keys() == {"registry.lab:5000/sparklab/vllm-cpu:0.32.0"}
    assert not any("models--" in line for line in differences(before, after))
    admin("plan", "--until", "image", "--exit-code")
    admin("plan", "--exit-code", code=2)


def test_up_deploys(admin: Admin[TestLab]) -> None:
    document = admin.json("up", "--yes")
    assert document["result"] == "done"
    assert document["run"]["outcome"] == "done"
    assert document["run"]["skipped"] == []
    assert not [s for s in document["run"]["steps"] if s["outcome"] == "changed" and s["id"].startswith("image")]
    assert containers(admin.lab).keys() == WORKLOAD
    assert [place["url"] for place in document["endpoints"]] == [f"http://{admin.lab.head.address}:8000/v1"]
    assert document["timings"]["critical_path"]["steps"][-1] == "generation@spark-1"


def test_the_model_answers(admin: Admin[TestLab]) -> None:
    """Stands on test_up_deploys."""
    document = admin.json("test")
    assert document["passed"]
    assert {proof["name"] for proof in document["proofs"]} == {"ray", "health", "key", "token", "reach"}
    assert document["endpoints"][0]["url"] in admin("test").out


def test_the_model_answers_as_every_engine_must(admin: Admin[TestLab]) -> None:
    """Stands on test_up_deploys: the questions that the stand-ins for other engines are asked, to vLLM itself."""
    head = admin.lab.head
    key = head.root("cat", f"/home/nvidia/.sparkctl/{admin.lab.lab.name}/secrets/api-key").strip()
    with tunnel(head, head.address, 8000) as url:
        assert_conforms(Asked(url, vllm.API, "sparklab/tiny-llama", key))


def test_a_second_up_changes_nothing(admin: Admin[TestLab]) -> None:
    """Stands on test_up_deploys. What the program counts is held against what the nodes' sshd saw."""
    admin("plan", "--exit-code")
    ids, seen = containers(admin.lab), look(admin)
    with verbose_sshd(admin.lab):
        document = admin.json("up")
        logs = [sshd_log(machine) for machine in admin.lab.nodes]
    assert document["result"] == "no changes"
    assert "run" not in document
    for machine, log in zip(admin.lab.nodes, logs, strict=True):
        counted = document["transport"][machine.name]
        from_here = f"for nvidia from {admin.lab.lab.gateway} port"
        assert counted["connections"] == len(re.findall(f"Accepted publickey {from_here}", log)) == 1
        assert counted["round_trips"] == len(re.findall(f"Starting session: .* {from_here}", log))
    assert sum(node["round_trips"] for node in document["transport"].values()) <= 10
    assert "no changes" in admin("up").out
    assert containers(admin.lab) == ids
    others = OF_WORKLOAD[2:]
    assert lasting(lambda: differences(less(seen, *others), less(look(admin), *others))) == []


def test_another_admin_sees_the_same(admin: Admin[TestLab], tmp_path: Path) -> None:
    """Stands on test_up_deploys. Nothing that up needs lies on the laptop that deployed."""
    other = Admin(admin.lab, tmp_path)
    assert "no changes" in other("up").out
    other("plan", "--exit-code")
    assert other.json("status")["state"] == "ok"
    assert other.json("credentials") == admin.json("credentials")
    assert admin.json("plan")["summary"] == other.json("plan")["summary"]


def test_drift_of_files_is_mended_and_nothing_restarts(admin: Admin[TestLab]) -> None:
    """Stands on test_up_deploys: a record of ours, a secret's mode, and a file of the model on the worker."""
    ids, head, worker = containers(admin.lab), admin.lab.head, admin.lab.worker
    state = f"/home/nvidia/.sparkctl/{admin.lab.lab.name}"
    weights = worker.root("sh", "-c", "ls -d /home/nvidia/.cache/huggingface/hub/models--*/blobs/*").split()[0]
    head.root("chmod", "644", f"{state}/secrets/api-key")
    head.root("sh", "-c", f"echo drift >> {state}/README")
    worker.root("rm", weights)

    drifted(
        admin,
        ("state@spark-1", "README is changed"),
        ("secret-api-key@spark-1", "has mode 644"),
        ("copy@spark-2", "missing or different"),
    )
    document = admin.json("up", "--yes")
    assert changed(document) == {"state@spark-1", "secret-api-key@spark-1", "copy@spark-2"}
    assert containers(admin.lab) == ids
    assert head.root("stat", "-c", "%a", f"{state}/secrets/api-key") == "600\n"
    assert worker.root("test", "-s", weights) == ""
    admin("plan", "--exit-code")


def test_a_worker_that_is_gone_comes_back_and_the_head_stays(admin: Admin[TestLab]) -> None:
    """Stands on test_up_deploys."""
    ids = containers(admin.lab)
    admin.lab.worker.root("docker", "rm", "-f", ids["ray-worker@spark-2"])
    drifted(admin, ("ray-worker@spark-2", "missing"))
    document = admin.json("up", "--yes")
    assert changed(document) >= {"ray-worker@spark-2", "vllm@spark-1"}
    now = containers(admin.lab)
    assert now.keys() == WORKLOAD
    assert now["ray-head@spark-1"] == ids["ray-head@spark-1"]
    admin("test")


def test_a_head_that_was_stopped_is_replaced_with_all_that_stands_on_it(admin: Admin[TestLab]) -> None:
    """Stands on test_up_deploys."""
    ids = containers(admin.lab)
    admin.lab.head.root("docker", "stop", "-t", "1", ids["ray-head@spark-1"])
    drifted(admin, ("ray-head@spark-1", "exited"))
    document = admin.json("up", "--yes")
    assert changed(document) >= {"ray-head@spark-1", "ray-worker@spark-2", "vllm@spark-1"}
    now = containers(admin.lab)
    assert now.keys() == WORKLOAD
    assert not set(now.values()) & set(ids.values())
    admin("test")
    admin("plan", "--exit-code")


def test_stop_takes_the_workload_only(admin: Admin[TestLab]) -> None:
    """Stands on test_up_deploys."""
    deployed = look(admin)
    refusal = admin("stop", code=1)
    assert "needs a confirmation" in refusal.err
    document = admin.json("stop", "--yes")
    assert document["kept"] == "images, models, mounts and host settings are kept"
    stopped = look(admin)
    assert containers(admin.lab) == {}
    assert [node.sections["volumes"] for node in stopped] == [{}, {}]
    assert lasting(lambda: differences(less(deployed, *OF_WORKLOAD), less(look(admin), *OF_WORKLOAD))) == []
    gone = [line for line in differences(deployed, stopped) if re.search(" (files|contents): ", line)]
    assert [line for line in gone if not line.split(": ")[1].startswith(("/tmp", "/dev/shm", LOCKS, KEPT))] == []
    assert admin.json("status", code=2)["state"] == "not deployed"
    assert "nothing to remove" in admin("stop", "--yes").out


def test_up_after_stop_starts_the_workload_only(admin: Admin[TestLab]) -> None:
    """Stands on test_stop_takes_the_workload_only and test_up_deploys."""
    document = admin.json("up", "--yes")
    layers = {item["id"]: item["layer"] for item in document["items"]}
    assert {layers[key] for key in changed(document)} == {"workload"}
    admin("test")


def test_down_leaves_images_and_model_and_says_so(admin: Admin[TestLab], before: list[Snapshot]) -> None:
    """Stands on test_up_after_stop_starts_the_workload_only."""
    ran = admin("down", "--yes")
    assert re.search("images, models and packages are kept; sparkctl down .*--purge removes them", ran.out)
    after = look(admin)
    kept = (f"/home/nvidia/.sparkctl/{admin.lab.lab.name}", "/home/nvidia/.cache/huggingface")
    above = {"/home/nvidia/.sparkctl", "/home/nvidia/.cache"}

    def left() -> list[str]:
        found = differences(less(before, "images"), less([node.without(*kept) for node in look(admin)], "images"))
        return [line for line in found if line.split(": ")[1] not in above]

    assert lasting(left) == []
    for node in after:
        assert node.sections["images"].keys() == {"registry.lab:5000/sparklab/vllm-cpu:0.32.0"}
        records = {path for path in node.sections["contents"] if path.startswith(kept[0])}
        assert {Path(path).name for path in records} <= {"images", "looks", "folders", "copies"} | MODEL_RECORDS
    assert "nothing to remove" in admin("down", "--yes").out


def test_purge_leaves_no_trace(admin: Admin[TestLab], before: list[Snapshot]) -> None:
    """Stands on test_down_leaves_images_and_model_and_says_so."""
    assert "nothing is kept" in admin("down", "--purge", "--yes").out
    assert lasting(lambda: differences(before, look(admin))) == []
    assert "nothing to remove" in admin("down", "--purge", "--yes").out


MODEL_RECORDS = {"models--sparklab--tiny-llama", "models--sparklab--tiny-llama@main.json"}


def drifted(admin: Admin[TestLab], *expected: tuple[str, str]) -> None:
    """Both status and plan name each step with those words, and status exits with 2."""
    status = admin.json("status", code=2)
    assert status["state"] == "drifted"
    seen = {node["name"]: node["differences"] for node in status["nodes"]}
    plan = {item["id"]: item for item in admin.json("plan", "--exit-code", code=2)["items"]}
    page = admin("status", code=2).out
    for key, words in expected:
        step, _, node = key.partition("@")
        assert any(line.startswith(f"{step}: ") and words in line for line in seen[node]), seen
        assert plan[key]["finding"] in ("drifted", "absent"), plan[key]
        assert words in page or words == "missing"


def changed(document: dict[str, object]) -> set[str]:
    """The steps of a run that changed something."""
    run = document["run"]
    assert isinstance(run, dict)
    assert run["outcome"] == "done"
    return {step["id"] for step in run["steps"] if step["outcome"] == "changed"}


@contextmanager
def verbose_sshd(lab: TestLab) -> Iterator[None]:
    """Let every node's sshd log the sessions that it starts, and forget what it logged before."""
    path = "/etc/ssh/sshd_config.d/00-verbose.conf"
    for machine in lab.nodes:
        machine.root("sh", "-c", f"echo LogLevel VERBOSE > {path} && systemctl reload ssh")
        machine.root("sh", "-c", "journalctl --sync -q && journalctl --rotate -q && journalctl --vacuum-time=1us -q")
    try:
        yield
    finally:
        for machine in lab.nodes:
            machine.root("sh", "-c", f"rm {path} && systemctl reload ssh")


def sshd_log(machine: Machine) -> str:
    """What sshd logged since `verbose_sshd`."""
    return machine.root("sh", "-c", "journalctl --sync -q && journalctl -q -t sshd -o cat --no-pager")
