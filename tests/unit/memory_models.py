"""The public models of tests/unit/data/models, each with what was published of its memory."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparkctl.memory.checkpoint import Checkpoint
from sparkctl.memory.config_json import read_shape

FOLDER = Path(__file__).parent / "data" / "models"


@dataclass(frozen=True)
class Published:
    """One model: its checkpoint by its config.json alone, and published figures by their names in the data."""

    name: str
    checkpoint: Checkpoint
    figures: dict[str, Any]


def published(name: str) -> Published:
    """The model of that file."""
    data = json.loads((FOLDER / f"{name}.json").read_text())
    shape = read_shape(json.dumps(data["config"]), f"{data['repo']}/config.json")
    return Published(name, Checkpoint(data["repo"], shape), data["published"])


def config(name: str, **changes: object) -> str:
    """The config.json of that model with other values; None leaves one out."""
    values = {**json.loads((FOLDER / f"{name}.json").read_text())["config"], **changes}
    return json.dumps({key: value for key, value in values.items() if value is not None})


NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))
MODELS = [published(name) for name in NAMES]
