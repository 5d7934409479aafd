"""`sparkctl.lock`: which commit a model's branch, and which digest an image's tag, stands for. JSON, kept in git.

It lies where unified-config.env does, holds no secret, and is written by `sparkctl model pin`. The file is read as
YAML, of which JSON is a part, so that a mistake in it is reported with its line.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparkctl.config.laptop import is_file, path_of
from sparkctl.config.values import IMAGE_REF, MODEL_ID
from sparkctl.config.yamlfile import Document, Keys, read
from sparkctl.errors import ConfigError, Problem, SparkctlError
from sparkctl.facts.images import repository_of

if TYPE_CHECKING:
    from sparkctl.config.profile import Image, Model, Placed, Profile

NAME = "sparkctl.lock"
VERSION = 1
COMMIT = re.compile("[0-9a-f]{40}")
DIGEST = re.compile("sha256:[0-9a-f]{64}")
_MODELS = "a commit of 40 hexadecimal digits for each branch or tag of each model"
_IMAGES = "a digest sha256:... for each image"
_FIX = "sparkctl model pin --update writes it anew"


@dataclass(frozen=True)
class Lock:
    """What is pinned: commits by model and revision, digests by image reference, each as the profile names it."""

    path: Path
    label: str = NAME
    models: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    images: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[Keys, str] = field(default_factory=dict)
    """`file:line` by the way to a value."""

    def commit(self, model: str, revision: str) -> str:
        """The commit that a model's revision is pinned to, or nothing."""
        return self.models.get(model, {}).get(revision, "")

    def with_model(self, model: str, revision: str, commit: str) -> "Lock":
        """With that model pinned."""
        return replace(self, models={**self.models, model: {**self.models.get(model, {}), revision: commit}})

    def with_image(self, reference: str, digest: str) -> "Lock":
        """With that image pinned."""
        return replace(self, images={**self.images, reference: digest})

    def applied(self, profile: "Profile") -> "Profile":
        """The profile with every model at its commit and every image at its digest, as far as they are pinned."""
        placed = {
            name: part.model_copy(update={"model": self._model(part.model), "image": self._image(part.image)})
            for name, part in profile.models.items()
        }
        model = self._model(profile.model) if profile.model else None
        return profile.model_copy(update={"model": model, "image": self._image(profile.image), "models": placed})

    def places_in(self, profile: "Profile") -> Iterator[tuple[tuple[str, ...], str]]:
        """The ways to the values of a profile that the lock changes, with where it says so."""
        parts: dict[tuple[str, ...], Profile | Placed] = {(): profile}
        parts |= {("models", name): part for name, part in profile.models.items()}
        for way, part in parts.items():
            if part.model and self.commit(part.model.id, part.model.revision):
                yield (*way, "model", "revision"), self.places["models", part.model.id, part.model.revision]
            if part.image and part.image.ref in self.images:
                yield (*way, "image", "ref"), self.places["images", part.image.ref]

    def _model(self, model: "Model") -> "Model":
        commit = self.commit(model.id, model.revision)
        return model.model_copy(update={"revision": commit}) if commit else model

    def _image(self, image: "Image | None") -> "Image | None":
        digest = self.images.get(image.ref) if image else None
        return image.model_copy(update={"ref": pinned(image.ref, digest)}) if image and digest else image


def pinned(reference: str, digest: str) -> str:
    """A reference that means one image for ever."""
    return f"{repository_of(reference)}@{digest}"


def place(cwd: Path, env_file: Path | None = None) -> Path:
    """Where the lock lies: beside `env_file`, else in `cwd`."""
    return (path_of(env_file, cwd).parent if env_file else cwd) / NAME


def load(path: Path) -> Lock:
    """The lock at `path`, empty where there is none. Raises ConfigError with every problem of the file."""
    if not is_file(path):
        return Lock(path)
    document = read(path, NAME)
    problems = document.problems or tuple(_problems(document))
    if problems:
        raise ConfigError(problems, place=f"in {NAME}", fix=f"mend the file, or remove it: {_FIX}")
    data = document.data
    places = {keys: document.where(keys) for keys in document.places}
    return Lock(path, NAME, data.get("models", {}), data.get("images", {}), places)


def save(lock: Lock) -> None:
    """Write the file, in one go. Raises SparkctlError."""
    data = {"lock": VERSION, "models": {k: dict(v) for k, v in lock.models.items()}, "images": dict(lock.images)}
    new = lock.path.with_name(f".{NAME}.new")
    try:
        new.write_text(json.dumps(data, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        new.replace(lock.path)
    except OSError as error:
        what = f"cannot write {lock.path}: {error.strerror}"
        raise SparkctlError(what, fix="run it in a folder where you may write") from error


def _problems(document: Document) -> Iterator[Problem]:
    data = document.data
    for key in data.keys() - {"lock", "models", "images"}:
        yield Problem(document.where((key,)), key, "unknown key", "lock, models and images")
    if data.get("lock") != VERSION:
        yield Problem(document.where(("lock",)), "lock", _shown(data.get("lock")), f"{VERSION}, the form of this file")
    yield from _wrong_models(document, data.get("models", {}))
    yield from _wrong_images(document, data.get("images", {}))


def _wrong_models(document: Document, models: Any) -> Iterator[Problem]:
    if not isinstance(models, dict):
        yield Problem(document.where(("models",)), "models", "not a mapping", _MODELS)
        return
    for model, revisions in models.items():
        where = document.where(("models", model))
        if not re.fullmatch(MODEL_ID, model) or not isinstance(revisions, dict):
            yield Problem(where, "models", _shown(model), _MODELS)
            continue
        for revision, commit in revisions.items():
            if not isinstance(commit, str) or not COMMIT.fullmatch(commit):
                way = ("models", model, revision)
                yield Problem(document.where(way), f"{model} at {revision}", _shown(commit), _MODELS)


def _wrong_images(document: Document, images: Any) -> Iterator[Problem]:
    if not isinstance(images, dict):
        yield Problem(document.where(("images",)), "images", "not a mapping", _IMAGES)
        return
    for reference, digest in images.items():
        good = isinstance(digest, str) and DIGEST.fullmatch(digest)
        if not good or not re.fullmatch(IMAGE_REF, reference):
            yield Problem(document.where(("images", reference)), reference[:80], _shown(digest), _IMAGES)


def _shown(value: object) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 80 else f"{text[:80]}..."
