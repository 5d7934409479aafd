"""Roles on one node: launched, told apart, switched, put back. The engine is a stand-in that fails as it is told.

The last test does it with the real one, beside a model on the other node. The tests stand in the order of a day.
"""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import stub
from faults import CLUSTER, STUB, Deployment, Result, assert_clear, assert_ok, containers
from machines import TestLab

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("bare", "prepared")]

MODEL = "sparklab/tiny-llama"
PREFIX = f"sparkctl-{CLUSTER}-vllm-"
LARGE = 0.46
"""Two of them are more than the 0.90 of a node's memory that engines may take."""


def role(port: int, share: float = 0.05, fault: str = "", **wish: object) -> dict[str, object]:
    """One role on the head."""
    engine = {"gpu_memory_utilization": share, "weights_gib": 0.1, "env": {"STUB_FAULT": fault} if fault else {}}
    return {
        "model": {"id": MODEL},
        "nodes": "head",
        "start": "demand",
        "engine": engine,
        "ports": {"api": port},
        "role": {"temperature": 0.1, **wish},
    }


ROLES = {
    "architect": role(8000, LARGE),
    "dev": role(8001, LARGE),
    "po": role(8002),
    "napper": role(8003, LARGE, sleep=True),
    "napper-two": role(8004, LARGE, sleep=True),
    "broken": role(8005, LARGE, "memory"),
    "slow": role(8006, fault="slow30"),
    "sick": role(8007, fault="completions"),
    "late": role(8008, LARGE, "slow30"),
}
HELPER = {"model": {"id": MODEL}, "nodes": [1], "ports": {"api": 8010}, "engine": {"weights_gib": 0.1}}


