"""A lab of its own for the tests of this folder, made once and removed at the end.

SPARKCTL_TEST_LAB names a running lab to use instead, which is left as it is.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults import CLUSTER, Deployment, assert_ok
from machines import Machine, SparkctlRunner, TestLab, look_at
from virtual import running

from sparkctl.lab import lifecycle
from sparkctl.lab.progress import Event
from sparkctl.lab.spec import Lab, LabSpec

NAME = "sparktest"
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test of this folder that takes the lab carries its mark."""
    for item in items:
        if HERE in item.path.parents and "lab" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.lab)


@pytest.fixture(scope="session")
def lab() -> Iterator[TestLab]:
    """Two simulated Sparks that any test may break, as long as it mends them."""
    if name := os.environ.get("SPARKCTL_TEST_LAB"):
        yield look_at(lifecycle.find(name))
        return
    try:
        yield look_at(lifecycle.up(LabSpec(NAME), _say))
    finally:
        lifecycle.down(NAME, _say)


@pytest.fixture(scope="session")
def vm_lab() -> Iterator[Lab]:
    """Two virtual machines, booted once for all tests of the mark vm."""
    with running() as lab:
        yield lab


@pytest.fixture
def sparkctl(lab: TestLab) -> SparkctlRunner:
    """The program itself, run against the lab as a user does."""
    return SparkctlRunner(lab)


@pytest.fixture
def deploy(lab: TestLab, tmp_path: Path) -> Deployment:
    """The program with a configuration that a test may spoil, under a cluster name of its own."""
    return Deployment(lab, tmp_path)


@pytest.fixture(scope="module")
def bare(lab: TestLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing of the spoilt deployment is there before the first test of a module, nor after the last."""
    purge = Deployment(lab, tmp_path_factory.mktemp("bare"))
    assert_ok(purge("down", "--purge", "-y"))
    before = [_belongings(machine) for machine in lab.nodes]
    yield
    assert_ok(purge("down", "--purge", "-y"))
    assert [_belongings(machine) for machine in lab.nodes] == before


def _belongings(machine: Machine) -> str:
    """Containers, images by id, and what a deployment keeps in the home of the user."""
    names, images = "docker ps -a --format '{{.Names}}'", "docker images -aq --no-trunc | sort -u"
    return machine.ssh(f"{names}; {images}; ls -d ~/.sparkctl/{CLUSTER}; find ~/.cache", check=False).stdout


def _say(event: Event) -> None:
    print(event, flush=True)
