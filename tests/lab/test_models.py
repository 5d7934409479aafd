"""Models and images as things one manages, on nodes with a real engine and a real hub (docs/models.md).

A download that is cut and resumed is in test_faults_cut.py.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from faults import NORAY, Deployment, assert_clear, assert_ok
from machines import Machine

from sparkctl.lab import depot

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("bare")]

TINY, GATED = depot.MODEL, depot.GATED_MODEL
HUB = "/home/nvidia/.cache/huggingface/hub"


def small(deploy: Deployment) -> Path:
    """A deployment whose image comes in seconds."""
    return deploy.profile(image={"ref": NORAY})


def folder(model: str) -> str:
    return f"{HUB}/models--{model.replace('/', '--')}"


def blob_of(machine: Machine, file: str) -> str:
    return machine.ssh(f"readlink -f {folder(TINY)}/snapshots/*/{file}").stdout.strip()


def test_a_corrupt_file_is_found_named_removed_and_fetched_again(deploy: Deployment) -> None:
    profile = small(deploy)
    assert_clear(deploy("model pull", profile=profile), 0, "done")
    assert_clear(deploy("model verify", "-q", profile=profile), 0, f"{TINY} on spark-1", f"{TINY} on spark-2")
    weights, config = blob_of(deploy.lab.head, "model.safetensors"), blob_of(deploy.lab.worker, "config.json")
    deploy.lab.head.ssh(f"printf X | dd of={weights} bs=1 seek=1000 conv=notrunc status=none")
    deploy.lab.worker.ssh(f"rm {config}")
    assert_clear(
        deploy("model verify", "-q", profile=profile),
        2,
        "model.safetensors: corrupt",
        "config.json: missing",
        "where: spark-1, spark-2",
        f"{TINY} --repair",
    )
    repaired = deploy("model verify", "--repair", profile=profile)
    assert_clear(repaired, 0, f"remove 1 bad file of {TINY}", "next: sparkctl model pull")
    assert_clear(deploy("model pull", profile=profile), 0, "done")
    assert_clear(deploy("model verify", "-q", profile=profile), 0)
    assert_clear(deploy("model pull", profile=profile), 0, "no changes")


def test_what_is_pinned_is_fetched_and_a_moved_pin_is_noted(deploy: Deployment) -> None:
    profile = small(deploy)
    assert_clear(deploy("image pull", profile=profile), 0, "done")
    assert_clear(deploy("model pin", profile=profile), 0, f"{TINY} at main: ", "wrote ")
    lock = deploy.folder / "sparkctl.lock"
    pinned = json.loads(lock.read_text())
    commit = pinned["models"][TINY]["main"]
    assert_clear(deploy("model pull", profile=profile), 0, "no changes")
    assert_clear(deploy("image pull", profile=profile), 0, "no changes")
    other = "0" * 40
    lock.write_text(json.dumps({**pinned, "models": {TINY: {"main": other}}}))
    assert_clear(deploy("model pull", profile=profile), 1, f"the hub has no {TINY} at revision {other}")
    assert_clear(
        deploy("model pin", profile=profile), 0, f"by now it is {commit}; sparkctl model pin", "--update moves"
    )
    assert_clear(deploy("model pin", "--update", profile=profile), 0, f"{TINY} at main: {commit} (was {other})")
    assert json.loads(lock.read_text()) == pinned


def test_what_is_in_use_stays_and_the_rest_is_pruned(deploy: Deployment) -> None:
    profile, env = small(deploy), deploy.env_file(HF_TOKEN=depot.GATE_TOKEN)
    assert_clear(deploy("model pull", GATED, profile=profile, env=env), 0, "done")
    assert_ok(deploy("image pull", profile=profile, env=env))
    with reader(deploy.lab.worker):
        assert_clear(
            deploy("model prune", GATED, "-y", profile=profile, env=env),
            1,
            f"{GATED} is in use by reader on spark-2; nothing was removed",
        )
        listed = deploy("model list", profile=profile, env=env)
        assert_clear(listed, 0, f"{GATED}  (no profile)", "in use by reader")
        pruned = deploy("model prune", "-y", profile=profile, env=env)
        assert_clear(pruned, 0, "spark-1", f"remove {GATED}")
        assert deploy.lab.worker.ssh(f"ls {folder(GATED)}").stdout
    assert_clear(deploy("model prune", "-y", profile=profile, env=env), 0, "spark-2", "done")
    for machine in deploy.lab.nodes:
        assert machine.ssh(f"ls -d {HUB}/models--*").stdout.split() == [folder(TINY)]
    assert_clear(deploy("model verify", "-q", profile=profile, env=env), 0)


def test_images_that_were_brought_go_when_no_profile_names_them(deploy: Deployment) -> None:
    assert_ok(deploy("image pull", profile=small(deploy)))
    assert_clear(deploy("image list", profile=small(deploy)), 0, f"{NORAY}  (broken)", "spark-1", "spark-2")
    assert_clear(deploy("image prune", "-y", profile=small(deploy)), 0, "nothing to remove")
    with reader(deploy.lab.head):
        pruned = deploy("image prune", "-y")
        assert_clear(pruned, 0, f"remove {NORAY}", "done")
        assert NORAY in images(deploy.lab.head)
    assert NORAY not in images(deploy.lab.worker)
    assert_clear(deploy("image prune", "-y"), 0, f"remove {NORAY}")
    assert NORAY not in images(deploy.lab.head)


def images(machine: Machine) -> list[str]:
    return machine.ssh("docker images --format '{{.Repository}}:{{.Tag}}'").stdout.split()


@contextmanager
def reader(machine: Machine) -> Iterator[None]:
    """Somebody's container that reads the model cache."""
    machine.ssh(f"docker run -d --name reader -v {HUB}:/models:ro --entrypoint sleep {NORAY} 600")
    try:
        yield
    finally:
        machine.ssh("docker rm -f reader")
