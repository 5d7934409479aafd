"""A model as the script for a node brings it from a hub over real HTTP, and as the step sees what it brought."""

import subprocess
from pathlib import Path

import pytest
from homes import HomeNode
from hub_node import WEIGHTS, Node, at_a_hub

from sparkctl.core.actions import Script
from sparkctl.core.step import Absent, Drifted, Ok
from sparkctl.facts.probe import Facts, frame, unframe
from sparkctl.steps.model import ModelSource, ModelStep
from sparkctl.topology import Cluster, Role

FILES = {"config.json", "model.safetensors"}
node = pytest.fixture(at_a_hub)


def test_a_model_comes_whole_and_is_ours(node: Node) -> None:
    words = node.download()
    assert (words["rc"], words["total"]) == (0, len(WEIGHTS) + 2)
    snapshot = node.model / "snapshots" / words["commit"]
    assert {path.name for path in snapshot.iterdir()} == FILES
    assert (snapshot / "model.safetensors").read_bytes() == WEIGHTS
    assert node.record()["ours"] is True


def test_a_model_of_ours_stays_ours_when_it_is_mended(node: Node) -> None:
    node.download()
    max((node.model / "blobs").iterdir(), key=lambda path: path.stat().st_size).unlink()
    assert node.download()["rc"] == 0
    assert node.record()["ours"] is True


def test_a_second_revision_in_a_folder_of_ours_is_ours(node: Node) -> None:
    commit = node.download()["commit"]
    assert node.download(revision=commit)["rc"] == 0
    assert node.record(commit)["ours"] is True


def test_a_folder_that_was_there_is_not_ours_however_often_we_come(node: Node) -> None:
    node.model.mkdir()
    node.download()
    commit = node.download()["commit"]
    node.download(revision=commit)
    assert node.record()["ours"] is False
    assert node.record(commit)["ours"] is False


def test_what_was_there_is_checked_by_its_hash_and_not_by_its_size(node: Node) -> None:
    commit = node.download()["commit"]
    weights = node.model / "snapshots" / commit / "model.safetensors"
    weights.resolve().write_bytes(b"X" * len(WEIGHTS))
    assert node.download()["rc"] == 0
    assert weights.read_bytes() == WEIGHTS


def test_what_is_too_long_is_thrown_away(node: Node) -> None:
    blob = (node.model / "snapshots" / node.download()["commit"] / "model.safetensors").resolve()
    blob.rename(f"{blob}.incomplete")
    with Path(f"{blob}.incomplete").open("ab") as file:
        file.write(b"more")
    assert node.download()["rc"] == 0
    assert blob.read_bytes() == WEIGHTS


def test_a_commit_that_came_as_a_branch_is_there(node: Node) -> None:
    commit = node.download()["commit"]
    for revision in (commit, "main"):
        step = step_at(node, revision)
        assert isinstance(step.check(facts_of(step)), Ok)
    for revision in ("v1", "f" * 40, commit[:12]):
        step = step_at(node, revision)
        assert isinstance(step.check(facts_of(step)), Absent)


def test_what_a_profile_asks_for_beyond_the_last_download_is_fetched(node: Node) -> None:
    node.download(allow=["config.json"])
    for allow, found in ((("config.json",), Ok), (("*.safetensors",), Drifted), (("*",), Drifted)):
        step = step_at(node, "main", allow)
        assert isinstance(step.check(facts_of(step)), found)
    node.download(allow=["*"])
    for allow in (("config.json",), ("*",)):
        step = step_at(node, "main", allow)
        assert isinstance(step.check(facts_of(step)), Ok)


def test_purge_under_another_revision_takes_what_the_first_one_brought(node: Node) -> None:
    node.download()
    step = step_at(node, "v1")
    (removal,) = step.undo(facts_of(step))
    assert isinstance(removal, Script)
    subprocess.run(["bash", "-c", removal.detail], check=True)
    assert step.undo(facts_of(step)) == ()
    assert list((node.root / "cache/hub").iterdir()) == []
    assert not node.state.exists()


def step_at(node: Node, revision: str, allow: tuple[str, ...] = ("*",)) -> ModelStep:
    head = HomeNode("spark-1", Role.HEAD, "127.0.0.1", "nvidia", root=str(node.root))
    source = ModelSource("lab/tiny", revision, node.endpoint, str(node.root / "cache"), allow)
    return ModelStep(Cluster("lab", head), source, "")


def facts_of(step: ModelStep) -> Facts:
    script = frame((want.probe for want in step.wants), "@m")
    told = subprocess.run(["bash", "-s"], input=script, capture_output=True, text=True, check=True)
    return Facts({step.node: unframe(told.stdout, "@m")})
