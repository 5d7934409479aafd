"""Engines found by name: ours, and one that another package brings."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sparkctl.engines import registry, vllm
from sparkctl.engines.engine import Backend
from sparkctl.errors import SparkctlError

FOREIGN = """
from sparkctl.engines.vllm import *
from sparkctl.engines.vllm import API, FAILURES, LACKS, LOOK, OWNED, STORE
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A distribution that is installed beside sparkctl, with two entry points."""
    info = tmp_path / "theirs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    points = "theirs = their_engine\nbroken = their_gap\nabsent = no_such_module\n"
    (info / "entry_points.txt").write_text(f"[{registry.GROUP}]\n{points}")
    (tmp_path / "their_engine.py").write_text(FOREIGN)
    (tmp_path / "their_gap.py").write_text("API = STORE = LOOK = OWNED = None\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in ("their_engine", "their_gap"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("name", registry.ENGINES)
def test_ours_have_every_member(name: str) -> None:
    engine = registry.engine(name)
    assert all(hasattr(engine, member) for member in registry.MEMBERS)


def test_an_entry_point_is_an_engine_like_ours(package: Path) -> None:
    assert registry.engine("theirs").services is vllm.services
    assert registry.names()[-3:] == ("theirs", "broken", "absent")


def test_an_engine_that_is_none_is_refused_with_what_it_lacks(package: Path) -> None:
    with pytest.raises(SparkctlError, match="lacks LACKS, FAILURES, backends, rank_secret, services"):
        registry.engine("broken")
    with pytest.raises(SparkctlError, match="cannot be loaded: No module named 'no_such_module'"):
        registry.engine("absent")


def test_an_unknown_name_hears_the_nearest() -> None:
    with pytest.raises(SparkctlError, match="did you mean vllm") as refused:
        registry.engine("vlm")
    assert "vllm" in refused.value.fix


@pytest.mark.parametrize(
    ("wished", "nodes", "found"),
    [
        ("auto", 1, (Backend.MP,)),
        ("auto", 2, (Backend.RAY, Backend.MP)),
        ("mp", 2, (Backend.MP,)),
        ("ray", 2, (Backend.RAY,)),
    ],
)
def test_vllm_may_run_on(wished: str, nodes: int, found: tuple[Backend, ...]) -> None:
    assert vllm.backends(wished, nodes) == found


@pytest.mark.parametrize(
    ("name", "nodes", "found"),
    [
        ("sglang", 1, (Backend.MP,)),
        ("sglang", 4, (Backend.MP,)),
        ("trtllm", 1, (Backend.MP,)),
        ("trtllm", 2, (Backend.MPI,)),
        ("ollama", 1, (Backend.MP,)),
    ],
)
def test_others_have_no_choice(name: str, nodes: int, found: tuple[Backend, ...]) -> None:
    assert registry.engine(name).backends("auto", nodes) == found


@pytest.mark.parametrize(
    ("name", "wished", "nodes", "accepted"),
    [
        ("vllm", "mpi", 2, "ray, mp or auto"),
        ("sglang", "ray", 2, "mp or auto"),
        ("trtllm", "ray", 2, "mpi or auto"),
        ("ollama", "mp", 1, "auto"),
        ("ollama", "auto", 2, "auto, on one node: Ollama does not share a model between nodes"),
    ],
)
def test_what_an_engine_cannot_do_is_said(name: str, wished: str, nodes: int, accepted: str) -> None:
    with pytest.raises(ValueError) as refused:
        registry.engine(name).backends(wished, nodes)
    assert str(refused.value) == accepted
