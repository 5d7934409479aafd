"""A lab of its own for the tests of this folder, made once and removed at the end.

SPARKCTL_TEST_LAB names a running lab to use instead, which is left as it is.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from machines import SparkctlRunner, TestLab, look_at

from sparkctl.lab import lifecycle
from sparkctl.lab.progress import Event
from sparkctl.lab.spec import LabSpec

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


@pytest.fixture
def sparkctl(lab: TestLab) -> SparkctlRunner:
    """The program itself, run against the lab as a user does."""
    return SparkctlRunner(lab)


def _say(event: Event) -> None:
    print(event, flush=True)
