"""Models on a node, in real folders: what is seen, what is checked, what may go and what stays."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from caches import NEW, OLD, blob_name, cluster_in, container, facts_of, make_model, remember
from hypothesis import given, settings
from hypothesis import strategies as st
from probe_texts import LINES

from sparkctl.core.actions import Script
from sparkctl.data import node_program
from sparkctl.facts.hub_cache import configs_probe, hub_cache_probe, ledger_probe, repo_of
from sparkctl.facts.probe import Answer, Want
from sparkctl.facts.users import USERS
from sparkctl.inventory import models
from sparkctl.inventory.wishes import Wish, Wishes
from sparkctl.steps.prune import DropBlobs, PruneModels

WEIGHTS, CONFIG, MORE = b"w" * 5000, b"{}", b"x" * 70
FILES = {"model.safetensors": WEIGHTS, "config.json": CONFIG}
NEWER = {"model.safetensors": WEIGHTS, "config.json": CONFIG, "sub/extra.json": MORE}


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def cached(cache: Path) -> Any:
    probe = hub_cache_probe(str(cache))
    return facts_of([Want("spark-1", probe)]).get("spark-1", probe)


def test_a_cache_is_read_with_sizes_revisions_and_what_was_cut(cache: Path) -> None:
    folder = make_model(cache, "org/tiny", {OLD: FILES, NEW: NEWER}, main=NEW)
    (folder / "blobs" / f"{'c' * 64}.incomplete").write_bytes(b"z" * 11)
    (folder / "snapshots" / NEW / "loose.txt").write_bytes(b"l" * 3)
    (cache / "hub/datasets--org--data").mkdir()
    (cache / "hub/models--org--..%2f").mkdir()
    found = cached(cache)
    assert list(found.models) == ["org/tiny"]
    model = found.models["org/tiny"]
    assert (model.bytes, model.partial) == (len(WEIGHTS) + len(CONFIG) + len(MORE) + 11 + 3, 11)
    assert (model.bytes_of(OLD), model.bytes_of(NEW)) == (5002, 5002 + 70 + 3)
    assert (model.commit("main"), model.commit(OLD), model.commit("v1")) == (NEW, OLD, "")
    assert model.only_of([NEW]) == {blob_name("x", MORE): 70}


def test_no_cache_is_an_empty_one(cache: Path) -> None:
    assert cached(cache).models == {}
    (cache / "hub").mkdir(parents=True)
    assert cached(cache).models == {}


def test_the_cache_of_another_node_is_told_from_an_own_one() -> None:
    assert hub_cache_probe("/c").parse(Answer("mounted=10.0.0.1:/export\n")).mounted == "10.0.0.1:/export"


@pytest.mark.parametrize(
    ("folder", "repo"),
    [("models--org--a--b", "org/a--b"), ("models--gpt2", "gpt2"), ("datasets--o--d", ""), ("models--..", "")],
)
def test_a_folder_s_model(folder: str, repo: str) -> None:
    assert repo_of(folder) == repo


@settings(max_examples=40)
@given(st.lists(st.one_of(LINES, st.sampled_from(["file=1 models--a/blobs/x", "link=models--a/snapshots/c/f\t"]))))
def test_no_answer_makes_a_parser_raise(lines: list[str]) -> None:
    answer = Answer("\n".join(lines))
    cluster = cluster_in(Path("/home/x"))
    for probe in (hub_cache_probe("/c"), ledger_probe(cluster, cluster.head), configs_probe("/c", "a/b"), USERS):
        probe.parse(answer)


def test_what_is_remembered_is_read(tmp_path: Path) -> None:
    cluster = cluster_in(tmp_path)
    remember(cluster, "org/tiny", "main", NEW, FILES, ours=True)
    remember(cluster, "org/theirs", "v1", OLD, FILES, ours=False)
    state = Path(cluster.state_dir(cluster.head))
    (state / "models--org--cut@main.json.begun").touch()
    (state / "copies").mkdir()
    (state / "copies/models--org--copied").write_text("# managed by sparkctl\nmade\n")
    (state / "copies/models--org--found").write_text("# managed by sparkctl\nfound\n")
    probe = ledger_probe(cluster, cluster.head)
    ledger = facts_of([Want("spark-1", probe)]).get("spark-1", probe)
    assert [repo for repo in ("tiny", "theirs", "cut", "copied", "found") if ledger.ours(f"org/{repo}")] == [
        "tiny",
        "cut",
        "copied",
    ]
    assert ledger.markers["org/tiny", "main"].files == {"model.safetensors": 5000, "config.json": 2}


def check(folder: Path, listed: dict[str, Any] | None = None) -> dict[str, Any]:
    """The last words of the program that hashes, run as a node runs it."""
    job = json.dumps({"folder": str(folder), "files": listed or {}, "workers": 2})
    told = subprocess.run(
        [sys.executable, "-", job], input=node_program("check_blobs"), capture_output=True, text=True
    )
    assert (told.returncode, told.stderr) == (0, "")
    lines = [json.loads(line) for line in told.stdout.splitlines()]
    assert "total" in lines[0]
    return dict(lines[-1])


def test_whole_files_are_fine(cache: Path) -> None:
    folder = make_model(cache, "org/tiny", {OLD: FILES, NEW: NEWER}, main=NEW)
    listed = {NEW: {name: len(content) for name, content in NEWER.items()}}
    assert check(folder, listed) == {"files": 5, "bytes": 5072, "unchecked": 0, "bad": []}


def test_each_way_to_be_bad_is_named(cache: Path) -> None:
    folder = make_model(cache, "org/tiny", {NEW: {**NEWER, "a.json": b"abc", "b.json": b"bcd", "gone.json": b"g"}})
    blobs = {name: folder / "blobs" / blob_name(name, content) for name, content in NEWER.items()}
    blobs["model.safetensors"].write_bytes(b"w" * 4999 + b"v")
    blobs["config.json"].write_bytes(b"")
    blobs["sub/extra.json"].unlink()
    (folder / "snapshots" / NEW / "gone.json").unlink()
    (folder / "blobs" / blob_name("b.json", b"bcd")).unlink()
    (folder / "blobs" / blob_name("b.json", b"bcd")).mkdir()
    listed = {NEW: {"config.json": 2, "gone.json": 1}}
    found = {row["file"]: row["why"] for row in check(folder, listed)["bad"]}
    assert found == {
        "model.safetensors": "corrupt",
        "config.json": "cut",
        "sub/extra.json": "missing",
        "gone.json": "missing",
        "b.json": "unreadable",
    }


def test_a_name_that_is_no_hash_is_not_judged(cache: Path) -> None:
    folder = make_model(cache, "org/tiny", {NEW: {"config.json": CONFIG}})
    link = folder / "snapshots" / NEW / "other.json"
    (folder / "blobs/etag-of-long-ago").write_bytes(b"?")
    link.symlink_to("../../blobs/etag-of-long-ago")
    (folder / "snapshots" / NEW / "copied.safetensors").write_bytes(b"who knows")
    found = check(folder)
    assert (found["bad"], found["files"], found["unchecked"]) == ([], 3, 2), "neither passes for checked"


class Pruned:
    """A node with three models: served at NEW with OLD beside it, unused and ours, unused and somebody else's."""

    def __init__(self, root: Path) -> None:
        self.cache, self.cluster = root / "cache", cluster_in(root)
        self.served = make_model(self.cache, "org/served", {OLD: FILES, NEW: NEWER}, main=NEW, old=OLD)
        self.unused = make_model(self.cache, "org/unused", {OLD: FILES}, main=OLD)
        self.theirs = make_model(self.cache, "org/theirs", {OLD: FILES}, main=OLD)
        self.old_marker = remember(self.cluster, "org/served", "old", OLD, FILES, ours=True)
        self.marker = remember(self.cluster, "org/served", "main", NEW, NEWER, ours=True)
        self.unused_marker = remember(self.cluster, "org/unused", "main", OLD, FILES, ours=True)

    def step(self, **changes: Any) -> PruneModels:
        keep = changes.pop("keep", frozenset({("org/served", "main")}))
        return PruneModels(self.cluster, self.cluster.head, str(self.cache), keep, **changes)

    def summaries(self, users: str | None = "", kept: str = "", **changes: Any) -> list[str]:
        step = self.step(**changes)
        return [action.summary for action in step.undo(facts_of(step.wants, users, kept))]

    def run(self, **changes: Any) -> None:
        step = self.step(**changes)
        for action in step.undo(facts_of(step.wants)):
            assert isinstance(action, Script)
            subprocess.run(["bash", "-c", action.text], check=True)
        assert step.undo(facts_of(step.wants)) == ()


