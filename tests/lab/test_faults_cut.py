"""Runs that are broken off in the middle: nothing is left at work on the nodes, and the next up finishes the job.

The tests stand in the order in which a deployment goes on: after the fabric was cut the head has the engine's image.
"""

import signal

import pytest
from faults import REGISTRY, Deployment, Running, assert_clear, cut_sessions, nothing_left, runs
from machines import TestLab

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("bare")]


def pulling(lab: TestLab, run: Running) -> None:
    """Return in the middle of the pull: some of a layer has come."""
    some = "find /var/lib/docker/tmp -name 'GetImageBlob*' -size +20M"
    run.wait_for(lambda: bool(lab.head.root("sh", "-c", some, check=False).strip()))


def pulling_together(lab: TestLab, run: Running) -> None:
    """Return while the worker's engine pulls from the head."""
    run.wait_for(lambda: runs(lab.worker, "pull an image from the relay"))
    pulling(lab, run)


def assert_no_strange_names(lab: TestLab) -> None:
    """What the relay calls an image is nobody's name for it afterwards."""
    for machine in lab.nodes:
        assert "127.0.0.1" not in machine.ssh("docker images --digests -a").stdout


def carrying(lab: TestLab, run: Running) -> None:
    """Return while the worker's engine takes the image in."""
    run.wait_for(lambda: runs(lab.worker, "docker load"))


def test_connection_cut_while_pulling_is_mended_under_the_same_lock(deploy: Deployment) -> None:
    lab = deploy.lab
    with deploy.started("up", "-y", "--until", "image") as run:
        pulling(lab, run)
        cut_sessions(lab.head)
        run.wait_for(lambda: "trying again" in run.said())
        run.wait_for(lambda: runs(lab.head, "sleep infinity"))
        assert_clear(deploy("up", "-y"), 5, "is locked by")
        pulling_together(lab, run)


def test_sigkill_leaves_nothing_at_work(deploy: Deployment) -> None:
    lab = deploy.lab
    with nothing_left(lab), deploy.started("up", "-y", "--until", "image") as run:
        pulling_together(lab, run)
        run.process.send_signal(signal.SIGKILL)
    assert_clear(deploy("plan", "--until", "image"), 0, "on spark-1 and spark-2 at once")
    assert_no_strange_names(lab)


def test_interrupt_stops_cleanly(deploy: Deployment) -> None:
    lab = deploy.lab
    with nothing_left(lab), deploy.started("up", "-y", "--until", "image") as run:
        pulling_together(lab, run)
        run.interrupt()
        result = run.result(150)
        assert_clear(result, 130, "stopping the running steps", "image@spark-1 stopped", "interrupted", "sparkctl up")
    assert_no_strange_names(lab)


def test_second_interrupt_leaves_at_once(deploy: Deployment) -> None:
    lab = deploy.lab
    with nothing_left(lab), deploy.started("up", "-y", "--until", "model") as run, lab.slow_hub(1):
        run.wait_for(lambda: runs(lab.head, "one revision of a model"))
        run.interrupt()
        run.wait_for(lambda: "Ctrl-C again" in run.said())
        run.interrupt()
        assert_clear(run.result(60), 130, "interrupted")


def test_fabric_cut_while_both_pull(deploy: Deployment) -> None:
    """The head goes on, and the worker's part fails only when it cannot be carried either."""
    lab = deploy.lab
    with nothing_left(lab, 90), deploy.started("up", "-y", "--until", "image") as run:
        pulling_together(lab, run)
        with lab.worker.link_down():
            result = run.result(300)
    assert_clear(result, 1, "spark-2 does not pull from spark-1", "could not carry", "image@spark-2")
    assert_clear(result, 1, "check the fabric: sparkctl doctor")
    assert_no_strange_names(lab)
    assert (
        REGISTRY in lab.head.ssh("docker images --digests --format '{{.Repository}} {{.Digest}}' | grep sha256").stdout
    )


def test_node_dies_during_up(deploy: Deployment) -> None:
    lab = deploy.lab
    with deploy.started("up", "-y", "--until", "image") as run:
        carrying(lab, run)
        with lab.worker.killed():
            assert_clear(run.result(240), 4, "image@spark-2", "spark-2 (nvidia@", "trying again", "is it switched on")


def test_next_up_finishes(deploy: Deployment) -> None:
    """By carrying, as the head has the image."""
    assert_clear(deploy("up", "-y", "--until", "model"), 0, "done")
    assert_clear(deploy("up", "-y", "--until", "model"), 0, "no changes")
