"""Names for shell completion, read cheaply: no configuration is checked, no node is asked."""

import os
import re
from contextlib import suppress
from pathlib import Path

import typer

from sparkctl.data import DEFAULT_PROFILE

LAYERS = ("host", "storage", "image", "model", "workload")
COMPONENTS = ("ray-head", "ray-worker", "vllm", "sglang", "trtllm", "ollama")
"""Services of the engines; a test holds this to what the engines make."""

HEAD, WORKER, WORKERS = "HEAD_NODE_NAME", "WORKER_NODE_NAME", "WORKER_NODE_NAMES"
ONE_IP, ALL_IPS = "WORKER_NODE_IP", "WORKER_IPS"
_MODEL = re.compile(r"""\bid:\s*["']?([\w.-]+/[\w.-]+)""")
_BLOCK = re.compile(r"^  ([a-z][a-z0-9-]*):\n((?:(?:   .*)?\n)*)", re.MULTILINE)
_LAB = re.compile(r"""^where:\s*["']?lab["']?\s*(#|$)""", re.MULTILINE)


def complete_nodes(ctx: typer.Context) -> list[str]:
    """Node names as the configuration will name them, head first."""
    values = _values(ctx)
    head, single = values.get(HEAD) or "spark-1", values.get(WORKER) or "spark-2"
    count = len(_words(values.get(ALL_IPS, ""))) or int(bool(values.get(ONE_IP)))
    named = _words(values.get(WORKERS, "")) or [single][: int(count == 1)]
    return [head, *named, *(f"spark-{rank + 2}" for rank in range(len(named), count))]


def complete_profiles() -> list[str]:
    """Shipped profiles, and the user's own in ./profiles."""
    from sparkctl.config.profiles import names

    return list(names(Path.cwd()))


def complete_models() -> list[str]:
    """Models that profiles in reach serve, by the profiles' text: YAML would cost more than the answer."""
    from sparkctl.config.profiles import names

    found: dict[str, None] = {}
    for path in names(Path.cwd()).values():
        with suppress(OSError, UnicodeDecodeError):
            found |= dict.fromkeys(_MODEL.findall(path.read_text(encoding="utf-8")))
    return list(found)


def complete_components() -> list[str]:
    """Services that have containers."""
    return list(COMPONENTS)


def complete_roles(ctx: typer.Context) -> list[str]:
    """Models of the profile that wait for their launch, by its text, in the way in which profiles are indented."""
    from sparkctl.errors import SparkctlError

    try:
        _, _, models = _text_of(ctx.params.get("profile") or DEFAULT_PROFILE).partition("\nmodels:\n")
    except SparkctlError:
        return []
    blocks = _BLOCK.findall(re.split(r"^(?=\w)", models, maxsplit=1, flags=re.MULTILINE)[0])
    return [name for name, block in blocks if re.search(r"^ +start: *demand\b", block, re.MULTILINE)]


def complete_layers() -> list[str]:
    """Layers of steps, from the ground up."""
    return list(LAYERS)


def _values(ctx: typer.Context) -> dict[str, str]:
    """What the env files and the environment say about nodes; nothing where they cannot be read."""
    from sparkctl.config.layers import merge
    from sparkctl.errors import SparkctlError

    names = frozenset((HEAD, WORKER, WORKERS, ONE_IP, ALL_IPS))
    chosen = ctx.params.get("env_file")
    env_file = Path(chosen) if chosen else None
    try:
        lab = _means_lab(ctx.params.get("profile") or "")
        layers = merge(names, names, lab=lab, env_file=env_file, flags={}, environ=os.environ, cwd=Path.cwd())
    except SparkctlError:
        return {}
    return {name: raw.text for name, raw in layers.values.items()}


def _means_lab(profile: str) -> bool:
    """Whether a profile says `where: lab`, by its text: YAML would cost more than the answer. Raises ConfigError."""
    return bool(profile and _LAB.search(_text_of(profile)))


def _text_of(profile: str) -> str:
    """What a profile says; nothing where it cannot be read. Raises ConfigError where there is none."""
    from sparkctl.config.envfile import LARGEST
    from sparkctl.config.laptop import read_text
    from sparkctl.config.profiles import find

    text = read_text(find(profile, Path.cwd()), profile, LARGEST)
    return text if isinstance(text, str) else ""


def _words(text: str) -> list[str]:
    return [word for word in re.split(r"[,\s]+", text) if word]
