"""sparkctl.lock: what it pins is what is deployed, and a file that is none is refused with its line."""

import json
from pathlib import Path
from typing import Any

import pytest
from cli_fakes import ENV_FILE

from sparkctl.config import lock as locks
from sparkctl.config.load import Config, load
from sparkctl.errors import ConfigError, SparkctlError
from sparkctl.facts.images import full, repository_of

COMMIT, DIGEST = "0123456789" * 4, f"sha256:{'ab' * 32}"
PROFILE = """\
name: mine
image: {ref: "registry.example:5000/vllm:1"}
model: {id: org/tiny}
host: {gpu: ""}
"""
SEVERAL = """\
name: mine
image: {ref: "registry.example:5000/vllm:1"}
models:
  chat: {model: {id: org/tiny}, nodes: head}
  code: {model: {id: org/code, revision: v2}, image: {ref: vllm}, nodes: [1], ports: {api: 8001}}
"""


def written(folder: Path, **changes: Any) -> Path:
    path = folder / locks.NAME
    path.write_text(json.dumps({"lock": 1, "models": {}, "images": {}, **changes}, indent=2))
    return path


def configured(folder: Path, profile: str = PROFILE, **options: Any) -> Config:
    (folder / "unified-config.env").write_text(ENV_FILE)
    (folder / "mine.yaml").write_text(profile)
    return load("mine.yaml", environ={"HOME": str(folder)}, cwd=folder, **options)


def test_what_is_pinned_is_what_is_deployed(tmp_path: Path) -> None:
    written(tmp_path, models={"org/tiny": {"main": COMMIT}}, images={"registry.example:5000/vllm:1": DIGEST})
    config = configured(tmp_path)
    (served,) = config.served
    assert served.model.revision == COMMIT
    assert served.image.ref == f"registry.example:5000/vllm@{DIGEST}"
    assert config.origins["model.revision"].where == "sparkctl.lock:5"
    assert config.origins["image.ref"].where == "sparkctl.lock:9"
    free = configured(tmp_path, pinned=False)
    assert free.served[0].model.revision == "main"


def test_each_of_several_models_is_pinned_at_its_own_revision(tmp_path: Path) -> None:
    written(tmp_path, models={"org/code": {"v2": COMMIT, "main": "f" * 40}}, images={"vllm": DIGEST})
    chat, code = configured(tmp_path, SEVERAL).served
    assert (chat.model.revision, chat.image.ref) == ("main", "registry.example:5000/vllm:1")
    assert (code.model.revision, code.image.ref) == (COMMIT, f"vllm@{DIGEST}")


def test_another_model_or_revision_is_not_pinned(tmp_path: Path) -> None:
    written(tmp_path, models={"org/tiny": {"v1": COMMIT}, "org/other": {"main": COMMIT}}, images={"vllm": DIGEST})
    config = configured(tmp_path)
    assert (config.served[0].model.revision, config.served[0].image.ref) == ("main", "registry.example:5000/vllm:1")


def test_a_model_that_is_set_in_place_of_the_profile_s_is_pinned_by_its_own_name(tmp_path: Path) -> None:
    written(tmp_path, models={"org/other": {"main": COMMIT}})
    assert configured(tmp_path, flags={"MODEL": "org/other"}).served[0].model.revision == COMMIT


def test_the_file_lies_beside_the_configuration(tmp_path: Path) -> None:
    assert locks.place(tmp_path) == tmp_path / "sparkctl.lock"
    assert locks.place(tmp_path, Path("there/my.env")) == tmp_path / "there/sparkctl.lock"


def test_what_is_saved_is_read_again(tmp_path: Path) -> None:
    lock = locks.load(tmp_path / locks.NAME).with_model("org/tiny", "main", COMMIT).with_image("vllm", DIGEST)
    locks.save(lock)
    found = locks.load(lock.path)
    assert (found.models, found.images) == (lock.models, lock.images)
    assert [path.name for path in tmp_path.iterdir()] == ["sparkctl.lock"]


def test_a_folder_that_is_closed_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(SparkctlError, match="cannot write"):
        locks.save(locks.Lock(tmp_path / "none" / locks.NAME))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"lock": 2}, "sparkctl.lock:2: lock: 2"),
        ({"lock": None}, "lock: nothing"),
        ({"more": 1}, "more: unknown key"),
        ({"models": [1]}, "models: not a mapping"),
        ({"models": {"no model": {}}}, "models: 'no model'"),
        ({"models": {"org/tiny": "main"}}, "models: 'org/tiny'"),
        ({"models": {"org/tiny": {"main": "abc"}}}, "sparkctl.lock:5: org/tiny at main: 'abc'"),
        ({"models": {"org/tiny": {"main": 7}}}, "org/tiny at main: 7"),
        ({"images": "x"}, "images: not a mapping"),
        ({"images": {"vllm:1": "sha256:short"}}, "vllm:1: 'sha256:short'"),
        ({"images": {"-v": DIGEST}}, "-v: 'sha256:"),
    ],
)
def test_nonsense_is_refused_with_its_line(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    written(tmp_path, **changes)
    with pytest.raises(ConfigError) as caught:
        configured(tmp_path)
    assert said in "\n".join(map(str, caught.value.problems))


@pytest.mark.parametrize("text", ["", "[]", "{", "a: &x 1\nb: *x", '{"lock": 1, "lock": 1}', "\x00"])
def test_a_file_that_is_no_lock_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / locks.NAME).write_text(text)
    with pytest.raises(ConfigError):
        locks.load(tmp_path / locks.NAME)


@pytest.mark.parametrize(
    ("reference", "repository", "name"),
    [
        ("vllm", "vllm", "vllm:latest"),
        ("a/b:1", "a/b", "a/b:1"),
        ("r:5000/a/b", "r:5000/a/b", "r:5000/a/b:latest"),
        (f"r:5000/a/b:1@{DIGEST}", "r:5000/a/b", f"r:5000/a/b@{DIGEST}"),
    ],
)
def test_names_of_images(reference: str, repository: str, name: str) -> None:
    assert (repository_of(reference), full(reference)) == (repository, name)