@pytest.fixture
def node(tmp_path: Path) -> Pruned:
    return Pruned(tmp_path)


def test_what_nothing_uses_goes_and_nothing_else(node: Pruned) -> None:
    assert node.summaries() == [
        "remove 1 revision of org/served (aaaaaaaaaaaa): 0 B",
        "remove org/unused: 4.9 KiB",
    ]
    node.run()
    assert not node.unused.exists() and not node.unused_marker.exists() and not node.old_marker.exists()
    assert node.theirs.exists() and node.marker.exists()
    assert [path.name for path in (node.served / "snapshots").iterdir()] == [NEW]
    assert [path.name for path in (node.served / "refs").iterdir()] == ["main"]
    assert check(node.served, {NEW: {name: len(content) for name, content in NEWER.items()}})["bad"] == []


def test_blobs_of_a_revision_go_with_it_unless_another_one_stands_on_them(node: Pruned) -> None:
    node.run(keep=frozenset({("org/served", "old")}))
    assert {path.name for path in (node.served / "blobs").iterdir()} == {
        blob_name(name, content) for name, content in FILES.items()
    }


def test_models_of_others_go_only_when_asked_for(node: Pruned) -> None:
    assert "remove org/theirs: 4.9 KiB" in node.summaries(every=True)
    assert node.summaries(only=frozenset({"org/theirs"})) == []
    node.run(every=True, only=frozenset({"org/theirs"}))
    assert not node.theirs.exists() and node.unused.exists()