@pytest.fixture(scope="module")
def prepared(bare: None, lab: TestLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What `up` does: image and model on both nodes, the model that is no role serves."""
    stub.publish(lab.head)
    first = Deployment(lab, tmp_path_factory.mktemp("first"))
    assert_ok(first("up", "-y", profile=profile(first)))
    yield
    assert_ok(first("stop", "-y", profile=profile(first)))


def profile(deploy: Deployment, **changes: object) -> Path:
    """All the roles, some of them with `changes`."""
    models = {"helper": HELPER, **ROLES, **changes}
    return deploy.profile(
        image={"ref": STUB}, model=None, models=models, engine={"gpu_memory_utilization": 0.05, "overhead_gib": 0.1},
        timeouts={"ready_s": 60, "drain_s": 2},
    )  # fmt: skip


def act(deploy: Deployment, verb: str, *words: str) -> Result:
    """`sparkctl role VERB WORDS` against the deployment."""
    return deploy(f"role {verb}", *words, profile=profile(deploy))


def told(result: Result, code: int = 0) -> dict[str, Any]:
    assert result.returncode == code, result.stdout + result.stderr
    found = json.loads(result.stdout)
    assert isinstance(found, dict)
    return found


def states(deploy: Deployment) -> dict[str, str]:
    """What each role does, whatever the exit code says of it."""
    found = json.loads(act(deploy, "status", "--json").stdout)["roles"]
    return {each["role"]: each["state"] for each in found}


def running(deploy: Deployment) -> set[str]:
    return {name for name, state in states(deploy).items() if state == "running"}


def ids(lab: TestLab) -> dict[str, str]:
    return {name.removeprefix(PREFIX): id_ for name, id_ in containers(lab.head, PREFIX).items()}


def test_up_prepares_roles_and_starts_none(deploy: Deployment, lab: TestLab) -> None:
    assert set(states(deploy).values()) == {"stopped"}
    assert ids(lab) == {}
    assert containers(lab.worker, PREFIX).keys() == {f"{PREFIX}helper"}
    document = told(deploy("plan", "--json", profile=profile(deploy)))
    assert document["summary"]["create"] == document["summary"]["change"] == 0
    (memory,) = [item for item in document["items"] if item["id"] == "memory@spark-1"]
    assert memory["note"].count(MODEL) == len(ROLES), "each budget is weighed"


def test_a_role_is_launched_and_up_leaves_it_alone(deploy: Deployment, lab: TestLab) -> None:
    document = told(act(deploy, "launch", "architect", "--json", "-y"))
    assert (document["result"], document["switch"]["left"]) == ("done", [])
    assert running(deploy) == {"architect"}
    before = ids(lab)
    assert_clear(deploy("up", profile=profile(deploy)), 0, "no changes")
    assert_clear(act(deploy, "launch", "architect"), 0, "no changes")
    assert_clear(deploy("status", profile=profile(deploy)), 0, "vllm-architect")
    assert_clear(act(deploy, "logs", "architect"), 0, "Application startup complete")
    assert ids(lab) == before


def test_what_does_not_fit_is_refused(deploy: Deployment, lab: TestLab) -> None:
    before = ids(lab)
    said = act(deploy, "launch", "dev", "-y")
    assert_clear(said, 1, "dev 0.46 + architect 0.46 = 0.92", "0.9 is the most", "let architect make room: sparkctl")
    assert_clear(act(deploy, "switch", "dev"), 1, "needs a confirmation")
    assert_clear(act(deploy, "launch", "dve"), 3, "there is no role dve; did you mean dev?")
    assert ids(lab) == before


def test_switch_says_how_long_nobody_answered(deploy: Deployment) -> None:
    switch = told(act(deploy, "switch", "dev", "--json", "-y"))["switch"]
    assert (switch["to"], switch["left"], switch["slept"]) == ("dev", ["architect"], [])
    assert 0 < switch["gap"] <= switch["seconds"]
    assert running(deploy) == {"dev"}


def test_what_fits_stays(deploy: Deployment) -> None:
    assert_ok(act(deploy, "launch", "po", "-y"))
    switch = told(act(deploy, "launch", "architect", "--switch", "--json", "-y"))["switch"]
    assert (switch["left"], switch["gap"]) == (["dev"], 0.0), "po answers all the time"
    assert running(deploy) == {"architect", "po"}


@pytest.mark.parametrize(("name", "word"), [("broken", "Free memory on device"), ("slow", "no token within 2 s")])
def test_a_role_that_does_not_come_up_gives_the_place_back(deploy: Deployment, name: str, word: str) -> None:
    alone = ("--alone",) if name == "slow" else ()
    said = act(deploy, "switch", name, "--timeout", "2" if name == "slow" else "60", "-y", *alone)
    assert_clear(said, 1, word, f"{name} did not come up")
    assert ("architect serves again" in said.stdout) == (name == "broken"), "only what had to make room was away"
    assert running(deploy) == {"architect", "po"}
    assert states(deploy)[name] == "stopped"


def test_ctrl_c_in_the_middle_of_a_switch_gives_the_place_back(deploy: Deployment, lab: TestLab) -> None:
    with deploy.started("role switch", "late", "-y", profile=profile(deploy)) as switch:
        switch.wait_for(lambda: "late" in ids(lab))
        switch.interrupt()
        assert_clear(switch.result(), 130, "late did not come up", "architect serves again")
    assert running(deploy) == {"architect", "po"}
    assert states(deploy)["late"] == "stopped"


def test_a_change_that_fails_leaves_the_role_as_it_was(deploy: Deployment, lab: TestLab) -> None:
    worse = profile(deploy, architect=role(8000, LARGE, "memory"))
    assert_clear(deploy("role launch", "architect", "-y", profile=worse), 1, "Free memory on device", "was put back")
    assert running(deploy) == {"architect", "po"}
    assert_clear(act(deploy, "launch", "architect"), 0, "no changes")


def test_loading_unhealthy_and_crashed_are_told_apart(deploy: Deployment, lab: TestLab) -> None:
    with deploy.started("role launch", "slow", "-y", profile=profile(deploy)) as launch:
        launch.wait_for(lambda: "slow" in ids(lab))
        assert states(deploy)["slow"] == "loading"
        assert_ok(launch.result())
    assert_clear(act(deploy, "launch", "sick", "-y"), 1, "a completion answers 500", "InvalidCxxCompiler")
    child = f"-P $(docker inspect -f '{{{{.State.Pid}}}}' {PREFIX}po)"
    lab.head.root("sh", "-c", f"pkill -STOP {child}")
    said = act(deploy, "status")
    lab.head.root("sh", "-c", f"pkill -CONT {child}")
    assert_clear(said, 2, "the API has answered, and does not any more", "next: sparkctl role launch")
    lab.head.root("docker", "pause", f"{PREFIX}po")
    assert states(deploy)["po"] == "unhealthy"
    lab.head.root("docker", "unpause", f"{PREFIX}po")
    lab.head.root("docker", "kill", f"{PREFIX}po")
    assert_clear(act(deploy, "status", "po"), 2, "crashed", "exited with status 137")
    assert_ok(act(deploy, "launch", "po", "-y"))
    assert running(deploy) == {"architect", "po", "slow"}


def test_alone_stops_the_others_once_it_answers(deploy: Deployment, lab: TestLab) -> None:
    switch = told(act(deploy, "switch", "po", "--alone", "--json", "-y"))["switch"]
    assert (sorted(switch["left"]), switch["gap"]) == (["architect", "slow"], 0.0)
    assert_ok(act(deploy, "stop", "po", "-y"))
    assert ids(lab) == {}


def test_roles_that_sleep_stay_resident(deploy: Deployment, lab: TestLab) -> None:
    assert_ok(act(deploy, "launch", "napper", "-y"))
    first = told(act(deploy, "switch", "napper-two", "--json", "-y"))["switch"]
    assert (first["left"], first["slept"]) == (["napper"], ["napper"])
    before = ids(lab)
    assert before.keys() == {"napper", "napper-two"}
    assert (states(deploy)["napper"], states(deploy)["napper-two"]) == ("asleep", "running")
    second = told(act(deploy, "switch", "napper", "--json", "-y"))["switch"]
    print(f"both resident: {second['seconds']} s")
    assert second["slept"] == ["napper-two"]
    assert (states(deploy)["napper"], states(deploy)["napper-two"]) == ("running", "asleep")
    assert ids(lab) == before, "nobody was started anew"
    third = told(act(deploy, "switch", "dev", "--json", "-y"))["switch"]
    assert third["left"] == ["napper"], "the one that sleeps already has made room"
    assert running(deploy) == {"dev"}


def test_who_hangs_is_ended_rather_than_asked_to_sleep(deploy: Deployment, lab: TestLab) -> None:
    assert_ok(act(deploy, "switch", "napper", "-y"))
    lab.head.root("sh", "-c", f"pkill -STOP -P $(docker inspect -f '{{{{.State.Pid}}}}' {PREFIX}napper)")
    switch = told(act(deploy, "switch", "dev", "--json", "-y"))["switch"]
    assert (switch["left"], switch["slept"]) == (["napper"], [])
    assert running(deploy) == {"dev"}


def test_the_real_engine_beside_another_model(deploy: Deployment, lab: TestLab) -> None:
    """A model on each node; a request that names no temperature gets that of the role."""
    assert_ok(deploy("stop", "-y", profile=profile(deploy)))
    assert_ok(shipped(deploy, "up", "-y"))
    assert_ok(shipped(deploy, "role launch", "architect", "-y"))
    assert_ok(shipped(deploy, "test"))
    assert_ok(shipped(deploy, "role test", "architect"))
    access = told(shipped(deploy, "credentials", "architect", "--json"))
    own, named, hot = (complete(access, **more) for more in ({}, {"temperature": 0.1}, {"temperature": 2.0}))
    assert own == named != hot
    switch = told(shipped(deploy, "role switch", "dev", "--json", "-y"))["switch"]
    assert switch["left"] == ["architect"]
    assert_ok(shipped(deploy, "role test", "dev"))
    assert_ok(shipped(deploy, "test"))
    lab.head.root("sh", "-c", f"pkill -KILL -P $(pgrep -P $(docker inspect -f '{{{{.State.Pid}}}}' {PREFIX}dev))")
    lab.head.ssh(f"docker wait {PREFIX}dev")
    crashed = shipped(deploy, "role status", "dev")
    assert_clear(crashed, 2, "crashed", "vllm-dev exited with status 0", "next: sparkctl role logs")
    assert_ok(shipped(deploy, "stop", "-y"))


def shipped(deploy: Deployment, verb: str, *words: str) -> Result:
    """A verb with the profile lab-roles as it is shipped."""
    return deploy(verb, *words, profile=Path("lab-roles"), limit=600)


def complete(access: dict[str, Any], **more: float) -> str:
    """Tokens drawn with the same seed: what differs is how they are drawn."""
    body = {"model": access["model"], "prompt": "Hello", "max_tokens": 16, "seed": 7, **more}
    head = {"Authorization": f"Bearer {access['api_key']}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{access['base_url']}/completions", json.dumps(body).encode(), head)
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    return str(json.load(direct.open(request, timeout=60))["choices"][0]["text"])
