"""The probe of a model, as bash runs it: a cache on this machine, the lab's hub on a port of this machine."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from loopback import serving
from memory_models import config

from sparkctl.errors import ConfigError
from sparkctl.facts.checkpoint import CACHE, HUB, CheckpointFact, checkpoint_probe, listed
from sparkctl.facts.probe import PRELUDE, Answer
from sparkctl.lab import hub
from sparkctl.memory.demand import Wish, demand

REPO = "org/tiny"
CONFIG = config("llama-3.1-8b")


@dataclass(frozen=True)
class Hub:
    """A hub of this test: a folder of files, and where it answers."""

    folder: Path
    endpoint: str

    def publish(self, name: str, text: str, repo: str = REPO) -> None:
        file = self.folder / "repos" / repo / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


@pytest.fixture
def near(tmp_path: Path) -> Iterator[Hub]:
    with serving(hub.make_server(tmp_path / "hub", "127.0.0.1", 0)) as port:
        yield Hub(tmp_path / "hub", f"http://127.0.0.1:{port}")


@dataclass(frozen=True)
class CacheFolder:
    """A Hugging Face cache with one snapshot of the model."""

    root: Path

    @property
    def model(self) -> Path:
        return self.root / "hub" / "models--org--tiny"

    def put(self, name: str, text: str) -> None:
        """As huggingface_hub lays files out: a blob, and a link in the snapshot."""
        blob, link = self.model / "blobs" / f"blob-of-{name}", self.model / "snapshots" / "c0ffee" / name
        for folder in (blob.parent, link.parent, self.model / "refs"):
            folder.mkdir(parents=True, exist_ok=True)
        blob.write_text(text)
        link.symlink_to(Path("../../blobs") / blob.name)
        (self.model / "refs" / "main").write_text("c0ffee")


@pytest.fixture
def cache(tmp_path: Path) -> CacheFolder:
    return CacheFolder(tmp_path / "a cache")


def look(cache: CacheFolder, endpoint: str = "", revision: str = "main", token: str = "") -> CheckpointFact:
    probe = checkpoint_probe(str(cache.root), REPO, revision, endpoint, token)
    done = subprocess.run(
        ["bash", "-s"], input=f"{PRELUDE}(\n{probe.script}\n) </dev/null", capture_output=True, text=True, check=False
    )
    return probe.parse(Answer(done.stdout, done.returncode))


def test_a_model_in_the_cache(cache: CacheFolder) -> None:
    cache.put("config.json", CONFIG)
    cache.put("model-1.safetensors", "x" * 1000)
    cache.put("model-2.safetensors", "x" * 24)
    for revision in ("main", "c0ffee"):
        fact = look(cache, revision=revision)
        assert (fact.source, fact.known) == (CACHE, True)
        assert fact.checkpoint(REPO).size == 1024
        assert fact.checkpoint(REPO, allow=["*-2*", "config.json"]).size == 24
    assert look(cache, revision="other") == CheckpointFact()


def test_a_download_that_goes_on_is_measured_by_the_index(cache: CacheFolder) -> None:
    cache.put("config.json", CONFIG)
    cache.put("model-1.safetensors", "x")
    cache.put(
        "model.safetensors.index.json", '{\n "metadata": {\n  "total_size": 16060522496\n },\n "weight_map": {}}'
    )
    (cache.model / "blobs" / "other.incomplete").write_text("")
    assert look(cache).checkpoint(REPO).size == 16060522496
    (cache.model / "snapshots" / "c0ffee" / "model.safetensors.index.json").unlink()
    shape = look(cache).checkpoint(REPO)
    assert shape.size == 0
    assert demand(shape, Wish(1)).weights == pytest.approx(16.06e9, rel=0.01)


def test_a_cache_comes_before_the_hub(cache: CacheFolder, near: Hub) -> None:
    cache.put("config.json", CONFIG)
    near.publish("config.json", "nonsense")
    assert look(cache, near.endpoint).source == CACHE


def test_the_hub_is_asked_for_what_is_not_there(cache: CacheFolder, near: Hub) -> None:
    near.publish("config.json", CONFIG)
    near.publish("model.safetensors", "x" * 500)
    fact = look(cache, near.endpoint)
    assert (fact.source, fact.status, fact.sizes["model.safetensors"]) == (HUB, 200, 500)
    assert fact.checkpoint(REPO).size == 500


def test_a_model_without_config(cache: CacheFolder, near: Hub) -> None:
    near.publish("model.gguf", "x")
    fact = look(cache, near.endpoint)
    assert fact.known
    with pytest.raises(ConfigError) as caught:
        fact.checkpoint(REPO)
    assert "config.json of org/tiny (hub)" in str(caught.value.problems[0])
    cache.put("model.gguf", "x")
    assert look(cache).known


def test_a_gated_model_needs_its_token(cache: CacheFolder, near: Hub, tmp_path: Path) -> None:
    near.publish("config.json", CONFIG)
    (near.folder / "gated").write_text(REPO)
    (near.folder / "tokens").write_text("hf_good")
    token = tmp_path / "token"
    assert not look(cache, near.endpoint, token=str(token)).known
    token.write_text("hf_bad")
    assert look(cache, near.endpoint, token=str(token)).status == 403
    token.write_text("hf_good")
    assert look(cache, near.endpoint, token=str(token)).known


def test_a_hub_that_does_not_answer_is_no_fault_of_the_model(cache: CacheFolder, near: Hub) -> None:
    fact = look(cache, "http://127.0.0.1:9")
    assert (fact.known, fact.status) == (False, 0)
    assert look(cache) == CheckpointFact()
    near.publish("config.json", CONFIG)
    assert not look(cache, near.endpoint, revision="refs/pr/1").known, (
        "the download says that there is no such revision"
    )


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"siblings": 3}', '{"siblings": [3, {"rfilename": 1, "size": "x"}]}']
)
def test_no_listing_makes_the_parser_break(text: str) -> None:
    assert listed(text) == {}
