"""Engines that do not come up: a stand-in where it fails in the same way, the real one where it must be real."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import stub
from faults import CLUSTER, STUB, Deployment, assert_clear, assert_ok, containers
from machines import TestLab

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("bare")]


@pytest.fixture(scope="module")
def stubbed(bare: None, lab: TestLab) -> None:
    stub.publish(lab.head)


def alone(deploy: Deployment, fault: str = "") -> Path:
    """The stand-in on the head alone."""
    engine = {"env": {"STUB_FAULT": fault}}
    return deploy.profile(image={"ref": STUB}, engine=engine, nodes=1, timeouts={"ready_s": 60, "drain_s": 2})


@pytest.mark.usefixtures("stubbed")
def test_foreign_container_with_our_name_is_never_touched(deploy: Deployment) -> None:
    head, name = deploy.lab.head, f"sparkctl-{CLUSTER}-vllm"
    assert_ok(deploy("up", "-y", "--until", "model", profile=alone(deploy)))
    theirs = head.ssh(f"docker run -d --name {name} {STUB} sleep 600").stdout.strip()
    try:
        result = deploy("up", "-y", profile=alone(deploy))
        assert_clear(result, 1, f"a container named {name} ({theirs[:12]})", "did not make", "rename or remove it")
        for verb in ("stop", "down"):
            assert_ok(deploy(verb, "-y", profile=alone(deploy)))
        assert containers(head, name) == {name: theirs}
        assert head.ssh(f"docker inspect -f '{{{{.State.Running}}}}' {theirs}").stdout == "true\n"
    finally:
        head.ssh(f"docker rm -f {theirs}")


@pytest.mark.usefixtures("stubbed")
def test_engine_that_exits_while_loading_is_answered_with_its_fix(deploy: Deployment) -> None:
    result = deploy("up", "-y", profile=alone(deploy, "memory"))
    assert_clear(
        result, 1, "vllm ended with status 1 while loading", "Free memory on device cuda:0", "GPU_MEMORY_UTIL"
    )
    assert_clear(deploy("up", "-y", profile=alone(deploy)), 0, "done")


@pytest.mark.usefixtures("stubbed")
def test_health_is_fine_and_the_first_request_fails(deploy: Deployment) -> None:
    """What served before, at the end of the test above, is put back."""
    result = deploy("up", "-y", profile=alone(deploy, "completions"))
    words = ("/health is fine, a completion answers 500", "no g++", "add --enforce-eager", "was put back")
    assert_clear(result, 1, *words)
    assert_clear(deploy("status", profile=alone(deploy, "completions")), 2)
    assert_clear(deploy("up", "-y", profile=alone(deploy)), 0, "no changes")


@pytest.mark.usefixtures("stubbed")
def test_worker_without_ray_falls_to_mp(deploy: Deployment) -> None:
    """The image holds no Ray: once that is seen, `auto` plans ranks of vLLM's own, and neither Ray nor a fault."""
    profile = deploy.profile(image={"ref": STUB})
    assert_ok(deploy("up", "-y", "--until", "image", profile=profile))
    result = deploy("plan", "--json", profile=profile)
    assert_ok(result)
    items = {item["id"]: item for item in json.loads(result.stdout)["items"]}
    started = [action["summary"] for action in items["vllm@spark-1"]["actions"]]
    assert f"start container sparkctl-{CLUSTER}-vllm-rank1 on spark-2" in started
    ray = [items[name] for name in ("ray-head@spark-1", "ray-worker@spark-2", "ray-join@spark-1")]
    assert [(item["finding"], item["note"]) for item in ray] == [("ok", "not used")] * 3


@pytest.fixture
def deaf(lab: TestLab) -> Iterator[None]:
    """The head drops what the worker says to Ray."""
    rule = ("INPUT", "-p", "tcp", "--dport", "6379", "-s", lab.worker.fabric_ip, "-j", "DROP")
    lab.head.root("iptables", "-I", *rule)
    try:
        yield
    finally:
        lab.head.root("iptables", "-D", *rule)


def test_worker_that_never_joins_is_named(deploy: Deployment, deaf: None) -> None:
    result = deploy("up", "-y", profile=deploy.profile(timeouts={"join_s": 20}, engine={"backend": "ray"}))
    assert_clear(result, 1, "ray-join@spark-1", "spark-2 did not join Ray", "spark-2")
    assert_clear(deploy("status"), 2)


def test_real_engine_that_refuses_an_argument(deploy: Deployment) -> None:
    result = deploy("up", "-y", "--set", "EXTRA_ARGS=--no-such-flag")
    assert_clear(result, 1, "vllm on spark-1", "unrecognized arguments: --no-such-flag", "EXTRA_ARGS")


def test_next_up_finishes_with_tokens(deploy: Deployment) -> None:
    assert_clear(deploy("up", "-y"), 0, "done", "answers at")
    assert_clear(deploy("test"), 0)
