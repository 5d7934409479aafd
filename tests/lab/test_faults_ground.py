"""What is wrong with a node, its engine, images or neighbours: seen before anything is changed, or soon after."""

from pathlib import Path

import pytest
from faults import (
    CLUSTER,
    ENGINE,
    NORAY,
    WRONGARCH,
    Deployment,
    assert_clear,
    assert_ok,
    containers,
    runs,
    until,
    untouched,
)

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("bare")]


def test_docker_stopped_is_started(deploy: Deployment) -> None:
    worker = deploy.lab.worker
    with worker.docker_stopped():
        assert_clear(deploy("plan", "--until", "host"), 0, "spark-2", "start the Docker engine")
        assert worker.root("systemctl", "is-active", "docker", check=False).strip() == "inactive"
        assert_clear(deploy("up", "-y", "--until", "host"), 0, "docker", "spark-2")
        assert worker.root("systemctl", "is-active", "docker").strip() == "active"
    assert_clear(deploy("up", "-y", "--until", "host"), 0, "no changes")


def test_gpu_held_by_a_stranger(deploy: Deployment) -> None:
    with untouched(*deploy.lab.nodes), deploy.lab.worker.holding_gpu():
        result = deploy("up", "-y")
        assert_clear(result, 1, "host@spark-2", "held by python3 (pid 4242, 20480 MiB)", "sudo kill 4242")
    assert_ok(deploy("plan"))


def test_no_room_for_the_model_is_seen_by_the_plan(deploy: Deployment) -> None:
    head = deploy.lab.head
    head.ssh("mkdir ~/.cache")
    try:
        with untouched(*deploy.lab.nodes), head.full("/home/nvidia/.cache"):
            result = deploy("up", "-y")
            disk = "the disk of /home/nvidia/.cache/huggingface has"
            assert_clear(result, 1, "host@spark-1", disk, "GiB are needed", "docker system df")
    finally:
        head.ssh("rmdir ~/.cache")


def test_disk_that_fills_up_is_named_by_the_step_that_met_it(deploy: Deployment) -> None:
    options = ("up", "-y", "--until", "image")
    with deploy.lab.head.full("/var/lib/docker/tmp"):
        result = deploy(*options, profile=small(deploy))
        assert_clear(result, 1, "image@spark-1", "no space left", "docker system df")
    assert_clear(deploy(*options, profile=small(deploy)), 0, "done")


def test_port_taken_by_a_program(deploy: Deployment) -> None:
    head = deploy.lab.head
    listener = "import socket, time; s = socket.create_server(('0.0.0.0', 8000)); time.sleep(600)"
    pid = head.ssh(f'nohup python3 -c "{listener}" >/dev/null 2>&1 & echo $!').stdout.strip()
    try:
        until(lambda: ":8000 " in head.ssh("ss -Htln").stdout)
        with untouched(*deploy.lab.nodes):
            result = deploy("up", "-y")
            assert_clear(result, 1, "port 8000, wanted by vllm, is held by python3", f"pid {pid}", f"sudo kill {pid}")
    finally:
        head.ssh(f"kill {pid}")
    until(lambda: ":8000 " not in head.ssh("ss -Htln").stdout)
    assert_ok(deploy("plan"))


def test_registry_unreachable(deploy: Deployment) -> None:
    with deploy.lab.depot_stopped():
        result = deploy("up", "-y", "--until", "image", profile=deploy.profile(image={"ref": WRONGARCH}))
        assert_clear(result, 1, f"could not pull {WRONGARCH}", "image@spark-1", "the head cannot reach the registry")


def test_image_of_another_architecture(deploy: Deployment) -> None:
    profile = deploy.profile(image={"ref": WRONGARCH})
    result = deploy("up", "-y", "--until", "image", profile=profile)
    assert_clear(result, 1, f"{WRONGARCH} is built for ", "and spark-1 is", "VLLM_IMAGE or image.ref")
    assert_clear(deploy("plan", profile=profile), 1, "is built for", "blocked")
    assert not containers(deploy.lab.head, CLUSTER)


def test_image_that_is_not_there(deploy: Deployment) -> None:
    result = deploy("up", "-y", "--until", "image", profile=deploy.profile(image={"ref": f"{ENGINE}-none"}))
    assert_clear(result, 1, f"could not pull {ENGINE}-none", "the registry has no such tag")


def test_image_without_ray(deploy: Deployment) -> None:
    profile = deploy.profile(image={"ref": NORAY}, engine={"backend": "ray"})
    result = deploy("up", "-y", profile=profile)
    assert_clear(
        result, 1, "image-check@spark-1", f"{NORAY} holds vLLM 0.32.0 and no Ray", "engine.backend to mp or auto"
    )
    assert not containers(deploy.lab.head, CLUSTER)


def test_two_admins_at_once(deploy: Deployment, tmp_path: Path) -> None:
    """The second is told who is at work; the first goes on undisturbed, and after it the way is free."""
    lab, second = deploy.lab, Deployment(deploy.lab, tmp_path / "second")
    second.folder.mkdir()
    lab.head.ssh("rm -rf ~/.cache/huggingface/hub")
    with deploy.started("up", "-y", "--until", "model", profile=small(deploy)) as first:
        with lab.slow_hub(4_000):
            first.wait_for(lambda: runs(lab.head, "one revision of a model"))
            for verb in ("up", "stop", "down"):
                result = second(verb, "-y")
                assert_clear(result, 5, f"cluster {CLUSTER} is locked by", "who runs `sparkctl up`", "since 20")
            assert_ok(second("plan"))
            assert first.process.poll() is None
        assert_ok(first.result())
    assert_clear(second("up", "-y", "--until", "model", profile=small(second)), 0, "no changes")


def small(deploy: Deployment) -> Path:
    """A deployment whose image is pulled in seconds."""
    return deploy.profile(image={"ref": NORAY})