def test_a_model_that_is_served_and_not_here_yet_loses_nothing(node: Pruned) -> None:
    assert not any("org/served" in line for line in node.summaries(keep=frozenset({("org/served", "v9")})))


def test_a_pinned_commit_is_kept(node: Pruned) -> None:
    kept = frozenset({("org/served", "main"), ("org/served", OLD)})
    assert not any("org/served" in line for line in node.summaries(keep=kept))


@pytest.mark.parametrize(
    ("how", "kept"),
    [
        ({}, True),  # somebody else's: it may read all that it mounts
        ({"running": False}, False),
        ({"mounts": ["/elsewhere"]}, False),
        ({"cluster": "lab", "words": ["serve", "org/unused"]}, True),
        ({"cluster": "lab", "words": ["serve", "org/unused-2"]}, False),
        ({"cluster": "lab", "words": ["start", "--block"]}, True),  # ours, and nobody says what it serves
        ({"cluster": "lab", "words": ["x", "--speculative-config", '{"model": "org/unused"}', "serve"]}, True),
    ],
)
def test_what_a_running_container_uses_stays(node: Pruned, how: dict[str, Any], kept: bool) -> None:
    users = container("c", **{"mounts": [str(node.cache)], **how})
    assert ("remove org/unused: 4.9 KiB" not in node.summaries(users)) == kept


def test_a_rank_uses_what_its_cluster_names(node: Pruned) -> None:
    mount = {"mounts": [str(node.cache)], "cluster": "lab"}
    rank = container("rank", words=["start", "--block"], **mount)
    assert "remove org/unused: 4.9 KiB" in node.summaries(rank + container("api", words=["serve", "org/x"], **mount))
    assert "remove org/unused: 4.9 KiB" not in node.summaries(
        rank + container("api", words=["serve", "org/unused"], cluster="lab")
    )


@pytest.mark.parametrize("record", ["good", "wish"])
def test_what_the_keeper_brings_back_stays(node: Pruned, record: str) -> None:
    """Of a profile on another laptop, between a power cut and its return: no container runs."""

    def line(model: str, revision: str) -> str:
        return f"only/{record}.json:{json.dumps({'digest': 'd', 'model': model, 'revision': revision})}\n"

    assert not any("org/unused" in told for told in node.summaries(kept=line("org/unused", "main")))
    assert not any("org/served" in told for told in node.summaries(kept=line("org/served", OLD)))
    assert len(node.summaries(kept=line("org/other", "main") + "only/note.json:{\n")) == 2


def test_nothing_goes_while_docker_is_silent(node: Pruned) -> None:
    assert node.summaries(None) == []


def test_bad_files_are_dropped_by_name(node: Pruned) -> None:
    weights = blob_name("model.safetensors", WEIGHTS)
    step = DropBlobs(node.cluster, node.cluster.head, str(node.cache), "org/served", (weights, "f" * 64))
    (action,) = step.undo(facts_of(step.wants))
    assert action.summary == "remove 1 bad file of org/served: 4.9 KiB"
    subprocess.run(["bash", "-c", action.detail], check=True)
    assert step.undo(facts_of(step.wants)) == ()
    assert [row["file"] for row in check(node.served)["bad"]] == ["model.safetensors"] * 2


def test_the_inventory_says_who_uses_what(node: Pruned) -> None:
    caches = {"spark-1": str(node.cache)}
    (node.served / "snapshots" / NEW / "config.json").unlink()
    wishes = Wishes((Wish("mine", "org/served", "main", "vllm"), Wish("mine", "org/none", "main", "vllm")))
    users = container("api", cluster="lab", words=["serve", "org/served"], mounts=[str(node.cache)])
    facts = facts_of(models.wants(node.cluster, caches), users)
    found = models.take(node.cluster, caches, wishes, facts)
    assert [entry.model for entry in found.models] == ["org/served", "org/theirs", "org/unused"]
    first = found.models[0]
    (holding,) = first.nodes
    assert (first.profiles, holding.containers, holding.ours) == (("mine",), ("api",), True)
    assert [(r.commit, r.names, r.missing) for r in holding.revisions] == [(OLD, ("old",), 0), (NEW, ("main",), 1)]
    assert [entry.nodes[0].ours for entry in found.models] == [True, False, True]


def test_the_config_of_each_revision_is_read(node: Pruned) -> None:
    probe = configs_probe(str(node.cache), "org/served")
    assert facts_of([Want("spark-1", probe)]).get("spark-1", probe) == {OLD: "{}", NEW: "{}"}
