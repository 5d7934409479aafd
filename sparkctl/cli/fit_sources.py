"""Where `fit` reads a model: a folder of this machine, the hub, or the head, which has a cache of its own."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from sparkctl.config.laptop import path_of
from sparkctl.errors import ConfigError, Problem, SparkctlError

if TYPE_CHECKING:
    from sparkctl.facts.checkpoint import CheckpointFact

SECONDS = 10.0
"""How long this machine waits for the hub."""


def is_folder(model: str) -> bool:
    """Whether a word means a folder of this machine, not a model of the hub."""
    a_path = model.startswith((".", "/", "~")) or model.count("/") > 1
    return a_path or os.path.isdir(model)  # noqa: PTH112 - Path.is_dir raises for some names


def from_folder(model: str) -> "CheckpointFact":
    """The model in a folder as it was downloaded. Raises ConfigError."""
    from sparkctl.facts.checkpoint import FOLDER, CheckpointFact
    from sparkctl.memory.config_json import total_size

    folder = path_of(model, Path())
    try:
        text = (folder / "config.json").read_text(encoding="utf-8", errors="replace")
        index = folder / "model.safetensors.index.json"
        total = total_size(index.read_text(encoding="utf-8", errors="replace")) if index.is_file() else 0
        sizes = {path.name: path.stat().st_size for path in folder.iterdir() if path.is_file()}
    except OSError as error:
        problem = Problem(str(folder), "MODEL", error.strerror or str(error), "a folder with a config.json")
        raise ConfigError((problem,), place="on the command line", fix="give ORG/NAME or such a folder") from error
    return CheckpointFact(FOLDER, text, sizes, total)


def from_hub(endpoint: str, model: str, revision: str, token: str) -> "CheckpointFact":
    """The model on the hub, asked from this machine."""
    from urllib.parse import quote

    from sparkctl.facts.checkpoint import HUB, CheckpointFact, listed

    at = quote(revision, safe="")
    status, text = _get(f"{endpoint}/{model}/resolve/{at}/config.json", token)
    _, listing = _get(f"{endpoint}/api/models/{model}/revision/{at}?blobs=true", token) if status else (0, "")
    return CheckpointFact(HUB, text, listed(listing), 0, status)


def refuse(fact: "CheckpointFact", model: str, asked: str) -> SparkctlError:
    """The error of a model that was not found; `asked` names the hub, empty where it knows nothing of such models."""
    if not asked:
        return SparkctlError(f"nobody says what {model} takes", fix="state engine.weights_gib in the profile")
    if fact.status in (401, 403):
        problem = Problem(asked, "MODEL", f"{model} is gated or private ({fact.status})", "a model that it hands out")
        return ConfigError((problem,), place="on the command line", fix="accept its licence there and set HF_TOKEN")
    if fact.status == 404:
        problem = Problem(asked, "MODEL", f"no {model}", "ORG/NAME of a model there, or a folder")
        return ConfigError((problem,), place="on the command line", fix="check the name")
    fix = "check HF_ENDPOINT and the way to it, or give a folder with the model's config.json"
    return SparkctlError(f"{model} is in no cache, and the hub does not answer", where=asked, fix=fix)


def _get(url: str, token: str) -> tuple[int, str]:
    """Status and text of an answer; 0 for none. The token goes to that host alone, not where it redirects to."""
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    request = Request(url)  # noqa: S310 - HF_ENDPOINT is checked to be http or https
    if token:
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    try:
        with urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
            return answer.status, answer.read().decode(errors="replace")
    except HTTPError as error:
        return error.code, ""
    except (OSError, ValueError, HTTPException):
        return 0, ""
